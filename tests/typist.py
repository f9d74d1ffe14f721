"""Someone typing into one file of a real server process: keeps the buffer, asks after every key, accepts suggestions.

Used by the typing tests and by `scripts/type_along.py`. Columns are UTF-16 units, as in most editors.
"""

import re
import time
from dataclasses import dataclass
from typing import Any

from tests.lsp_client import LspProcess

REQUEST = re.compile(r"complete file=.* version=(\d+) reason=(.+) ms=\d+ prompt_tokens=(\d+) cached_tokens=(\d+)")


@dataclass(frozen=True)
class Keystroke:
    """What was typed at once, and the answer to it."""

    typed: str
    items: list[dict[str, Any]]
    reason: str
    ms: float
    """From the request to its answer."""
    prompt_tokens: int
    cached_tokens: int

    @property
    def shown(self) -> str:
        return self.items[0]["insertText"] if self.items else ""

    @property
    def cached_share(self) -> float:
        """Of the prompt; all of it if the model was not asked."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 1.0


class Typist:
    """One open buffer and a cursor in it, as an offset in code points."""

    def __init__(self, server: LspProcess, uri: str, text: str, cursor: int, language_id: str = "") -> None:
        self.server, self.uri, self.text, self.cursor = server, uri, text, cursor
        self._version = 1
        server.open(uri, language_id, text)

    def type(self, text: str) -> Keystroke:
        """Insert `text` at the cursor and ask for a completion after it."""
        self.replace(self.cursor, self.cursor, text)
        return self.ask(text)

    def ask(self, typed: str = "") -> Keystroke:
        """Ask for a completion at the cursor."""
        logged, start = len(self.server.log), time.perf_counter()
        place = self.place(self.cursor)
        items = self.server.inline(self.uri, place["line"], place["character"])
        ms = (time.perf_counter() - start) * 1e3
        found: list[re.Match[str]] = []

        def answered() -> bool:  # also a request of an older text may be told of only now
            said = [match for line in self.server.log[logged:] if (match := REQUEST.search(line))]
            found[:] = [match for match in said if int(match[1]) == self._version]
            return bool(found)

        self.server.wait_until(answered)
        return Keystroke(typed, items or [], found[0][2], ms, int(found[0][3]), int(found[0][4]))

    def accept(self, key: Keystroke) -> None:
        """Put the suggestion in its range, as an editor would."""
        item = key.items[0]
        self.replace(self.offset(item["range"]["start"]), self.offset(item["range"]["end"]), item["insertText"])

    def replace(self, start: int, end: int, text: str) -> None:
        """Replace code points start..end; the cursor goes behind the new text."""
        change = {"range": {"start": self.place(start), "end": self.place(end)}, "text": text}
        self._version += 1
        self.server.change(self.uri, self._version, [change])
        self.text = self.text[:start] + text + self.text[end:]
        self.cursor = start + len(text)

    def place(self, offset: int) -> dict[str, int]:
        lines = re.split(r"\r\n|\r|\n", self.text[:offset])
        return {"line": len(lines) - 1, "character": _units(lines[-1])}

    def offset(self, place: dict[str, int]) -> int:
        """The inverse of `place`."""
        return next(offset for offset in range(len(self.text) + 1) if self.place(offset) == place)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
