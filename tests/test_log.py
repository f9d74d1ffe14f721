"""The log: one JSON object a line, as much of it as is wanted, and nothing of the user's in any."""

import json
import logging
from pathlib import Path

import pytest

from flash_ls.config import LEVELS
from flash_ls.errors import ModelError
from flash_ls.log import JsonLines
from tests.lsp_client import LspError, LspProcess, python_module, read_log

KEY = "AKIAQWERTYUIOPASDFGH"
PLANTED = ("planted", KEY, "private_project")


def line(message: str, *args: object, name: str = "flash_ls.server", error: BaseException | None = None) -> str:
    exc_info = (type(error), error, error.__traceback__) if error else None
    return JsonLines().format(logging.LogRecord(name, logging.WARNING, "f.py", 1, message, args, exc_info))


def test_a_line_is_an_object() -> None:
    said = json.loads(line("complete", {"file": "a.py", "ms": 80, "share": 0.5, "sure": True, "none": None}))
    assert list(said) == ["time", "level", "event", "file", "ms", "share", "sure", "none"]
    assert said["level"] == "warning"
    assert (said["event"], said["file"], said["ms"], said["none"]) == ("complete", "a.py", 80, None)
    assert "T" in said["time"]


def test_a_sentence_may_name_its_fields_and_have_a_percent_sign() -> None:
    told = json.loads(line("%(file)s cannot be read (%(error)s).", {"file": "a.py", "error": OSError(13, "Denied")}))
    assert told["event"] == "a.py cannot be read (Denied)."
    assert json.loads(line("100 % is too much"))["event"] == "100 % is too much"


@pytest.mark.parametrize(
    "text",
    [
        "/home/Jane Doe/private_project/a.py",
        "file:///home/jane/private_project/a.py",
        r"C:\Users\Jane Doe\private_project\a.py",
        "~/private_project/a.py",
        "see (/private_project/a.py)",
    ],
)
def test_folders_are_left_out(text: str) -> None:
    for told in (line(text), line("load", {"model": text}), line("%(error)s", {"error": ModelError(text)})):
        assert "private_project" not in told
        assert "ane" not in told
        assert "a.py" in told


@pytest.mark.parametrize("value", ["'planted words'", '"it\'s planted"', "['planted', 'planted']", "{'planted': 1}"])
def test_values_of_settings_are_left_out(value: str) -> None:
    told = json.loads(line(f"Setting model's must be text, not {value}; correct your editor's settings."))["event"]
    assert "planted" not in told
    assert told.startswith("Setting model's must be text, not ")
    assert told.endswith("; correct your editor's settings.")


def test_a_sentence_without_folders_stays() -> None:
    text = "Set and/or lower flashLs.min_confidence; 1/2 of `flash-ls model list`."
    assert json.loads(line(text))["event"] == text


def test_keys_are_masked() -> None:
    assert KEY not in line(f"The server refused {KEY}.")
    assert KEY not in line("load", {"model": KEY})


def test_of_what_others_say_only_the_kind_is_told() -> None:
    assert "planted" not in line("Cannot read %s", "planted", name="pygls.protocol")
    assert "pygls.protocol" in line("Cannot read %s", "planted", name="pygls.protocol")
    told = line("refused (%(error)s)", {"error": ValueError("planted")})
    assert json.loads(told)["event"] == "refused (ValueError)"


def test_of_an_error_its_way_is_told() -> None:
    try:
        int("planted")
    except ValueError as error:
        told = json.loads(line("It failed.", error=error))
    assert told["trace"][0] == "ValueError"
    assert "tests/test_log.py:" in told["trace"][1]
    assert "planted" not in json.dumps(told)


def session(client: LspProcess, level: str | None) -> None:
    """Everything that may go wrong, in a project with a name and with a key in the text."""
    options = {"log_level": level} if level else {}
    client.initialize(options=options, root="file:///home/private_project")
    uri = "file:///home/private_project/a.py"
    client.open(uri, "python", f"planted = '{KEY}'\nCRASH planted\nRAISE planted\nUNSURE planted {KEY}")
    for row in range(4):
        try:
            client.inline(uri, row, 13, triggerKind=1)
        except LspError:
            assert row == 1
    client.inline("file:///home/private_project/unknown.py", 0, 0)
    client.change("file:///home/private_project/unknown.py", 3, [{"text": "planted"}])
    client.notify("workspace/didChangeConfiguration", {"settings": {"model": [f"/home/private_project/{KEY}"]}})
    client.notify("workspace/didChangeConfiguration", {"settings": {"unheard_of": "planted"}})
    client.notify("textDocument/didChange", {"textDocument": "planted", "contentChanges": ["planted"]})
    client.notify("planted/method", {"planted": KEY})
    client.request("workspace/executeCommand", {"command": "flashLs.status"})
    client.close()


def events(client: LspProcess) -> list[str]:
    """Of all lines that the server itself wrote, which are its log."""
    return [read_log(line)[0] for line in client.errors if not line.startswith("fake: ")]


@pytest.mark.parametrize("level", LEVELS)
def test_a_session_logs_nothing_of_the_users_at_any_level(level: str) -> None:
    client = LspProcess(python_module("tests.fake_server", "ready"))
    session(client, level)
    said = events(client)
    assert any("error of its own" in event for event in said), "it has failed"
    assert not [word for word in PLANTED for line in client.errors if word in line]
    assert any("is not open" in event for event in said) == (level != "error")
    assert ("complete" in said) == (level in ("info", "debug"))
    assert all(" " in event for event in said if event not in ("load", "complete", "index", "workspace"))


def test_who_does_not_say_more_gets_what_is_wrong_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And who starts it with another level gets that."""
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path))
    for level, expected in (("warning", []), ("info", ["complete"])):
        client = LspProcess(python_module("flash_ls", "--log-level", level))
        client.initialize(options={"enabled": False})
        client.open("file:///a.py", "python", "x = ")
        client.inline("file:///a.py", 0, 4)
        client.close()
        assert events(client) == expected


def test_the_level_may_change() -> None:
    with LspProcess(python_module("tests.fake_server", "ready")) as client:
        client.initialize(options={"log_level": "error"})
        client.open("file:///a.py", "python", "words")
        client.inline("file:///a.py", 0, 5)
        client.notify("workspace/didChangeConfiguration", {"settings": {"log_level": "info"}})
        client.inline("file:///a.py", 0, 3)
        client.wait_until(lambda: "complete" in events(client))
        client.close()
        assert events(client).count("complete") == 1
