"""The protocol, spoken to a real server process over stdio."""

import itertools
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flash_ls import presence
from flash_ls.outcomes import Record
from flash_ls.server import MOST_ROOTS
from flash_ls.session import MOST_TOLD
from flash_ls.statistics import Statistics, total
from tests.lsp_client import INLINE, Call, LspError, LspProcess, python_module

NUMBERS = itertools.count()
WAIT_S = 10
WATCHING = {**INLINE, "workspace": {"didChangeWatchedFiles": {"dynamicRegistration": True}}}
CHANGED_FILES = "workspace/didChangeWatchedFiles"
PROGRESS = {**INLINE, "window": {"workDoneProgress": True}}
SHOWS_STATUS = {**INLINE, "experimental": {"flashLs": {"status": True}}}


def start(mode: str) -> LspProcess:
    return LspProcess(python_module("tests.fake_server", mode))


def logged(client: LspProcess, text: str) -> int:
    return sum(text in line for line in client.log)


def await_log(client: LspProcess, text: str, times: int = 1) -> None:
    client.wait_until(lambda: logged(client, text) >= times)


def loaded(client: LspProcess, **arguments: Any) -> LspProcess:
    client.initialize(**arguments)
    await_log(client, "reason=ready")
    return client


def opened(client: LspProcess, text: str) -> str:
    """The URI of a new document."""
    uri = f"file:///home/{next(NUMBERS)}.py"
    client.open(uri, "python", text)
    return uri


def running(client: LspProcess, uri: str, work: str) -> Call:
    """A request that the worker has begun, at the end of the first line."""
    before = logged(client, f"fake: {work.lower()}")
    call = client.start_inline(uri, 0, 99)
    await_log(client, f"fake: {work.lower()}", before + 1)
    return call


def shown(client: LspProcess) -> list[str]:
    """The messages the user sees, after all that was sent has been handled."""
    with pytest.raises(LspError, match="Method Not Found"):
        client.request("test/ping")
    return [message["message"] for message in client.heard("window/showMessage")]


def span(line: int, start: int, end: int) -> dict[str, dict[str, int]]:
    return {"start": {"line": line, "character": start}, "end": {"line": line, "character": end}}


def item(text: str, line: int, start: int, end: int) -> list[dict[str, Any]]:
    return [{"insertText": text, "range": span(line, start, end)}]


@pytest.fixture(scope="module")
def client() -> Iterator[LspProcess]:
    """A server that has loaded, shared by the tests that leave it as it was."""
    with start("ready") as client:
        yield loaded(client)
    assert client.garbage == []
    assert logged(client, "secret") == 0, "no code in the log"


def test_a_client_with_inline_completion_is_offered_only_that(client: LspProcess) -> None:
    offered = client.result["capabilities"]
    assert offered["inlineCompletionProvider"] == {}
    assert "completionProvider" not in offered
    assert offered["textDocumentSync"]["change"] == 2


def test_a_client_without_it_gets_a_menu_item() -> None:
    with start("ready") as client:
        offered = loaded(client, capabilities={}).result["capabilities"]
        assert {"inlineCompletionProvider", "completionProvider"} <= offered.keys()
        uri = opened(client, "x = ret\n")
        place = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 7}}
        menu = client.request("textDocument/completion", place)
        assert menu["isIncomplete"]
        assert menu["items"] == [
            {
                "label": "retx = ret|",
                "kind": 1,
                "sortText": "!",
                "filterText": "retx = ret|",
                "insertTextMode": 1,
                "textEdit": {"range": span(0, 4, 7), "newText": "retx = ret|"},
            }
        ]
        uri = opened(client, "SEVERAL")
        place = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 7}}
        assert len(client.request("textDocument/completion", place)["items"]) == 1
        await_log(client, "fake: asked for 1")
        uri = opened(client, "EMPTY")
        place = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 5}}
        assert client.request("textDocument/completion", place) == {"isIncomplete": True, "items": []}


@pytest.mark.parametrize(
    "context",
    [
        pytest.param({"context": {"triggerKind": 0}}, id="0"),
        pytest.param({"context": {"triggerKind": 1}}, id="invoked"),
        pytest.param({"context": {"triggerKind": 2}}, id="automatic"),
        pytest.param({"context": {"triggerKind": 99}}, id="unknown"),
        pytest.param({"context": {}}, id="no kind"),
        pytest.param({"context": None}, id="null"),
        pytest.param({}, id="no context"),
    ],
)
def test_any_trigger_is_legal(client: LspProcess, context: dict[str, Any]) -> None:
    uri = opened(client, "ab")
    params = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 1}, **context}
    assert client.request("textDocument/inlineCompletion", params) == item("a|b", 0, 1, 1)


def test_ranges_may_be_arrays(client: LspProcess) -> None:
    uri = opened(client, "hello")
    places = [{"line": 0, "character": 0}, {"line": 0, "character": 4}]
    client.change(uri, 2, [{"range": places, "text": "J"}])
    assert client.inline(uri, 0, 2) == item("Jo|", 0, 2, 2)
    selected = {"range": [*places[:1], {"line": 0, "character": 2}], "text": "Joy"}
    assert client.inline(uri, 0, 2, selectedCompletionInfo=selected) == item("JoyJoy|", 0, 0, 2)


def test_nothing_to_show_is_null(client: LspProcess) -> None:
    assert client.inline(opened(client, "EMPTY"), 0, 5) is None


def test_who_asks_gets_several_and_the_unsure(client: LspProcess) -> None:
    uri = opened(client, "SEVERAL UNSURE")
    asked = client.inline(uri, 0, 14, triggerKind=1)
    assert [one["insertText"][-2:] for one in asked] == ["E|", "|2", "|3"]
    assert client.inline(uri, 0, 14, triggerKind=2) is None
    assert len(client.inline(opened(client, "SEVERAL"), 0, 7, triggerKind=2)) == 1


def test_the_range_of_the_completion_is_kept(client: LspProcess) -> None:
    assert client.inline(opened(client, "CLOSE(n)\n"), 0, 7) == item("CLOSE(n|)", 0, 7, 8)


def test_a_selected_item_is_extended_or_left_alone(client: LspProcess) -> None:
    uri = opened(client, "x.app")
    info = {"range": span(0, 2, 5), "text": "append"}
    assert client.inline(uri, 0, 5, selectedCompletionInfo=info) == item("appendx.append|", 0, 2, 5)
    elsewhere = {"range": span(0, 0, 1), "text": "y"}
    assert client.inline(uri, 0, 5, selectedCompletionInfo=elsewhere) is None


def edit_and_complete(client: LspProcess, emoji: int, accent: int) -> None:
    """With every line end and none, in an encoding in which the characters are so many units wide."""
    uri = opened(client, "a\x0cb\u2028\r\n😀 = (\r\n")
    client.change(uri, 2, [{"range": span(1, emoji, emoji), "text": "é😀"}])
    client.change(uri, 3, [{"range": span(1, 0, emoji), "text": ""}, {"range": span(0, 3, 3), "text": "\x0b"}])
    column = accent + emoji + len(" = (")
    assert client.inline(uri, 1, column) == item("é😀 = (|", 1, column, column)
    client.change(uri, 4, [{"text": "😀\rCLOSE 😀😀"}])
    assert client.inline(uri, 1, 6 + emoji) == item("CLOSE 😀|😀", 1, 6 + emoji, 6 + 2 * emoji)


def test_positions_count_utf_16_units_unless_agreed_otherwise(client: LspProcess) -> None:
    assert client.result["capabilities"]["positionEncoding"] == "utf-16"
    edit_and_complete(client, emoji=2, accent=1)


@pytest.mark.parametrize(("encoding", "emoji", "accent"), [("utf-8", 4, 2), ("utf-32", 1, 1)])
def test_positions_are_in_the_encoding_agreed_on(encoding: str, emoji: int, accent: int) -> None:
    with start("ready") as client:
        loaded(client, encoding=encoding)
        assert client.result["capabilities"]["positionEncoding"] == encoding
        edit_and_complete(client, emoji, accent)


def test_spellings_of_a_uri_are_one_document(client: LspProcess) -> None:
    client.open("file:///c%3A/x.py", "python", "a")
    client.change("file:///C:/x.py", 2, [{"range": span(0, 1, 1), "text": "b"}])
    assert client.inline("file:///c:/x.py", 0, 2) == item("ab|", 0, 2, 2)


def test_a_newer_request_has_the_older_answered_at_once(client: LspProcess) -> None:
    uri = opened(client, "STUBBORN")
    older = running(client, uri, "STUBBORN")
    newer = client.start_inline(uri, 0, 0)
    ping = client.start("test/ping")
    assert client.wait(newer) == item("|STUBBORN", 0, 0, 0)
    assert client.wait(older) is None
    assert sorted(client.arrivals[-3:-1]) == [older.id, ping.id]
    assert client.arrivals[-1] == newer.id


def test_the_loop_answers_while_the_worker_is_busy(client: LspProcess) -> None:
    busy = running(client, opened(client, "STUBBORN"), "STUBBORN")
    assert client.inline("file:///unknown.py", 0, 0) is None
    assert not busy.answer.done()
    assert client.wait(busy) == item("STUBBORN|", 0, 8, 8)


@pytest.mark.parametrize("how", ["change", "close", "open"])
def test_a_document_that_changes_needs_no_old_answer(client: LspProcess, how: str) -> None:
    uri, cancelled = opened(client, "BUSY"), logged(client, "fake: cancelled")
    call = running(client, uri, "BUSY")
    if how == "change":
        client.change(uri, 2, [{"range": span(0, 0, 0), "text": "x"}])
    elif how == "close":
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    else:
        client.open(uri, "python", "again")
    assert client.wait(call) is None
    await_log(client, "fake: cancelled", cancelled + 1)


def test_a_change_leaves_other_documents_alone(client: LspProcess) -> None:
    call = running(client, opened(client, "1 STUBBORN"), "STUBBORN")
    client.change(opened(client, ""), 2, [{"text": "x"}])
    assert client.wait(call) == item("1 STUBBORN|", 0, 10, 10)


def test_the_client_cancels(client: LspProcess) -> None:
    cancelled = logged(client, "fake: cancelled")
    call = running(client, opened(client, "BUSY"), "BUSY")
    client.cancel(call)
    with pytest.raises(LspError, match="-32800"):
        client.wait(call)
    await_log(client, "fake: cancelled", cancelled + 1)


def test_an_error_is_told_once(client: LspProcess) -> None:
    uri = opened(client, "RAISE")
    assert [client.inline(uri, 0, 5) for _ in range(3)] == [None] * 3
    assert shown(client).count("The model is broken; run `flash-ls model verify`.") == 1


def test_a_bug_is_answered_with_an_error_and_survived(client: LspProcess) -> None:
    uri = opened(client, "CRASH")
    for _ in range(2):
        with pytest.raises(LspError, match="ZeroDivisionError"):
            client.inline(uri, 0, 5)
    assert sum("error of its own" in message for message in shown(client)) == 1
    assert client.inline(uri, 0, 1) == item("C|RASH", 0, 1, 1)


def test_a_bad_place_or_document_is_survived(client: LspProcess) -> None:
    uri, before = opened(client, "ab\ncd"), shown(client)
    assert client.inline("file:///never/opened.py", 0, 0) is None
    assert client.inline(uri, 99, 99) == item("cd|", 1, 2, 2)
    assert client.inline(uri, -1, 2**40) == item("ab|", 0, 2, 2)
    client.change("file:///never/opened.py", 1, [{"text": "x"}])
    client.change(uri, -5, [{"range": span(7, 99, 99), "text": "!"}])
    client.notify("textDocument/didOpen", {"textDocument": "secret"})
    client.notify("test/unknown", {"text": "secret"})
    with pytest.raises(LspError, match="-32602"):
        client.request("textDocument/inlineCompletion", {"position": "secret"})
    assert client.inline(uri, 1, 9) == item("cd!|", 1, 3, 3)
    assert shown(client) == before


def test_prints_do_not_reach_the_client(client: LspProcess) -> None:
    assert client.inline(opened(client, "PRINT"), 0, 5) == item("PRINT|", 0, 5, 5)
    await_log(client, "must not come between")


def test_one_line_is_logged_for_a_request(client: LspProcess) -> None:
    uri = opened(client, "secret = 1")
    client.inline(uri, 0, 6)
    name = f"file={uri.rsplit('/', 1)[-1]} "
    await_log(client, name)
    assert logged(client, name) == 1
    assert logged(client, "version=1 reason=stop ms=") >= 1
    assert logged(client, "prompt_tokens=7 cached_tokens=3") >= 1


def test_a_document_that_is_too_large_is_told_once() -> None:
    with loaded(start("ready"), options={"max_file_bytes": 10}) as client:
        uri = opened(client, "x" * 11)
        assert [client.inline(uri, 0, 0) for _ in range(2)] == [None, None]
        assert len([message for message in shown(client) if "larger than 10 bytes" in message]) == 1
        client.change(uri, 2, [{"text": "small"}])
        assert client.inline(uri, 0, 5) == item("small|", 0, 5, 5)


def test_nobody_has_to_click_away_more_than_so_many_messages() -> None:
    with loaded(start("ready"), options={"max_file_bytes": 1}) as client:
        for _ in range(MOST_TOLD + 5):
            client.inline(opened(client, "too large"), 0, 0)
        assert len(shown(client)) == MOST_TOLD


def test_more_folders_than_may_be_are_not_all_read(tmp_path: Path) -> None:
    folders = [{"uri": (tmp_path / str(number)).as_uri(), "name": str(number)} for number in range(MOST_ROOTS + 1)]
    with loaded(start("ready")) as client:
        client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": folders, "removed": []}})
        await_log(client, f"The project has {MOST_ROOTS + 1} folders, of which {MOST_ROOTS} are read.")


def test_settings() -> None:
    def change(settings: object) -> None:
        client.notify("workspace/didChangeConfiguration", {"settings": settings})

    def settings_used() -> str:
        return str(client.inline(uri, 0, 8)[0]["insertText"])

    with start("ready") as client:
        configurable = {**INLINE, "workspace": {"configuration": True}}
        loaded(client, options={"flashLs": {"budget_ms": 123, "colour": "red"}}, capabilities=configurable)
        uri = opened(client, "SETTINGS")
        assert settings_used() == "flash 123"
        change({"budget_ms": 45})
        assert settings_used() == "flash 45"
        change({"flashLs": {"budget_ms": "fast"}})
        change({"budget_ms": "fast"})
        change(["fast"])
        assert settings_used() == "flash 45"
        change({"colour": "red"})
        assert settings_used() == "flash 123"
        client.settings = {"budget_ms": 678}
        change(None)
        client.wait_until(lambda: bool(client.heard("workspace/configuration")))
        assert [message.partition(";")[0] for message in shown(client)] == [
            "flash-ls has no setting flashLs.colour",
            "Setting budget_ms must be of type int, not 'fast'",
            "Settings must be an object, not ['fast']",
        ]
        assert settings_used() == "flash 678"
        change({"model": "other"})
        await_log(client, "reason=ready model=other")
        assert settings_used() == "other 123"


def test_no_model_is_loaded_until_completions_are_enabled() -> None:
    with start("ready") as client:
        client.initialize(options={"enabled": False})
        assert client.inline(opened(client, "ab"), 0, 1) is None
        assert logged(client, "fake: loads") == 0
        client.notify("workspace/didChangeConfiguration", {"settings": {"enabled": True}})
        await_log(client, "reason=ready")


def test_progress_of_a_load() -> None:
    with start("slow") as client:
        client.initialize(capabilities=PROGRESS)
        assert client.inline(opened(client, "ab"), 0, 1) is None, "must not wait for the model"
        client.wait_until(lambda: any(told["value"]["kind"] == "end" for told in client.heard("$/progress")))
        kinds = [told["value"]["kind"] for told in client.heard("$/progress")]
        assert kinds == ["begin", *["report"] * (len(kinds) - 2), "end"]
        assert 1 <= len(kinds) - 2 < 20, "throttled"
        assert len(client.heard("window/workDoneProgress/create")) == 1


def test_no_progress_for_a_client_that_cannot_show_it(client: LspProcess) -> None:
    assert client.heard("window/workDoneProgress/create") == client.heard("$/progress") == []


def test_a_missing_model_is_told_once_and_the_server_lives_on() -> None:
    with start("missing") as client:
        client.initialize()
        client.wait_until(lambda: bool(client.heard("window/showMessage")))
        uri = opened(client, "ab")
        assert [client.inline(uri, 0, 1) for _ in range(2)] == [None, None]
        assert shown(client) == ["There is no model flash; run `flash-ls model build`."]


def test_another_model_replaces_the_one_that_is_being_built() -> None:
    with start("endless") as client:
        client.initialize()
        await_log(client, "fake: builds flash")
        client.notify("workspace/didChangeConfiguration", {"settings": {"model": "other"}})
        await_log(client, "fake: builds other")
        assert logged(client, "fake: build stopped") == 1


@pytest.mark.parametrize("leave", ["close", "hang_up"])
def test_leaving_stops_a_build(leave: str) -> None:
    client = start("endless")
    client.initialize(capabilities=PROGRESS)
    await_log(client, "fake: builds")
    began = time.monotonic()
    assert getattr(client, leave)() == (0 if leave == "close" else 1)
    assert time.monotonic() - began < 1.5
    assert logged(client, "fake: build stopped") == 1


def pasted(client: LspProcess, text: str) -> str:
    """The URI of a document whose second line has just become `text`."""
    uri = opened(client, "first\n\nlast")
    client.change(uri, 2, [{"range": span(1, 0, 0), "text": text}])
    return uri


def test_text_that_changes_without_a_request_is_read_ahead_to_where_it_changed(client: LspProcess) -> None:
    end = f"fake: reads to {len('first') + 1 + len('one, two, three')}"
    before = logged(client, end)
    pasted(client, "one, two, three")
    await_log(client, end, before + 1)
    assert logged(client, end) == before + 1


def test_a_request_stops_the_reading_ahead(client: LspProcess) -> None:
    cancelled = logged(client, "fake: cancelled")
    pasted(client, "SLOWLY and some more")
    await_log(client, f"fake: reads to {len('first') + 1 + len('SLOWLY and some more')}")
    uri = opened(client, "x")
    assert client.inline(uri, 0, 1) == item("x|", 0, 1, 1)
    await_log(client, "fake: cancelled", cancelled + 1)


def test_somebody_who_types_on_is_not_read_ahead(client: LspProcess) -> None:
    uri = pasted(client, "a")
    client.change(uri, 3, [{"range": span(1, 1, 1), "text": "bcdefghi"}])
    await_log(client, "fake: reads to 15")
    assert logged(client, "fake: reads to 7") == 0


@pytest.mark.parametrize("work", ["BUSY", "STUBBORN"])
def test_end_of_input_ends_a_busy_server(work: str) -> None:
    client = loaded(start("ready"))
    running(client, opened(client, work), work)
    began = time.monotonic()
    assert client.hang_up() == 1
    assert time.monotonic() - began < 1.5
    assert logged(client, "fake: cancelled") == (work == "BUSY")
    assert not client.faults


def test_a_broken_pipe_ends_the_server() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = python_module("tests.fake_server", "ready")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    body = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}'
    assert process.stdin
    process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    process.stdin.flush()
    assert process.wait(10) == 1
    process.stdin.close()


# --- the project ---


def asked(client: LspProcess, text: str) -> str:
    """What the project says about a text, as the fake completer was told it."""
    found: str = client.inline(opened(client, f"{text} {next(NUMBERS)} PROJECT"), 0, 99)[0]["insertText"]
    return found


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def test_the_project_is_known_and_kept_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "price.py").write_text("discount = 1")
    (tmp_path / "keys.py").write_text("token_of_aws = 'AKIA" + "QWERTYUIOPASDFGH'")
    (tmp_path / ".env").write_text("PLANTED=1")
    with start("ready") as client:
        loaded(client, root=tmp_path.as_uri(), capabilities=WATCHING)
        await_log(client, "index files=2")
        client.wait_until(lambda: client.heard("client/registerCapability") != [])
        assert client.heard("client/registerCapability")[0]["registrations"][0]["method"] == CHANGED_FILES
        assert asked(client, "discount") == "price.py=discount = 1"
        assert asked(client, "PLANTED") == "nothing"
        assert "AKIA" not in asked(client, "token_of_aws")
        (tmp_path / "price.py").write_text("rebate = 2")
        client.notify(CHANGED_FILES, {"changes": [{"uri": (tmp_path / "price.py").as_uri(), "type": 2}]})
        until(lambda: asked(client, "rebate") == "price.py=rebate = 2")


def test_what_is_typed_in_one_file_is_known_in_another_after_a_pause(tmp_path: Path) -> None:
    (tmp_path / "price.py").write_text("discount = 1")
    with start("ready") as client:
        loaded(client, root=tmp_path.as_uri())
        await_log(client, "index files=1")
        uri = (tmp_path / "price.py").as_uri()
        client.open(uri, "python", "discount = 1")
        client.change(uri, 2, [{"text": "unsaved_name = 3"}])
        until(lambda: asked(client, "unsaved_name") == "price.py=unsaved_name = 3")
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        until(lambda: asked(client, "discount") == "price.py=discount = 1")


@pytest.mark.parametrize(("options", "default"), [({"context_tokens": 0}, 600), ({"exclude": ["price*"]}, [])])
def test_a_project_that_is_not_wanted_is_not_known(options: dict[str, Any], default: object, tmp_path: Path) -> None:
    (tmp_path / "price.py").write_text("discount = 1")
    with start("ready") as client:
        loaded(client, root=tmp_path.as_uri(), options=options)
        assert asked(client, "discount") == "nothing"
        client.notify("workspace/didChangeConfiguration", {"settings": {"flashLs": dict.fromkeys(options, default)}})
        until(lambda: asked(client, "discount") == "price.py=discount = 1")


def test_where_the_cursor_rests_is_read_ahead(client: LspProcess) -> None:
    uri, told = opened(client, "first\nsecond\n"), shown(client)
    for nonsense in (
        {},
        None,
        {"textDocument": {"uri": uri}},
        {"textDocument": {"uri": uri}, "position": {"line": "x"}},
    ):
        client.notify("flashLs/didMoveCursor", nonsense)
    client.notify("flashLs/didMoveCursor", {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 3}})
    await_log(client, "fake: reads to 9")
    assert shown(client) == told


# --- the status ---


def statuses(client: LspProcess) -> list[tuple[str, str]]:
    return [(told["state"], told["reason"]) for told in client.heard("flashLs/status")]


def await_status(client: LspProcess, state: str, reason: str) -> str:
    """The message that comes with it."""
    client.wait_until(lambda: statuses(client)[-1:] == [(state, reason)])
    return str(client.heard("flashLs/status")[-1]["message"])


def configure(client: LspProcess, settings: dict[str, object]) -> None:
    client.notify("workspace/didChangeConfiguration", {"settings": settings})


def told(client: LspProcess, arguments: object = None) -> dict[str, Any]:
    """What our command says."""
    answer = client.request("workspace/executeCommand", {"command": "flashLs.status", "arguments": arguments})
    return dict(answer)


def test_a_client_that_shows_the_status_is_told_of_it() -> None:
    with start("slow") as client:
        client.initialize(capabilities=SHOWS_STATUS)
        await_status(client, "ready", "")
        assert statuses(client) == [("loading", "loading"), ("ready", "")]
        uri = opened(client, "UNSURE EMPTY\nSTUBBORN\nRAISE")
        client.inline(uri, 0, 6)
        assert "not sure enough" in await_status(client, "ready", "unsure")
        client.inline(uri, 0, 12)
        await_status(client, "ready", "empty")
        client.inline(uri, 1, 8)
        await_status(client, "ready", "shown")
        assert statuses(client)[-3:] == [("ready", "empty"), ("thinking", ""), ("ready", "shown")]
        client.inline(uri, 2, 5)
        await_status(client, "error", "error")
        configure(client, {"enabled": False})
        assert "flashLs.enabled" in await_status(client, "off", "disabled")
        assert client.inline(uri, 0, 6) is None
        assert told(client)["reasons"]["disabled"] == 1
        configure(client, {"enabled": True})
        await_status(client, "ready", "")
        assert ("loading", "loading") in statuses(client)[-2:]


def test_a_model_that_is_missing_is_an_error_until_there_is_one() -> None:
    with start("missing") as client:
        client.initialize(capabilities=SHOWS_STATUS)
        assert await_status(client, "error", "error") == "There is no model flash; run `flash-ls model build`."
        client.inline(opened(client, "ab"), 0, 1)
        client.inline("file:///unknown.py", 0, 1)
        await_log(client, "reason=not open")
        assert logged(client, "reason=error") == 1
        assert told(client)["message"] == "There is no model flash; run `flash-ls model build`."


def test_a_bug_of_the_load_is_an_error_as_well() -> None:
    with start("broken") as client:
        client.initialize(capabilities=SHOWS_STATUS)
        assert "error of its own" in await_status(client, "error", "error")


def test_switched_off_while_it_works_it_says_so() -> None:
    with loaded(start("ready")) as client:
        call = running(client, opened(client, "STUBBORN"), "STUBBORN")
        time.sleep(0.15)
        configure(client, {"enabled": False})
        assert client.inline(opened(client, "words"), 0, 5) is None
        assert told(client)["reasons"] == {"disabled": 1}
        client.wait(call)


@pytest.mark.parametrize("experimental", [None, {}, {"flashLs": True}, {"flashLs": {"status": False}}, ["flashLs"]])
def test_a_client_that_does_not_show_it_is_not_told(experimental: object) -> None:
    with start("ready") as client:
        loaded(client, capabilities={**INLINE, "experimental": experimental})
        client.inline(opened(client, "ab"), 0, 1)
        assert client.heard("flashLs/status") == []


@pytest.mark.parametrize("understood", [True, False])
def test_who_can_ask_again_is_told_when_there_is_more(understood: bool) -> None:
    with start("ready") as client:
        loaded(client, capabilities={**INLINE, "experimental": {"flashLs": {"refresh": understood}}})
        uri = opened(client, "LINES")
        assert client.inline(uri, 0, 5)[0]["insertText"] == "LINES"
        until(lambda: client.inline(uri, 0, 5)[0]["insertText"] == "LINES|")
        assert client.heard("flashLs/refresh") == [{"uri": uri}] * understood


@pytest.mark.parametrize("stays", [True, False])
def test_who_typed_before_the_model_was_loaded_is_told_to_ask_again(stays: bool) -> None:
    with start("slow") as client:
        client.initialize(capabilities={**INLINE, "experimental": {"flashLs": {"status": True, "refresh": True}}})
        uri = opened(client, "words")
        assert client.inline(uri, 0, 5) is None
        if not stays:
            client.change(uri, 2, [{"text": "words x"}])
        await_status(client, "ready", "")
        assert client.inline(uri, 0, 5)[0]["insertText"]
        assert client.heard("flashLs/refresh") == [{"uri": uri, "better": True}] * stays


@pytest.mark.parametrize("arguments", [None, [], ["nonsense", 1]])
def test_the_command_tells_of_the_last_requests(client: LspProcess, arguments: object) -> None:
    assert "flashLs.status" in client.result["capabilities"]["executeCommandProvider"]["commands"]
    uri = opened(client, f"secret = {next(NUMBERS)} EMPTY")
    client.inline(uri, 0, 99)
    client.inline(uri, 0, 11)
    said = told(client, arguments)
    assert [said[key] for key in ("state", "reason", "model", "precision")] == ["ready", "shown", "flash", "int8"]
    assert said["version"] == client.result["serverInfo"]["version"]
    assert time.time() - 600 < said["since"] < time.time()
    assert [entry["reason"] for entry in said["entries"][-2:]] == ["empty", "shown"]
    last = said["entries"][-1]
    assert last["file"] == uri.rsplit("/", 1)[-1]
    assert (last["language"], last["prompt_tokens"], last["cached_tokens"], last["called"]) == ("python", 7, 3, True)
    assert said["reasons"]["empty"] > 0
    assert "secret" not in json.dumps(said)


def test_a_request_without_a_document_is_told_as_well() -> None:
    with loaded(start("ready"), options={"max_file_bytes": 10}) as client:
        client.inline("file:///unknown.py", 0, 0)
        client.inline(opened(client, "x" * 11), 0, 0)
        assert [entry["reason"] for entry in told(client)["entries"]] == ["not open", "too large"]
        await_log(client, "file=unknown.py version=0 reason=not open ms=0 prompt_tokens=0 cached_tokens=0")


def test_a_request_ends_in_one_reason(client: LspProcess) -> None:
    before = Counter(told(client)["reasons"])
    uri = opened(client, f"{next(NUMBERS)} STUBBORN")
    older = running(client, uri, "STUBBORN")
    client.inline(uri, 0, 0)
    client.wait(older)
    busy = running(client, opened(client, f"{next(NUMBERS)} BUSY"), "BUSY")
    client.cancel(busy)
    with pytest.raises(LspError, match="-32800"):
        client.wait(busy)
    with pytest.raises(LspError, match="ZeroDivisionError"):
        client.inline(opened(client, "CRASH"), 0, 5)
    assert Counter(told(client)["reasons"]) - before == {"superseded": 1, "shown": 1, "cancelled": 1, "error": 1}


# --- what becomes of it ---


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def counted(home: Path) -> dict[str, Counter[str]]:
    """What was counted in all, by the first part of its name."""
    found: dict[str, Counter[str]] = {}
    for name, number in total(Statistics(home).load()).items():
        kind, _, rest = name.partition("/")
        found.setdefault(kind, Counter())[rest] = number
    return found


def take(client: LspProcess, uri: str, item: dict[str, Any]) -> None:
    """Put a suggestion into the document as an editor would."""
    client.change(uri, 2, [{"range": item["range"], "text": item["insertText"]}])


def test_what_becomes_of_suggestions_is_counted(home: Path) -> None:
    with start("ready") as client:
        loaded(client)
        client.open("file:///c%3A/x.py", "python", "😀 = 1\r\n😀 CLOSE(n)\r\n")
        [item] = client.inline("file:///C:/x.py", 1, 9)
        take(client, "file:///c:/x.py", item)
        uri = opened(client, "some words")
        client.inline(uri, 0, 4)
        for number, key in enumerate("else"):
            client.change(uri, 2 + number, [{"range": span(0, 4 + number, 4 + number), "text": key}])
        uri = opened(client, "again")
        [item] = client.inline(uri, 0, 5)
        client.change(uri, 2, [{"text": "again" + item["insertText"]}])
        uri = opened(client, "asked for")
        take(client, uri, client.inline(uri, 0, 9, triggerKind=1)[0])
        uri = opened(client, "x.app")
        info = {"range": span(0, 2, 5), "text": "append"}
        take(client, uri, client.inline(uri, 0, 5, selectedCompletionInfo=info)[0])
        uri = opened(client, "closed")
        [item] = client.inline(uri, 0, 6)
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        client.open(uri, "python", "closed")
        take(client, uri, item)
    counts = counted(home)
    assert counts["outcome"] == {"python/accepted": 2, "python/rejected": 1, "python/withdrawn": 1}
    assert counts["reason"] == {"shown": 6}
    assert counts["tokens"] == {"prompt": 42, "cached": 18}
    assert counts["characters"]["typed"] == 4
    assert counts["characters"]["saved"] == len("CLOSE(n|") + 2 - 1 + len("again|")


def test_a_load_is_no_cost_of_suggestions(home: Path) -> None:
    with start("slow") as client:
        loaded(client)
    assert 0 < counted(home)["cpu"]["ms"] < 250


@pytest.mark.parametrize("when", ["from the start", "later"])
def test_nothing_is_counted_where_that_is_off(home: Path, when: str) -> None:
    with start("ready") as client:
        loaded(client, options={"statistics": when == "later"})
        if when == "later":
            configure(client, {"statistics": False})
        uri = opened(client, "words")
        take(client, uri, client.inline(uri, 0, 5)[0])
        assert told(client)["reasons"] == {"shown": 1}
    assert counted(home).keys() <= {"cpu"}


def test_what_was_read_for_nothing_is_counted(home: Path) -> None:
    with start("ready") as client:
        loaded(client)
        uri = opened(client, "BUSY")
        older = running(client, uri, "BUSY")
        client.change(uri, 2, [{"text": "other"}])
        client.inline(uri, 0, 5)
        client.wait(older)
    counts = counted(home)
    assert counts["reason"] == {"superseded": 1, "shown": 1}
    assert counts["tokens"] == {"prompt": 14, "cached": 6}


def test_a_client_that_is_gone_is_counted_too(home: Path) -> None:
    client = loaded(start("ready"), capabilities=SHOWS_STATUS)
    uri = opened(client, "words")
    take(client, uri, client.inline(uri, 0, 5)[0])
    client.inline(opened(client, "other"), 0, 5)
    running(client, opened(client, "BUSY"), "BUSY")
    time.sleep(0.15)
    client.hang_up()
    assert counted(home)["outcome"] == {"python/accepted": 1, "python/withdrawn": 1}
    assert presence.running(presence.folder_in(home)) == []
    assert not client.faults


def test_two_servers_count_together(home: Path) -> None:
    with loaded(start("ready")) as one, loaded(start("ready")) as other:
        until(lambda: [said["state"] for said in presence.running(presence.folder_in(home))] == ["ready", "ready"])
        for client in (one, other):
            client.inline(opened(client, "words"), 0, 5)
    assert counted(home)["reason"] == {"shown": 2}
    assert presence.running(presence.folder_in(home)) == []


def test_the_threshold_follows_its_user_and_the_setting_stays(home: Path) -> None:
    statistics = Statistics(home)
    for _ in range(500):
        statistics.add(Record(time.time(), "python", "line", 10, 0, "rejected", 80.0, 0.45))
    statistics.flush()

    def least(client: LspProcess) -> float:
        """Asked for, so that it is not known already."""
        answer = client.inline(opened(client, "CONFIDENCE"), 0, 10, triggerKind=1)
        return float(answer[0]["insertText"])

    with start("ready") as client:
        loaded(client)
        until(lambda: least(client) > 0.4)
        configure(client, {"min_confidence": 0.2})
        until(lambda: 0.25 < least(client) <= 0.4)
        configure(client, {"min_confidence": 0.2, "statistics": False})
        until(lambda: least(client) == 0.2)
        configure(client, {"min_confidence": 0})
        until(lambda: least(client) == 0)


def test_a_home_that_cannot_be_used_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "home"))
    with start("ready") as client:
        loaded(client)
        uri = opened(client, "words")
        [item] = client.inline(uri, 0, 5)
        take(client, uri, item)
        assert client.inline(uri, 0, 5)
        assert client.close() == 0
        assert not client.faults
