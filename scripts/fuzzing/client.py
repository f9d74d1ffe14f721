"""What a client knows: its documents, changed by its own reading of LSP positions, written apart from the server's.

A text is kept as one string, and a place is found by walking over it, character by character. Nothing of `flash_ls` is
used. A lone surrogate, which no encoding has, is U+FFFD at once; a place that does not exist is the nearest before it.
"""

from dataclasses import dataclass
from typing import Any

UNITS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
WIDTH = {"utf-8": 1, "utf-16": 2, "utf-32": 4}
LARGEST = 2**31 - 1


@dataclass
class Copy:
    """The client's copy of one document."""

    text: str
    version: int


class Client:
    """The documents that a client has open; told of each message that it sends."""

    def __init__(self, encoding: str = "utf-16") -> None:
        self.encoding = encoding
        self.copies: dict[str, Copy] = {}

    def tell(self, message: dict[str, Any]) -> None:
        """A text synchronisation message is on its way; any other changes nothing."""
        document = message.get("params", {}).get("textDocument", {})
        match message["method"]:
            case "textDocument/didOpen":
                self.copies[document["uri"]] = Copy(whole(document["text"]), document["version"])
            case "textDocument/didChange" if document["uri"] in self.copies:
                self._change(self.copies[document["uri"]], document["version"], message["params"]["contentChanges"])
            case "textDocument/didClose":
                self.copies.pop(document["uri"], None)

    def _change(self, copy: Copy, version: int, changes: list[dict[str, Any]]) -> None:
        copy.version = version
        for change in changes:
            if "range" not in change:
                copy.text = whole(change["text"])
                continue
            places = change["range"]
            if isinstance(places, dict):
                places = [places["start"], places["end"]]
            start, end = sorted(self.offset(copy.text, place["line"], place["character"]) for place in places)
            copy.text = copy.text[:start] + whole(change["text"]) + copy.text[end:]

    def offset(self, text: str, line: int, column: int) -> int:
        """Characters before a place."""
        line, column = (min(max(number, 0), LARGEST) for number in (line, column))
        offset = 0
        while line:
            end = next((at for at in range(offset, len(text)) if text[at] in "\r\n"), -1)
            if end < 0:
                return len(text)
            offset = end + (2 if text[end : end + 2] == "\r\n" else 1)
            line -= 1
        while offset < len(text) and text[offset] not in "\r\n":
            column -= len(text[offset].encode(UNITS[self.encoding])) // WIDTH[self.encoding]
            if column < 0:
                break
            offset += 1
        return offset

    def echo(self, uri: str, line: int, column: int) -> str:
        """What the echoing completer answers at a place: its line with a mark at the cursor."""
        text = self.copies[uri].text
        offset = self.offset(text, line, column)
        start = max(text.rfind("\r", 0, offset), text.rfind("\n", 0, offset)) + 1
        ends = [end for end in (text.find("\r", offset), text.find("\n", offset)) if end >= 0]
        return f"{text[start:offset]}|{text[offset : min(ends, default=len(text))]}"


def whole(text: str) -> str:
    """As a client of UTF-16 has it, but for half a pair."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
