"""Messages that no client should send: real ones, changed in their structure, in their bytes and in their headers."""

import json
from copy import deepcopy
from random import Random
from typing import Any

from scripts.fuzzing.edits import PIECES, change, note, place, text

FOLDER = "file:///fuzz/"
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**64, 10**400, 1e308, float("nan"), float("inf"), -float("inf")),
    *("", "0", "utf-8", "\0", "\ud83d", "x" * 5000, "file:///", "%ff%00", "../../etc", "$/x", "2.0", "1"),
    *([], [[]], {}, {"": {}}, [None], {"jsonrpc": "2.0", "id": 1, "method": "x"}, {"type_name": "class"}),
)
SETTINGS = {
    "enabled": True,
    "model": "flash",
    "precision": "auto",
    "budget_ms": 100,
    "exclude": ["*.x"],
    "max_file_bytes": 100_000,
    "context_tokens": 100,
    "min_confidence": 0.5,
    "statistics": True,
}
CAPABILITIES = {
    "textDocument": {"inlineCompletion": {"dynamicRegistration": True}, "synchronization": {}},
    "workspace": {"configuration": True, "didChangeWatchedFiles": {"dynamicRegistration": True}},
    "window": {"workDoneProgress": True},
    "general": {"positionEncodings": ["utf-8", "utf-16"]},
    "experimental": {"flashLs": {"refresh": True, "status": True}},
}
LONGEST = 200_000
"""Bytes of a body: a list is multiplied and multiplied."""
ENDS = ("shutdown", "exit")


def _templates(chance: Random) -> list[dict[str, Any]]:
    uri = f"{FOLDER}{chance.randrange(4)}.py"
    document, at = {"uri": uri}, place(chance)
    item = {"uri": uri, "languageId": "python", "version": 1, "text": text(chance, 30)}
    versioned = {"uri": uri, "version": chance.randrange(9)}
    folder = {"uri": f"{FOLDER}root{chance.randrange(3)}", "name": "root"}
    number = chance.randrange(10**12)
    selected = {"range": {"start": at, "end": at}, "text": "abc"}
    context = {"triggerKind": chance.randrange(4), "selectedCompletionInfo": chance.choice((None, selected))}
    cell = {"kind": 2, "document": uri}
    notebook = {"uri": f"{FOLDER}n.ipynb", "notebookType": "jupyter", "version": 1, "cells": [cell]}
    initialize = {"processId": 1, "rootUri": f"{FOLDER}root", "capabilities": CAPABILITIES}
    return [
        note("textDocument/didOpen", {"textDocument": item}),
        note("textDocument/didChange", {"textDocument": versioned, "contentChanges": [change(chance)]}),
        note("textDocument/didClose", {"textDocument": document}),
        note("textDocument/didSave", {"textDocument": document, "text": "x"}),
        {**note("textDocument/inlineCompletion", {"textDocument": document, "position": at, "context": context})}
        | {"id": number},
        {**note("textDocument/completion", {"textDocument": document, "position": at}), "id": number},
        note("workspace/didChangeConfiguration", {"settings": chance.choice((None, SETTINGS, {"flashLs": SETTINGS}))}),
        note("workspace/didChangeWatchedFiles", {"changes": [{"uri": uri, "type": 2}]}),
        note("workspace/didChangeWorkspaceFolders", {"event": {"added": [folder], "removed": [folder]}}),
        {**note("workspace/executeCommand", {"command": "flashLs.status", "arguments": [{}]}), "id": number},
        note("flashLs/didMoveCursor", {"textDocument": document, "position": at}),
        note("$/cancelRequest", {"id": chance.choice((1, 2, "x"))}),
        note("$/setTrace", {"value": "verbose"}),
        note("window/workDoneProgress/cancel", {"token": "t"}),
        note("notebookDocument/didOpen", {"notebookDocument": notebook, "cellTextDocuments": [item]}),
        note(
            "notebookDocument/didChange",
            {"notebookDocument": versioned, "change": {"cells": {"data": [cell], "textContent": []}}},
        ),
        note("notebookDocument/didClose", {"notebookDocument": document, "cellTextDocuments": [document]}),
        {**note("initialize", initialize | {"initializationOptions": SETTINGS}), "id": number},
        note("initialized", {}),
        {**note("textDocument/hover", {"textDocument": document, "position": at}), "id": number},
        {**note("fuzz/unknown", [at]), "id": f"{number}"},
        note("fuzz/unknown", {"a": {"b": {}}}),
        {"jsonrpc": "2.0", "id": chance.choice((1, "1", None)), "result": [SETTINGS]},
        {"jsonrpc": "2.0", "id": chance.choice((1, "1", None)), "error": {"code": -1, "message": "no"}},
    ]


def message(chance: Random, kinds: int = 1000) -> dict[str, Any]:
    """A real message, or the end of a session, once in so many."""
    if not chance.randrange(kinds):
        method = chance.choice(ENDS)
        return note(method, None) | ({"id": 7} if method == "shutdown" else {})
    return deepcopy(chance.choice(_templates(chance)))


def body(chance: Random) -> bytes:
    """The body of a message that may be anything."""
    content = message(chance)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 5))):
        mutate(content, chance)
    data = json.dumps(content, ensure_ascii=bool(chance.randrange(2))).encode("utf-8", "surrogatepass")[:LONGEST]
    return data if chance.randrange(6) else garbled(data, chance)


def mutate(content: dict[str, Any], chance: Random) -> None:
    """Change one place of a message, anywhere in it."""
    holder: Any = content
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = chance.choice(keys)
        if not isinstance(holder[key], dict | list) or not chance.randrange(4):
            break
        holder = holder[key]
    _mutate_at(holder, key, chance)


def _mutate_at(holder: Any, key: Any, chance: Random) -> None:
    match chance.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[chance.choice(PIECES)] = holder.pop(key)
        case 2 if isinstance(holder, list) and len(holder) < 100:
            holder *= chance.choice((2, 3, 100))
        case 3:
            holder[key] = [deepcopy(holder[key])] if chance.randrange(2) else {"x": deepcopy(holder[key])}
        case 4:
            holder[key] = deep(chance)
        case 5 if isinstance(holder[key], str):
            cut = chance.randrange(len(holder[key]) + 1)
            holder[key] = holder[key][:cut] + chance.choice(("", *PIECES)) + holder[key][cut + chance.randrange(3) :]
        case 6 if isinstance(holder[key], int):
            holder[key] = chance.choice(
                (
                    str(holder[key]),
                    holder[key] / 2 if abs(holder[key]) < 2**64 else 1.5,
                    -holder[key],
                    holder[key] * 2**40,
                )
            )
        case _:
            holder[key] = deepcopy(chance.choice(ODD))


def deep(chance: Random) -> Any:
    """What is nested, up to as deep as it can be written."""
    value: Any = 1
    for _ in range(chance.choice((5, 50, 400))):
        value = [value] if chance.randrange(2) else {"a": value}
    return value


def garbled(data: bytes, chance: Random) -> bytes:
    """Bytes taken out, put in, doubled or changed."""
    match chance.randrange(8):
        case 0:
            return b"[" * chance.choice((1, 3, 2000, 100_000)) + data
        case 1:
            return data[: chance.randrange(len(data) + 1)]
        case 2:
            return chance.choice((b"", b"null", b"[]", b"42", b'"x"', b"\xff\xfe{}", b"NaN", b"1e999", b"1" * 5000))
        case 3:
            return b"[" + data + b"," + data + b"]"
        case 4:
            return data.replace(b"2.0", chance.choice((b"1.0", b"", b"\xf0\x9f")))
    start = chance.randrange(len(data))
    part = chance.choice((b"", b"\xff", b"\xc3", b"\0", b"}", b'"', b"\\ud800", b"9" * 400, data[start : start + 40]))
    return data[:start] + part + data[start + chance.randrange(4) :]


def frame(data: bytes) -> bytes:
    """With the header that it should have."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


def mangled(data: bytes, chance: Random) -> bytes:
    """With a header that it should not have; a length is never more than 2,000 bytes too large."""
    wrong = max(0, len(data) + chance.choice((-40, -1, 1, 2, 40, 2000)))
    headers = (
        b"Content-Length: %d\r\n\r\n" % wrong,
        b"content-length:%d\r\n\r\n" % len(data),
        b"Content-Length: %d\n\n" % len(data),
        b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n" % len(data),
        b"Content-Type: x\r\nContent-Length: %d\r\n\r\n" % len(data),
        b"Content-Length: -5\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"Content-Length: ten\r\n\r\n",
        b"X" * chance.choice((3, 8192, 20_000)) + b": y\r\nContent-Length: %d\r\n\r\n" % len(data),
        b"\r\n\r\n",
        b"",
        b"\xff\0\n",
    )
    return chance.choice(headers) + data
