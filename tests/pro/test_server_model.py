"""What a completions server is told of a place, and what of its answer is suggested there."""

from collections.abc import Iterator

import pytest

from flash_ls.completer import Completion
from flash_ls.config import Config
from flash_ls.context import Context
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.pro.api import CompletionsServer
from flash_ls.pro.server_model import ServerModel
from tests.completions_server import CompletionsFake, completions_server
from tests.memory_folder import Folder

SECRET = "ghp_" + "a1B2c3D4" * 5


@pytest.fixture
def fake() -> Iterator[CompletionsFake]:
    with completions_server() as fake:
        yield fake


def complete(
    fake: CompletionsFake,
    code: str,
    path: str = "a.py",
    config: Config | None = None,
    context: Context | None = None,
) -> Completion:
    """For the cursor at the `¦`."""
    before, after = code.split("¦")
    server = CompletionsServer(fake.url, "big")
    model = ServerModel(server, config or Config(), context)
    return model.complete(Snapshot(f"file:///p/{path}", "", 1, before + after, len(before)), Deadline(10_000))


def told(fake: CompletionsFake) -> str:
    return str(fake.asked[-1].body["prompt"])


def told_before(fake: CompletionsFake) -> str:
    """What precedes the cursor, in the order that is the default."""
    return told(fake).partition("<|fim_suffix|>")[0]


@pytest.mark.parametrize(
    ("order", "prompt"),
    [
        ("spm", "<|fim_prefix|><|fim_suffix|>\nend = 1\n<|fim_middle|>x = 1\ny = "),
        ("psm", "<|fim_prefix|>x = 1\ny = <|fim_suffix|>\nend = 1\n<|fim_middle|>"),
    ],
)
def test_the_prompt_is_in_the_order_that_is_set(fake: CompletionsFake, order: str, prompt: str) -> None:
    fake.parts = ["to", "tal", "\nend"]
    found = complete(fake, "x = 1\ny = to¦\nend = 1\n", config=Config(pro_prompt=order))
    assert told(fake) == prompt
    assert found.text == "tal"
    assert "suffix" not in fake.asked[0].body


def test_the_api_has_a_parameter_for_what_follows(fake: CompletionsFake) -> None:
    fake.parts = ["total"]
    found = complete(fake, "x = 1\ny = to¦\nend = 1\n", config=Config(pro_prompt="suffix"))
    assert (told(fake), fake.asked[0].body["suffix"]) == ("x = 1\ny = ", "\nend = 1\n")
    assert found.text == "tal"


@pytest.mark.parametrize(
    ("typed", "said", "shown"), [("to", "other", ""), ("    ", "    go()", "go()"), ("", "    go()", "    go()")]
)
def test_the_answer_spells_the_word_at_the_cursor_again(
    fake: CompletionsFake, typed: str, said: str, shown: str
) -> None:
    fake.parts = list(said)
    assert complete(fake, f"def f():\n{typed}¦\n").text == shown
    assert told_before(fake).endswith("def f():\n")


def test_a_line_ends_with_its_line_and_nothing_more_is_read(fake: CompletionsFake) -> None:
    fake.parts, fake.part_s = [" 1\n", *["z = 2\n"] * 2000], 0.005
    assert complete(fake, "y = ¦\n").text == "1"
    assert fake.hung_up.wait(5)


def test_a_body_is_taken_whole(fake: CompletionsFake) -> None:
    fake.parts = ["    a = 1\n", "    return a\n", "\ndef g():\n"]
    found = complete(fake, "def f():\n¦\n")
    assert found.text == "    a = 1\n    return a"
    assert fake.asked[0].body["max_tokens"] == Config().max_block_tokens


def test_what_breaks_the_syntax_is_not_suggested(fake: CompletionsFake) -> None:
    fake.parts = [" x)))"]
    found = complete(fake, "y =¦\n")
    assert (found.text, found.reason) == ("", "unsound")


def test_secrets_do_not_leave_the_machine(fake: CompletionsFake) -> None:
    complete(fake, f'key = "{SECRET}"\ny = ¦\nother = "{SECRET}"\n')
    assert SECRET not in told(fake)
    assert "key = " in told(fake)


@pytest.mark.parametrize("path", [".env", "id_rsa", "credentials.json"])
def test_nothing_of_a_secret_file_leaves_the_machine(fake: CompletionsFake, path: str) -> None:
    assert complete(fake, "y = ¦", path).reason == "secret file"
    assert fake.asked == []


def test_no_more_is_told_than_the_windows_hold(fake: CompletionsFake) -> None:
    lines = "".join(f"value_{number} = {number}\n" for number in range(3000))
    complete(fake, f"{lines}y = ¦\n{lines}", config=Config(prefix_tokens=200, suffix_tokens=50))
    assert len(told(fake)) < 3 * 250 + 100
    assert told_before(fake).endswith("value_2999 = 2999\ny =")


def test_words_of_the_prompt_format_in_the_code_stay_text(fake: CompletionsFake) -> None:
    complete(fake, 'a = "<|fim_middle|>"\ny = ¦\nb = "<|endoftext|>"\n')
    assert told(fake).count("<|fim_middle|>") == 1
    assert "<|endoftext|>" not in told(fake)


def test_the_project_is_told_like_files_of_a_repository(fake: CompletionsFake) -> None:
    text = f'def balance_of(account):\n    return account.balance  # "{SECRET}"\n'
    folder = Folder({"/shop/b.py": text})
    context = Context(folder, folder.index)
    complete(fake, "total = balance_of(¦\n", context=context)
    assert told(fake).startswith("<|repo_name|>")
    assert "def balance_of(account):" in told(fake)
    assert SECRET not in told(fake)
    complete(fake, "total = balance_of(¦\n", context=context, config=Config(context_tokens=0))
    assert told(fake).startswith("<|fim_prefix|>")
