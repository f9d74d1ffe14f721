"""What no client should send, and how much of it: one message costs no other, and every request is answered.

Each of these was found by `scripts/fuzz.py`, or is a limit.
"""

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from flash_ls import document, protocol
from flash_ls.document import DocumentStore
from flash_ls.errors import DocumentError
from flash_ls.server import create_server
from tests.fake_server import ready
from tests.lsp_client import INLINE, LspError, LspProcess, python_module

FILE = "file:///home/a.py"
OTHER = "file:///home/b.py"
INVALID, NOT_INITIALIZED, FAILED = "-32600", "-32002", "-32803"
NUMBERS = itertools.count(1)


class Patient(LspProcess):
    """Takes note of answers to nothing."""

    def __init__(self, command: Sequence[str]) -> None:
        self.strange: list[dict[str, Any]] = []
        super().__init__(command)

    def _receive(self, message: dict[str, Any]) -> None:
        if "method" in message or message["id"] in self._calls:
            super()._receive(message)
        else:
            self.strange.append(message)


def start(**arguments: Any) -> Patient:
    client = Patient(python_module("tests.fake_server", "ready"))
    client.initialize(**arguments)
    client.wait_until(lambda: any("reason=ready" in line for line in client.log))
    return client


@pytest.fixture(scope="module")
def client() -> Iterator[Patient]:
    with start() as client:
        yield client
    assert not [line for line in client.log if "Traceback" in line or "error of its own" in line]


@pytest.fixture(autouse=True)
def files(client: Patient) -> Iterator[None]:
    """Both files are open, and are what they were after a test that does not expect otherwise."""
    for uri in (FILE, OTHER):
        client.open(uri, "python", "ab")
    yield
    client.open(FILE, "python", "after")
    assert shown(client, FILE) == "after|"


def shown(client: Patient, uri: str) -> str | None:
    """The first line of a document, with a mark at its end."""
    found = client.inline(uri, 0, 99)
    return found[0]["insertText"] if found else None


def write(client: Patient, body: bytes, header: bytes | None = None) -> None:
    """Send bytes as they are."""
    assert client.process.stdin
    client.process.stdin.write((b"Content-Length: %d\r\n\r\n" % len(body) if header is None else header) + body)
    client.process.stdin.flush()


def told(client: LspProcess) -> list[str]:
    return [message["message"] for message in client.heard("window/showMessage")]


# --- what cannot be read ---


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(b'{"jsonrpc": "2.0", "method": "x", "params": ' + b"9" * 5000 + b"}", id="a number too long"),
    ],
)
def test_a_message_that_is_no_json_gives_all_documents_up(client: Patient, body: bytes) -> None:
    write(client, body)
    assert [shown(client, uri) for uri in (FILE, OTHER)] == [None, None], "it may have changed one of them"
    assert "A message of your editor cannot be read; close your open files and open again." in told(client)


@pytest.mark.parametrize("body", [b"[]", b"42", b"null", b'"x"', b'[{"jsonrpc": "2.0", "id": 1, "method": "x"}]'])
def test_what_is_no_object_costs_nothing(client: Patient, body: bytes) -> None:
    write(client, body)
    assert shown(client, FILE) == "ab|"


def test_text_that_is_no_utf_8_is_read_nevertheless(client: Patient) -> None:
    body = {"textDocument": {"uri": FILE, "languageId": "python", "version": 1, "text": "caf?"}}
    raw = json.dumps({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": body}).encode()
    write(client, raw.replace(b"caf?", b"caf\xe9"))
    assert shown(client, FILE) == "caf\ufffd|"


@pytest.mark.parametrize("changes", [[{"range": "nonsense", "text": "x"}], "nonsense", [{}], None])
def test_a_change_that_cannot_be_read_gives_its_document_up(client: Patient, changes: Any) -> None:
    client.change(FILE, 2, changes)
    assert shown(client, FILE) is None
    assert shown(client, OTHER) == "ab|"
    assert "A message of your editor cannot be read; close a.py and open again." in told(client)


@pytest.mark.parametrize("version", [None, 2**31, -5, "3"])
def test_a_version_may_be_anything(client: Patient, version: Any) -> None:
    client.change(FILE, version, [{"text": "new"}])
    assert shown(client, FILE) == "new|"


def test_a_wrong_length_costs_few_messages(client: Patient) -> None:
    write(client, b'{"jsonrpc": "2.0", "method": "x"}', b"Content-Length: 20\r\n\r\n")
    client.notify("test/lost", {})
    client.open(FILE, "python", "again")
    assert shown(client, FILE) == "again|"


# --- requests that would never be answered ---


@pytest.mark.parametrize(("bad", "told_back"), [([1], []), ({"x": 1}, []), (None, []), (True, [True]), (1.5, [1.5])])
def test_an_id_of_another_type_is_refused(client: Patient, bad: Any, told_back: Any) -> None:
    write(client, json.dumps({"jsonrpc": "2.0", "id": bad, "method": "textDocument/hover", "params": {}}).encode())
    assert shown(client, FILE) == "ab|"
    answers = [message["id"] for message in client.strange if message["error"]["code"] == int(INVALID)]
    client.strange.clear()
    assert answers == told_back


@pytest.mark.parametrize("method", [5, ["x"], {}, True])
def test_a_method_of_another_type_is_answered(client: Patient, method: Any) -> None:
    with pytest.raises(LspError, match=INVALID):
        client.request(method)


@pytest.mark.parametrize("told_version", ['"jsonrpc": "1.0", ', ""])
def test_the_version_of_the_protocol_is_no_matter(client: Patient, told_version: str) -> None:
    body = json.dumps({"method": "textDocument/didChange", "params": changed("any version")})
    write(client, f"{{{told_version}{body[1:]}".encode())
    assert shown(client, FILE) == "any version|"


def test_a_notification_that_comes_as_a_request_is_answered(client: Patient) -> None:
    assert client.request("textDocument/didChange", changed("as a request")) is None
    assert shown(client, FILE) == "as a request|"


def changed(text: str) -> dict[str, Any]:
    return {"textDocument": {"uri": FILE, "version": 2}, "contentChanges": [{"text": text}]}


def test_a_second_initialize_changes_nothing(client: Patient) -> None:
    with pytest.raises(LspError, match=INVALID):
        client.request("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    assert shown(client, FILE) == "ab|"


def test_before_initialize_and_after_shutdown_requests_are_refused() -> None:
    client = Patient(python_module("tests.fake_server", "ready"))
    with pytest.raises(LspError, match=NOT_INITIALIZED):
        client.inline(FILE, 0, 0)
    client.open(FILE, "python", "lost")
    client.initialize()
    assert client.inline(FILE, 0, 0) is None
    client.request("shutdown")
    with pytest.raises(LspError, match=INVALID):
        client.inline(FILE, 0, 0)
    client.notify("exit", None)
    assert client.hang_up() == 0


def test_more_requests_than_can_wait_are_refused(tmp_path: Path) -> None:
    sent: list[Any] = []
    server = create_server(ready, tmp_path)
    server.begun = True
    server.protocol.set_writer(Written(sent))
    server.protocol._request_futures = {number: Future() for number in range(protocol.MOST_PENDING - 1)}
    for number in (1001, 1002):
        server.protocol.receive(json.dumps({"id": number, "method": "test/ping", "params": {}}).encode())
        server.protocol._request_futures[number] = Future()
    assert [answer["error"]["code"] for answer in sent] == [-32601, int(FAILED)]


class Written:
    """What a server writes, as messages."""

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages

    def write(self, data: bytes) -> None:
        self._messages.append(json.loads(data.partition(b"\r\n\r\n")[2]))

    def close(self) -> None:
        """There is nothing to close."""


def test_an_answer_with_the_id_of_an_own_request_is_none_to_it(client: Patient) -> None:
    call = client.start_inline(FILE, 0, 2)
    write(client, json.dumps({"jsonrpc": "2.0", "id": call.id, "result": [1]}).encode())
    assert client.wait(call)[0]["insertText"] == "ab|"


@pytest.mark.parametrize("token", [[], {}, "x", 5])
def test_a_progress_that_is_unknown_cannot_be_cancelled(client: Patient, token: Any) -> None:
    before = told(client)
    client.notify("window/workDoneProgress/cancel", {"token": token})
    assert shown(client, FILE) == "ab|"
    assert told(client) == before


def test_what_the_specification_does_not_have_takes_no_time(client: Patient) -> None:
    began = time.monotonic()
    client.notify("test/unknown", [{f"a{number}": 1} for number in range(50_000)])
    assert shown(client, FILE) == "ab|"
    assert time.monotonic() - began < 10, "pygls makes a class of each object, which takes minutes"


# --- settings that the client does not tell ---


@pytest.mark.parametrize("answer", [{"error": {"code": -32601, "message": "no"}}, {"result": 5}, {"result": None}])
def test_a_client_that_tells_no_settings_is_no_error(answer: dict[str, Any]) -> None:
    class Unhelpful(Patient):
        def _answer(self, message: dict[str, Any]) -> None:
            self._send({"id": message["id"], **answer})

    with Unhelpful(python_module("tests.fake_server", "ready")) as client:
        client.initialize(capabilities={**INLINE, "workspace": {"configuration": True}}, options={"budget_ms": 123})
        client.open(FILE, "python", "SETTINGS")
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        client.wait_until(lambda: bool(client.heard("workspace/configuration")))
        client.wait_until(lambda: any("reason=ready" in line for line in client.log))
        assert client.inline(FILE, 0, 8)[0]["insertText"] == "flash 123"
        assert told(client) == []


# --- documents ---


def test_more_documents_than_are_kept_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_DOCUMENTS", 2)
    store = DocumentStore("utf-16", 100)
    for uri in (FILE, OTHER, FILE):
        store.open(uri, "python", 1, "x")
    with pytest.raises(DocumentError, match=r"^2 files are open, and no more get completions; close some, and reopen"):
        store.open("file:///c.py", "python", 1, "x")
    store.close(OTHER)
    store.open("file:///c.py", "python", 1, "x")


def test_a_client_that_opens_too_many_is_told_and_served_on(client: Patient) -> None:
    uris = [f"file:///many/{number}.py" for number in range(document.MOST_DOCUMENTS)]
    for uri in uris:
        client.open(uri, "python", "ab")
    assert shown(client, uris[0]) == "ab|"
    assert shown(client, uris[-1]) is None
    assert f"{document.MOST_DOCUMENTS} files are open, and no more get completions; close some, and reopen." in told(
        client
    )
    for uri in uris:
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


@pytest.mark.parametrize("how", ["opened", "edited"])
def test_all_documents_together_are_limited(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_BYTES", 15)
    store = DocumentStore("utf-16", 100)
    store.open(FILE, "python", 1, "x" * 10)
    store.open(OTHER, "python", 1, "x" * 10 if how == "opened" else "x")
    if how == "edited":
        store.change(OTHER, 2, [((0, 1), (0, 1), "x" * 9)])
    assert store.get(FILE).text == "x" * 10
    with pytest.raises(DocumentError, match=r"or all open files are larger than .* together"):
        store.get(OTHER).snapshot(0, 0)
    store.close(FILE)
    store.change(OTHER, 3, ["x" * 12])
    assert store.get(OTHER).snapshot(0, 0).text == "x" * 12


def test_a_last_line_of_any_length_takes_no_time() -> None:
    store = DocumentStore("utf-16", 10_000_000)
    began = time.process_time()
    store.open(FILE, "python", 1, "x" * 5_000_000)
    store.change(FILE, 2, [((0, 7), (0, 7), "y" * 1000)])
    assert time.process_time() - began < 5, "it takes the square of the length"


def test_the_name_of_a_document_is_short_in_messages(client: Patient) -> None:
    uri = f"file:///{'x' * 1_000_000}"
    client.open(uri, "python", "ab")
    assert shown(client, uri) == "ab|"
    assert max(map(len, client.log)) < 2000
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


def test_sentences_without_end_are_not_all_shown() -> None:
    with start() as client:
        for number in range(300):
            client.notify("workspace/didChangeConfiguration", {"settings": {f"unknown{number}": 1}})
        client.open(FILE, "python", "ab")
        assert shown(client, FILE) == "ab|"
        assert len(told(client)) == 100


# --- notebooks ---


def test_notebooks_are_not_kept(client: Patient) -> None:
    cell = {"uri": "vscode-notebook-cell:/n#1", "languageId": "python", "version": 1, "text": "ab"}
    notebook = {"uri": "file:///n.ipynb", "notebookType": "jupyter", "version": 1, "cells": []}
    client.notify("notebookDocument/didOpen", {"notebookDocument": notebook, "cellTextDocuments": [cell]})
    assert shown(client, "vscode-notebook-cell:/n#1") is None
    client.open("vscode-notebook-cell:/n#1", "python", "ab")
    assert shown(client, "vscode-notebook-cell:/n#1") == "ab|", "cells come as documents of their own"


# --- what is outside ---


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A project beside which, and into which by a link, is what is nobody's business."""
    (tmp_path / "root").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "root" / "a.py").write_text("inside_name = 1")
    (tmp_path / "other" / "b.py").write_text("outside_name = 1")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "root" / "c.py").symlink_to(tmp_path / "other" / "b.py")
    return tmp_path


def known(client: Patient, word: str) -> str:
    uri = f"file:///asks{next(NUMBERS)}.py"
    client.open(uri, "python", f"{word} PROJECT")
    while not (found := client.inline(uri, 0, 99, triggerKind=1)):
        time.sleep(0.05)  # whatever a change has superseded
    return str(found[0]["insertText"])


@pytest.mark.parametrize(
    "name", ["../other/b.py", "link/b.py", "link/../../other/b.py", "c.py", "%2e%2e/other/b.py", "x/..%2f../other/b.py"]
)
def test_no_file_outside_of_the_folders_is_read(outside: Path, name: str) -> None:
    root = (outside / "root").as_uri()
    with start(root=root) as client:
        client.wait_until(lambda: any("index files=1" in line for line in client.log))
        for method in ("workspace/didChangeWatchedFiles", "textDocument/didSave", "textDocument/didClose"):
            uri = f"{root}/{name}"
            params = {"changes": [{"uri": uri, "type": 2}]} if "Watched" in method else {"textDocument": {"uri": uri}}
            client.notify(method, params)
        (outside / "root" / "last.py").write_text("last_name = 1")
        client.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": f"{root}/last.py", "type": 1}]})
        end = time.monotonic() + 10
        while known(client, "last_name") == "nothing":
            assert time.monotonic() < end, "the changes are not read"
        assert known(client, "inside_name") != "nothing"
        assert known(client, "outside_name") == "nothing"


@pytest.mark.parametrize(
    "scheme", ["", "other", "vscode-remote://host", "file:", "file://host", "untitled:", "c:", "file:///c:"]
)
def test_a_folder_that_is_no_local_path_is_not_read(
    outside: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
    monkeypatch.chdir(outside)
    place = {"": ".", "other": "other", "file:": "file:other", "file://host": f"file://{outside}/.."}.get(
        scheme, f"{scheme}{outside}/other"
    )
    with start(root=place.replace(f"file://{outside}", f"file://host{outside}")) as client:
        event = {"added": [{"uri": place, "name": "x"}], "removed": []}
        client.notify("workspace/didChangeWorkspaceFolders", {"event": event})
        assert known(client, "outside_name") == "nothing"
        assert not [line for line in client.log if "index files" in line]
