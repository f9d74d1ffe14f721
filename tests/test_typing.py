"""Somebody types with the real model through a real server process."""

from collections.abc import Iterator

import pytest

from tests.lsp_client import LspProcess, flash_ls
from tests.typist import Keystroke, Typist

pytestmark = pytest.mark.model
PATIENT = {"budget_ms": 60_000, "min_confidence": 0.0, "statistics": False}


@pytest.fixture(scope="module")
def server() -> Iterator[LspProcess]:
    with LspProcess(flash_ls("--in-process"), timeout_s=300) as process:
        process.initialize(options=PATIENT)
        process.wait_until(lambda: any("reason=ready" in line for line in process.log))
        yield process


def typist_at(server: LspProcess, uri: str, buffer: str) -> Typist:
    before, after = buffer.split("¦")
    return Typist(server, uri, before + after, len(before))


ACCOUNT = """class Account:
    def __init__(self, owner):
        self.owner = owner
        self.balance = 0

    def deposit(self, amount):
        self.balance += amount

    def withdraw(self, amount):
¦

    def transfer(self, other, amount):
        self.withdraw(amount)
        other.deposit(amount)
"""


def test_a_suggestion_at_every_letter_and_right_text_when_accepted(server: LspProcess) -> None:
    before, after = ACCOUNT.split("¦")
    typist = typist_at(server, "file:///tmp/account.py", ACCOUNT)
    keys = [typist.type(letter) for letter in "        self.balance -"]
    assert all(key.shown for key in keys)
    typist.accept(keys[-1])
    assert "    def withdraw(self, amount):\n        self.balance -= amount" in typist.text
    assert typist.text.startswith(before)
    assert typist.text.endswith(after)


EXOTIC = [
    "# größe 😀 naïve\r\n\x0c\r\nNAMES = ['😀', '数']\r\n\r\n",
    "def greet(name):\r\n    # 😀\x0b\u2028 says hello\r\n    message = 'hello ' + name\r\n    return ¦\r\n",
]


def test_edits_among_emoji_form_feeds_and_crlf(server: LspProcess) -> None:
    """After any edits a document completes as it would if it were opened like that."""
    typist = typist_at(server, "file:///tmp/exotic.py", "".join(EXOTIC))
    start = typist.cursor
    emoji = typist.text.index("😀'")
    typist.replace(emoji, emoji + 1, "😀😀é")
    typist.replace(0, 0, "\x0c# 👩‍👩‍👧 first\r\n")
    typist.replace(2, 3, "")
    typist.cursor = start + 2 + len("\x0c# 👩‍👩‍👧 first\r\n") - 1
    assert typist.text[: typist.cursor].endswith("return ")
    edited = typist.type("m")
    assert edited.shown == "essage"
    reopened = Typist(server, "file:///tmp/reopened.py", typist.text, typist.cursor)
    assert reopened.ask().items == edited.items
    typist.accept(edited)
    assert typist.text.endswith("    return message\r\n")


def long_file(lines: int) -> list[str]:
    """Functions of five lines."""
    body = (
        "def step_{n}(state, value):\n    state.count += {n}\n    result = state * value + {n}\n    return result\n\n"
    )
    return "".join(body.format(n=n) for n in range(lines // 5)).split("\n")[:lines]


def test_most_of_the_prompt_is_cached_at_every_key(server: LspProcess) -> None:
    """Thirty characters into the middle of 300 lines, a new line among them."""
    lines = long_file(300)
    lines[152] = "¦"
    typist = typist_at(server, "file:///tmp/long.py", "\n".join(lines))
    typist.ask()
    keys: list[Keystroke] = [typist.type(letter) for letter in "    total = state.count\n    re"]
    assert len(keys) == 30
    assert min(key.cached_share for key in keys) >= 0.9


def test_an_auto_closed_bracket_is_replaced(server: LspProcess) -> None:
    typist = typist_at(server, "file:///tmp/fib.py", "def fib(n¦)\n")
    key = typist.ask()
    assert key.shown
    typist.accept(key)
    assert typist.text.startswith("def fib(n")
    assert typist.text.count("(") == typist.text.count(")")
