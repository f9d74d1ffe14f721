"""Messages of a client that edits: ordinary ones and those at the edge of what the protocol allows."""

from random import Random
from typing import Any

OWN = "file:///own/"
"""Where the documents are that are compared; what is mutated has other URIs."""
PIECES = (
    *"ab x=().:\t\"'\\#{}",
    *("\n", "\r\n", "\r", "\n\n", "\r\r\n", "\n\r"),
    *("é", "日本", "😀", "𝒳y", "e\u0301", "👩‍👩‍👧"),
    *("\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\0", "\ufeff", "\ufffd", "\ufffe"),
    *("\ud83d", "\ude00", "\udfff"),
    *("def f(x):\n    ", "return ", "# 😀 comment\r\n", "class A:\n", "    pass\n", 'x = "', "self."),
)
ODD_NUMBERS = (-1, -(2**31), 2**31 - 1, 2**31, 2**53, 10**30)
HUGE = 20_000
URIS = tuple(f"{OWN}{number}.{end}" for number, end in enumerate(("py", "ts", "go", "rb", "%C3%A9.c", "x%20y.rs")))
LANGUAGES = ("python", "typescript", "go", "ruby", "c", "rust", "", "none\0")


def text(chance: Random, most: int = 12) -> str:
    if not chance.randrange(400):
        return str(chance.choice(PIECES)) * chance.randrange(HUGE)
    return "".join(chance.choice(PIECES) for _ in range(chance.randrange(most)))


def place(chance: Random) -> dict[str, int]:
    if not chance.randrange(12):
        return {"line": chance.choice((*ODD_NUMBERS, 0, 1)), "character": chance.choice((*ODD_NUMBERS, 0, 1))}
    return {"line": chance.randrange(8), "character": chance.randrange(chance.choice((4, 24)))}


def change(chance: Random) -> dict[str, Any]:
    if not chance.randrange(12):
        return {"text": text(chance, 60)}
    places = [place(chance), place(chance)]
    if chance.randrange(3):
        places[1] = {"line": places[0]["line"], "character": places[0]["character"] + chance.randrange(3)}
    span = places if not chance.randrange(20) else {"start": places[0], "end": places[1]}
    extra = {"rangeLength": chance.randrange(9)} if not chance.randrange(10) else {}
    return {"range": span, "text": text(chance), **extra}


def message(chance: Random, known: list[str]) -> dict[str, Any]:
    """One of a client that has these documents open, and may name others."""
    uri = chance.choice(known) if known and chance.randrange(10) else chance.choice(URIS)
    version = chance.choice((1, chance.randrange(1000), *ODD_NUMBERS[:3]))
    kind = chance.randrange(20)
    if not known or kind == 0:
        language = chance.choice(LANGUAGES)
        document = {"uri": uri, "languageId": language, "version": version, "text": text(chance, 60)}
        return note("textDocument/didOpen", {"textDocument": document})
    if kind == 1:
        return note("textDocument/didClose", {"textDocument": {"uri": uri}})
    if kind == 2:
        params = {"textDocument": {"uri": uri}, "position": place(chance), "context": {"triggerKind": 2}}
        return {**note("textDocument/inlineCompletion", params), "id": chance.randrange(10**12)}
    changes = [change(chance) for _ in range(chance.choice((1, 1, 1, 1, 0, 2, 5)))]
    return note("textDocument/didChange", {"textDocument": {"uri": uri, "version": version}, "contentChanges": changes})


def note(method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def sequence(chance: Random, most: int) -> list[dict[str, Any]]:
    """The messages of one session, in order."""
    known: list[str] = []
    messages = []
    for _ in range(most):
        messages.append(message(chance, known))
        uri = messages[-1]["params"]["textDocument"]["uri"]
        if messages[-1]["method"] == "textDocument/didOpen" and uri not in known:
            known.append(uri)
        if messages[-1]["method"] == "textDocument/didClose" and uri in known:
            known.remove(uri)
    return messages
