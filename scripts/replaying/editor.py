"""An editor without a screen: open files, the protocol after every key, and what would be shown.

It knows the server only by what it says, and nothing of what the typist wants. All state is changed by the thread that
types; answers wait in a queue with the moment at which they came.
"""

import queue
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from flash_ls.language import LANGUAGES, language_of
from scripts.replaying.buffer import Buffer
from scripts.replaying.clock import Arrival, Clock
from scripts.replaying.keyboard import Key
from scripts.replaying.suggestion import Suggestion
from tests.lsp_client import Call, LspError, LspProcess

Moment = Literal["jump", "accept", "enter", "other"]
PATIENCE_S = 60.0
MOVED = "flashLs/didMoveCursor"


@dataclass
class Keystroke:
    """A key, the request after it and what came of that. A key that changes nothing has no request and no version."""

    kind: str
    moment: Moment
    """The first key after a jump; else one that accepts or that begins a line, or any other."""
    pressed_s: float
    language: str
    session: str = ""
    version: int | None = None
    answered_ms: float | None = None
    """From the key to its answer; None if the next key was faster."""
    shown: bool = False
    """The answer was one to show."""
    right: bool | None = None
    """What was shown agrees in its first line with what is wanted."""
    accepted: int = 0
    """Characters that the key brought by accepting them."""
    flicker: bool = False
    """The answer changed what was shown, though that agreed with the key."""
    reason: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Followed(NamedTuple):
    """What was shown before and after a key that agrees with it; empty if nothing is left."""

    was: str
    left: str

    def repeated(self, ghost: str) -> bool:
        """Whether an answer has the typed text once more, as if it were made for the text before the key."""
        typed = self.was.removesuffix(self.left)
        return bool(self.left) and ghost == self.was != self.left and not self.left.startswith(typed)


NOTHING = Followed("", "")


class Editor:
    """One server's editor. Files are opened from `root`."""

    def __init__(self, server: LspProcess, root: Path, clock: Clock) -> None:
        self.server, self.clock = server, clock
        self.keys: list[Keystroke] = []
        self.counts = Counter[str]()
        """stale_answers: to an older text; stale_shown: shown though they repeat what was just
        typed; unfit: answers
        that cannot be shown in the buffer; errors."""
        self.shown: Suggestion | None = None
        self.shown_since = 0.0
        self._root = root
        self._buffers: dict[str, Buffer] = {}
        self._at = Buffer("", "")
        self._path = ""
        self._versions = 0
        self._call: Call | None = None
        self._arrivals: queue.Queue[Arrival] = queue.Queue()
        self._moment: Moment = "jump"

    @property
    def text(self) -> str:
        return self._at.text

    @property
    def cursor(self) -> int:
        return self._at.cursor

    def show(self, path: str, text: str) -> None:
        """Go to a file, which is opened with this text unless it is open."""
        self._leave()
        self._path = path
        if path not in self._buffers:
            self._versions += 1
            buffer = self._buffers[path] = Buffer((self._root / path).as_uri(), text, 0, self._versions)
            document = {"uri": buffer.uri, "languageId": language_id(path), "version": buffer.version, "text": text}
            self.server.notify("textDocument/didOpen", {"textDocument": document})
        self._at = self._buffers[path]

    def move(self, cursor: int) -> None:
        self._leave()
        self._moment = "jump"
        self._go(cursor)

    def press(self, key: Key) -> Keystroke:
        """What a key does, and the request after it."""
        now = self.clock.now()
        stroke = Keystroke(key.kind, self._moment, now, language_of(self._path))
        if self._moment != "jump" and key.kind in ("accept", "enter"):
            stroke.moment = "accept" if key.kind == "accept" else "enter"
        if key.kind == "accept":
            stroke.accepted = len(key.text) - (key.end - key.start)
        self._moment = "other"
        self.keys.append(stroke)
        if key.edits:
            was = self.shown.ghost(self._at.cursor) if self.shown else ""
            stroke.version = self._change(key)
            left = self.shown.ghost(self._at.cursor) if self.shown else ""
            self._ask(stroke, Followed(was, left) if key.text else NOTHING)
        else:
            self._leave()
            self._go(key.cursor)
        return stroke

    def listen(self, until: float) -> bool:
        """Take the next answer before a moment; False if there was none."""
        expected = self._call is not None
        arrival = self.clock.next(self._arrivals, until, expected, PATIENCE_S)
        if arrival is not None:
            at, (call, stroke, followed) = arrival
            self._answered(at, call, stroke, followed)
        return arrival is not None

    def close(self) -> None:
        """Close all files."""
        self._leave()
        for buffer in self._buffers.values():
            self.server.notify("textDocument/didClose", {"textDocument": {"uri": buffer.uri}})
        self._buffers.clear()

    def _go(self, cursor: int) -> None:
        self._at.cursor = cursor
        place = {"textDocument": {"uri": self._at.uri}, "position": self._at.place(cursor)}
        self.server.notify(MOVED, place)

    def _change(self, key: Key) -> int:
        """Edit the buffer, here and in the server; the new version."""
        span = {"start": self._at.place(key.start), "end": self._at.place(key.end)}
        self._versions += 1
        self._at.version = self._versions
        self.server.change(self._at.uri, self._versions, [{"range": span, "text": key.text}])
        self._at.replace(key.start, key.end, key.text)
        self._at.cursor = key.cursor
        self.shown = self.shown.after(key, self._at.text) if self.shown else None
        return self._versions

    def _ask(self, stroke: Keystroke, followed: "Followed") -> None:
        self._cancel()
        place = self._at.place(self._at.cursor)
        call = self._call = self.server.start_inline(self._at.uri, place["line"], place["character"])
        call.answer.add_done_callback(partial(self._arrived, call, stroke, followed))

    def _arrived(self, call: Call, stroke: Keystroke, followed: "Followed", _: object) -> None:
        """In the thread that reads."""
        self._arrivals.put((self.clock.now(), (call, stroke, followed)))

    def _answered(self, at: float, call: Call, stroke: Keystroke, followed: "Followed") -> None:
        items = self._items(call)
        if call is not self._call:
            self.counts["stale_answers"] += bool(items)
            return
        self._call = None
        stroke.answered_ms = (at - stroke.pressed_s) * 1e3
        found = self._suggestion(items[0]) if items else None
        stroke.shown = found is not None
        ghost = found.ghost(self._at.cursor) if found else ""
        stroke.flicker = not ghost.startswith(followed.left)
        self.counts["stale_shown"] += followed.repeated(ghost)
        if stroke.flicker or not followed.left:
            self.shown_since = at
        self.shown = found

    def _items(self, call: Call) -> list[dict[str, Any]]:
        try:
            result = call.answer.result()
        except LspError:
            self.counts["errors"] += 1
            return []
        return list(result["items"] if isinstance(result, dict) else result or [])

    def _suggestion(self, item: dict[str, Any]) -> Suggestion | None:
        """None if it cannot be shown."""
        span = item.get("range")
        here = self._at.cursor
        start, end = (self._at.offset(span[edge]) for edge in ("start", "end")) if span else (here, here)
        found = Suggestion(-1 if start is None else start, -1 if end is None else end, str(item["insertText"]))
        begins = found.text.startswith(str(item.get("filterText") or "")[: here - found.start])
        if not begins or not found.fits(self._at.text, here) or not found.ghost(here):
            self.counts["unfit"] += 1
            return None
        return found

    def _leave(self) -> None:
        """The cursor goes elsewhere."""
        self.shown = None
        self._cancel()

    def _cancel(self) -> None:
        if self._call is not None:
            self.server.cancel(self._call)
            self._call = None


def language_id(path: str) -> str:
    """The first of those that LSP has for the language of a file."""
    row = LANGUAGES.get(language_of(path))
    return row.ids.split()[0] if row else "plaintext"
