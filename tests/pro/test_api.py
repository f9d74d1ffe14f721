"""A completions server: what it is sent, what is taken of it, and how each of its faults ends in one sentence."""

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from flash_ls.deadline import Deadline
from flash_ls.errors import Cancelled, ProFailed
from flash_ls.pro.api import CompletionsServer, Said
from tests.completions_server import PATH, CompletionsFake, completions_server

KEY = "sk-test-0123456789"
GARBAGE = [
    b"",
    b"<html>not an API</html>\n",
    b'{"error": "no"}\n',
    b'{"choices": [{}]}\n',
    b'{"choices": [{"text": 5}]}\n',
    b'{"choices": 5}\n',
    b"[]\n",
    b"data: {\n\n",
    b"data: \xff\xfe\n\n",
    b"[" * 200_000 + b"\n",
    b"data: [DONE]\n\n",
    b"\0" * 100 + b"\n",
]


@pytest.fixture
def fake() -> Iterator[CompletionsFake]:
    with completions_server() as fake:
        yield fake


def ask(
    fake: CompletionsFake,
    key: str = "",
    budget_ms: float = 10_000,
    enough: str = "\0",
    deadline: Deadline | None = None,
) -> Said:
    server = CompletionsServer(fake.url, "big", key)
    return server.complete({"prompt": "x"}, lambda text: enough in text, deadline or Deadline(budget_ms))


def fault(fake: CompletionsFake, key: str = "", budget_ms: float = 10_000) -> str:
    """The sentence in which it ends, which names a setting or the key and has nothing secret in it."""
    with pytest.raises(ProFailed) as error:
        ask(fake, key, budget_ms)
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "flashLs.pro" in sentence or "FLASH_LS_PRO_KEY" in sentence
    assert KEY not in sentence
    return sentence


def test_the_parts_of_an_answer_make_a_text(fake: CompletionsFake) -> None:
    fake.parts = ["a", " = ", "é\n"]
    assert ask(fake) == Said("a = é\n", True)
    (asked,) = fake.asked
    assert asked.path == PATH
    assert asked.body == {"model": "big", "stream": True, "temperature": 0, "prompt": "x"}
    assert "authorization" not in asked.headers


def test_an_answer_in_one_piece_is_read_too(fake: CompletionsFake) -> None:
    fake.raw = b'{"choices": [{"text": "a", "finish_reason": "length"}]}'
    assert ask(fake) == Said("a", False)


def test_no_more_is_read_than_is_enough(fake: CompletionsFake) -> None:
    fake.parts, fake.part_s = [str(number % 10) for number in range(2000)], 0.005
    assert ask(fake, enough="345").text == "012345"
    assert fake.hung_up.wait(5)
    assert fake.sent < 1000


def test_a_cancelled_request_ends_at_once_and_hangs_up(fake: CompletionsFake) -> None:
    fake.parts, fake.part_s = ["x"] * 4000, 0.005
    deadline = Deadline(60_000)
    threading.Timer(0.2, deadline.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        ask(fake, deadline=deadline)
    assert time.monotonic() - began < 10
    assert fake.hung_up.wait(5)


def test_one_that_says_nothing_in_time_is_given_up(fake: CompletionsFake) -> None:
    fake.hold_s = 3.0
    began = time.monotonic()
    assert "took too long" in fault(fake, budget_ms=300)
    assert time.monotonic() - began < 2.5


def test_what_it_has_said_when_the_time_is_over_is_taken(fake: CompletionsFake) -> None:
    fake.parts, fake.part_s = ["x"] * 3, 3.0
    began = time.monotonic()
    assert ask(fake, budget_ms=1000) == Said("x", False)
    assert time.monotonic() - began < 2.8


@pytest.mark.parametrize("raw", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_no_answer_is_said_to_be_none(fake: CompletionsFake, raw: bytes) -> None:
    fake.raw = raw
    assert "does not speak" in fault(fake)


def test_an_endless_answer_is_cut_off(fake: CompletionsFake) -> None:
    fake.parts = ["x" * 100_000] * 100
    assert len(ask(fake, budget_ms=60_000).text) < 2_000_000


def test_one_that_is_down_or_hangs_up_is_said_to_be(fake: CompletionsFake) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        fake.url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        assert "cannot be reached" in fault(fake)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_refusal_is_told_by_its_number_alone(fake: CompletionsFake, status: int) -> None:
    fake.status, fake.raw = status, f"your key {KEY} is wrong".encode()
    assert f"status {status}" in fault(fake, KEY)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told(fake: CompletionsFake, status: int) -> None:
    fake.status = status
    assert "FLASH_LS_PRO_KEY" in fault(fake, KEY)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_code_and_key_go_nowhere_else(fake: CompletionsFake, status: int) -> None:
    with completions_server() as other:
        fake.status, fake.location = status, other.url
        assert f"status {status}" in fault(fake, KEY)
        assert other.asked == []


def test_a_proxy_in_the_environment_is_not_used(fake: CompletionsFake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(fake).text == "pass"


def test_the_key_is_sent_and_never_told(fake: CompletionsFake, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ask(fake, KEY)
        fake.raw = b"garbage"
        fault(fake, KEY)
    assert [asked.headers["authorization"] for asked in fake.asked] == [f"Bearer {KEY}"] * 2
    assert KEY not in caplog.text
    assert KEY not in repr(CompletionsServer(fake.url, "big", KEY))
    assert KEY not in str(fake.asked[0].body)


@pytest.mark.parametrize("key", [f"{KEY}\n\rX: y", f"{KEY}é", f"{KEY}\0"])
def test_a_key_that_is_none_is_not_sent(fake: CompletionsFake, key: str) -> None:
    assert "FLASH_LS_PRO_KEY" in fault(fake, key)
    assert fake.asked == []


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org"])
def test_a_key_is_not_sent_unencrypted_to_another_machine(fake: CompletionsFake, host: str) -> None:
    fake.url = f"http://{host}:1/v1"
    assert "https" in fault(fake, KEY)
