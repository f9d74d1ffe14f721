"""The open documents: their text, edits, and every conversion between LSP positions and offsets.

LSP knows three line ends (\\n, \\r\\n, \\r) and counts columns in UTF-8, UTF-16 or UTF-32 units; Python's own notions
differ, so all of that is decided here, once. Knows nothing of the protocol's messages, nor of what the text means.
"""

import dataclasses
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Literal

from flash_ls.errors import DocumentError
from flash_ls.uri import file_name, normalise, path_of

Encoding = Literal["utf-8", "utf-16", "utf-32"]
Place = tuple[int, int]
"""Line and column as the client counts them: from 0, the column in units of the negotiated encoding."""
Change = str | tuple[Place, Place, str]
"""A whole new text, or the start and end of what a text replaces (LSP: TextDocumentContentChangeEvent)."""
Edit = tuple[int, int, str]
"""What stands between two offsets in code points is replaced by a text; each edit counts from the one before."""

MOST_DOCUMENTS = 1000
"""That are open; no more are kept."""
MOST_BYTES = 256 << 20
"""Of all open documents together; one that makes them larger is not kept."""

_UNITS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
"""The codec of an encoding and the bytes of one of its units."""
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A document at one moment, with the cursor. Safe to read from any thread."""

    uri: str
    language_id: str
    version: int
    text: str
    cursor: int
    """Code points before the cursor."""

    @property
    def path(self) -> str:
        """The file's path, or the URI itself if it is no file."""
        return path_of(self.uri)

    @property
    def before(self) -> str:
        return self.text[: self.cursor]

    @property
    def after(self) -> str:
        return self.text[self.cursor :]

    @property
    def line_suffix(self) -> str:
        """What stands between the cursor and the end of its line, without the line end."""
        return re.split(r"[\r\n]", self.after, maxsplit=1)[0]

    def replaced(self, start: int, end: int, text: str) -> "Snapshot":
        """As it would be with `text` for the code points from `start` to `end`, and the cursor after it."""
        return dataclasses.replace(self, text=self.text[:start] + text + self.text[end:], cursor=start + len(text))


class Document:
    """One open text as a list of lines, each with its end, so that an edit touches only its own lines."""

    _lines: list[str]
    _bytes: int
    too_large: bool
    edited: Place | None
    """Where the last edit ended: line, and code points before it in that line."""
    _text: str | None
    _starts: list[int]
    """The offsets of the first lines, as many as are known."""

    def __init__(self, uri: str, language_id: str, version: int, text: str, encoding: Encoding, max_bytes: int) -> None:
        self.uri = _clean(uri)
        self.language_id = language_id
        self.version = version
        self._codec, self._unit = _UNITS[encoding]
        self._max_bytes = max_bytes
        self._lines, self._text, self._starts = [""], "", [0]
        self.set_text(text)

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = "".join(self._lines)
        return self._text

    def set_text(self, text: str) -> Edit:
        """Replace everything; what of it differs. A text larger than the limit is not kept: `too_large` says so."""
        before, text = self.text, _clean(text)
        self._bytes = _size([text])
        self.too_large = self._bytes > self._max_bytes
        self._lines = [""] if self.too_large else _split(text)
        self.edited = None
        self._forget(0)
        return _difference(before, self.text)

    def replace(self, start: Place, end: Place, text: str) -> Edit:
        """Replace what stands between two places, in either order. Ignored while the document is too large."""
        if self.too_large:
            return 0, 0, ""
        (first, left), (last, right) = sorted((self._resolve(*start), self._resolve(*end)))
        edit = self._start(first) + left, self._start(last) + right, _clean(text)
        before = _split(self._lines[first][:left] + edit[2])
        self.edited = first + len(before) - 1, len(before[-1])
        new = "".join(before) + self._lines[last][right:]
        if new.startswith("\n") and first > 0 and self._lines[first - 1].endswith("\r"):
            first -= 1  # the two characters become one line end
            new = self._lines[first] + new
        self._splice(first, last + 1, new)
        return edit

    def limit(self, max_bytes: int) -> None:
        """Set the largest size kept, in bytes of UTF-8. A text already dropped comes back with its next full text."""
        self._max_bytes = max_bytes
        self._drop_if_too_large()

    @property
    def bytes(self) -> int:
        """Of what is kept, in UTF-8."""
        return 0 if self.too_large else self._bytes

    def drop(self) -> None:
        """Keep its text no more. It comes back with its next full text."""
        self._lines, self.too_large = [""], True
        self._forget(0)

    def offset(self, line: int, column: int) -> int:
        """Code points before a place; a place that does not exist becomes the nearest before it."""
        line, index = self._resolve(line, column)
        return self._start(line) + index

    def position(self, offset: int) -> Place:
        """The place of an offset in code points, which is clamped to the text."""
        self._start(len(self._lines) - 1)
        offset = min(max(offset, 0), len(self.text))
        line = bisect_right(self._starts, offset) - 1
        return line, len(self.text[self._starts[line] : offset].encode(self._codec)) // self._unit

    def snapshot(self, line: int, column: int) -> Snapshot:
        """The document now, with the cursor at a place.

        Raises `DocumentError` if the document is too large to be kept.
        """
        if self.too_large:
            raise DocumentError(
                f"{file_name(self.uri)} is larger than {self._max_bytes} bytes, or all open files are larger than "
                f"{MOST_BYTES >> 20} MB together, and gets no completions; raise flashLs.max_file_bytes in your "
                "editor's settings, or close files, and reopen it."
            )
        return Snapshot(self.uri, self.language_id, self.version, self.text, self.offset(line, column))

    def snapshot_at_edit(self) -> Snapshot | None:
        """The document now, with the cursor where the last edit ended, if that is known."""
        if self.too_large or self.edited is None:
            return None
        line, index = self.edited
        return Snapshot(self.uri, self.language_id, self.version, self.text, self._start(line) + index)

    def _resolve(self, line: int, column: int) -> Place:
        """The line, and the code points before the column in it, of the nearest place there is (LSP: Position)."""
        if line < 0:
            return 0, 0
        if line >= len(self._lines):
            return len(self._lines) - 1, len(self._lines[-1])
        content = self._lines[line].rstrip("\r\n")
        column = max(column, 0)
        if content.isascii():
            return line, min(column, len(content))
        return line, len(content.encode(self._codec)[: column * self._unit].decode(self._codec, "ignore"))

    def _splice(self, first: int, beyond: int, text: str) -> None:
        """Put the lines of `text` in the place of the lines from `first` up to, not including, `beyond`."""
        lines = _split(text)
        if beyond < len(self._lines):
            lines.pop()  # "": the next line is there already
        self._bytes += _size(lines) - _size(self._lines[first:beyond])
        self._lines[first:beyond] = lines
        self._forget(first)
        self._drop_if_too_large()

    def _drop_if_too_large(self) -> None:
        if self._bytes > self._max_bytes:
            self.drop()

    def _forget(self, first: int) -> None:
        """What was derived from the text, which has changed from this line on."""
        self._text = None
        del self._starts[first + 1 :]

    def _start(self, line: int) -> int:
        """The offset of a line."""
        known = len(self._starts)
        if line >= known:
            lengths = map(len, self._lines[known - 1 : line])
            self._starts += islice(accumulate(lengths, initial=self._starts[-1]), 1, None)
        return self._starts[line]


class DocumentStore:
    """The documents the client has open, however it spells their URIs (LSP: Text Document Synchronization)."""

    def __init__(self, encoding: Encoding, max_bytes: int) -> None:
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._documents: dict[str, Document] = {}

    def open(self, uri: str, language_id: str, version: int, text: str) -> None:
        """Keep a document, in the place of any that is open under the same URI.

        Raises `DocumentError` if too many are open.
        """
        self.close(uri)
        if len(self._documents) >= MOST_DOCUMENTS:
            raise DocumentError(
                f"{MOST_DOCUMENTS} files are open, and no more get completions; close some, and reopen."
            )
        document = Document(uri, language_id, version, text, self._encoding, self._max_bytes)
        self._documents[normalise(uri)] = document
        self._bound(document)

    def close(self, uri: str) -> None:
        self._documents.pop(normalise(uri), None)

    def __len__(self) -> int:
        return len(self._documents)

    def __contains__(self, uri: str) -> bool:
        return normalise(uri) in self._documents

    def change(self, uri: str, version: int, changes: Iterable[Change]) -> list[Edit]:
        """Apply changes in order. Raises `DocumentError` if the document is not open."""
        document = self.get(uri)
        document.version = version
        edits = [
            document.set_text(change) if isinstance(change, str) else document.replace(*change) for change in changes
        ]
        self._bound(document)
        return edits

    @property
    def uris(self) -> list[str]:
        """Of all that are open."""
        return [document.uri for document in self._documents.values()]

    def _bound(self, changed: Document) -> None:
        """Keep the text of what has just changed only if there is room for it."""
        if sum(document.bytes for document in self._documents.values()) > MOST_BYTES:
            changed.drop()

    def get(self, uri: str) -> Document:
        """Raises `DocumentError` if the document is not open."""
        document = self._documents.get(normalise(uri))
        if document is None:
            raise DocumentError(f"{file_name(uri)} is not open; send textDocument/didOpen first.")
        return document

    def limit(self, max_bytes: int) -> None:
        """Set the largest size of a document that is kept, in bytes of UTF-8."""
        self._max_bytes = max_bytes
        for document in self._documents.values():
            document.limit(max_bytes)


def _split(text: str) -> list[str]:
    """The lines with their ends; the last one has none and may be empty."""
    end = max(text.rfind("\n"), text.rfind("\r")) + 1
    return [*_LINE.findall(text, 0, end), text[end:]]  # beyond the end a search would take the square of the time


def _difference(before: str, after: str) -> Edit:
    """The one edit, as short as it can be, that makes one text of another."""
    most = min(len(before), len(after))
    head = bisect_left(range(most), True, key=lambda end: not after.startswith(before[: end + 1]))
    rest = bisect_left(range(most - head), True, key=lambda length: not after.endswith(before[-length - 1 :]))
    return head, len(before) - rest, after[head : len(after) - rest]


def _size(lines: Iterable[str]) -> int:
    """Bytes of UTF-8."""
    return sum(len(line) if line.isascii() else len(line.encode()) for line in lines)


def _clean(text: str) -> str:
    """Without lone surrogates, which no encoding can carry. Their replacement has the same width in all three."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)
