"""Completions that were made already, found again while somebody types along one of them.

A completion is known by what stands around it, a few lines above and below its own, and by the beginning of its line,
not by its file or its offset: edits elsewhere do not touch it, and the same boilerplate in another place finds it too.
Of one with many lines each line is known so. What is found is the rest that is still to be typed.

Knows nothing of models, threads or editors.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from flash_ls.document import Snapshot
from flash_ls.postprocess import closers_taken

if TYPE_CHECKING:
    from flash_ls.completer import Completion

LINES_ABOVE = 8
LINES_BELOW = 2
MOST_PLACES = 256
MOST_AT_A_PLACE = 8
LONGEST_LINE = 2_000
"""Characters of lines that are compared; in longer ones nothing is kept."""


class Surroundings(NamedTuple):
    """Where a line stands: what has to be the same for a completion to be known there."""

    language: str
    above: str
    below: str


class Entry(NamedTuple):
    """One line of a completion."""

    line: str
    """From the start of the line to the end of the completion."""
    typed: int
    """Characters of `line` that stood there before the completion did: less than these find nothing."""
    before: int
    """Characters of the completion in the lines before this one."""
    beyond: str
    """The rest of the line behind the completion."""
    completion: Completion


class CompletionCache:
    """The completions of all documents at a few hundred places, the oldest forgotten first."""

    def __init__(self) -> None:
        self._places: OrderedDict[Surroundings, list[Entry]] = OrderedDict()

    def add(self, snapshot: Snapshot, completion: Completion) -> None:
        """Keep what was found for a snapshot; if that was nothing, it is known for the same text alone."""
        for surroundings, entry in _entries(snapshot, completion):
            entries = self._places.setdefault(surroundings, [])
            entries[:] = [*entries, entry][-MOST_AT_A_PLACE:]
            self._places.move_to_end(surroundings)
        while len(self._places) > MOST_PLACES:
            self._places.popitem(last=False)

    def find(self, snapshot: Snapshot) -> Completion | None:
        """What is left of the latest completion that agrees with what was typed since."""
        line = _line_prefix(snapshot)
        if len(line) > LONGEST_LINE:
            return None
        entries = self._places.get(_surroundings(snapshot, snapshot.before[: snapshot.cursor - len(line)]), [])
        rests = (_rest(entry, line, snapshot) for entry in reversed(entries))
        return next((rest for rest in rests if rest is not None), None)

    def clear(self) -> None:
        self._places.clear()


def _entries(snapshot: Snapshot, completion: Completion) -> Iterator[tuple[Surroundings, Entry]]:
    prefix = _line_prefix(snapshot)
    above = snapshot.before[: snapshot.cursor - len(prefix)]
    beyond = snapshot.line_suffix[completion.end - snapshot.cursor :]
    before = 0
    while len(prefix) + len(completion.text) - before <= LONGEST_LINE:
        line = prefix + completion.text[before:]
        yield _surroundings(snapshot, above), Entry(line, len(prefix), before, beyond, completion)
        line_end = completion.text.find("\n", before) + 1
        if not line_end:
            return
        above += prefix + completion.text[before:line_end]
        prefix, before = "", line_end


def _rest(entry: Entry, line: str, snapshot: Snapshot) -> Completion | None:
    completion, suffix = entry.completion, snapshot.line_suffix
    typed = entry.before + len(line) - entry.typed
    if len(line) < entry.typed or not entry.line.startswith(line) or not suffix.endswith(entry.beyond):
        return None
    taken = len(suffix) - len(entry.beyond)
    text = completion.text[typed:]
    if closers_taken(text, suffix[:taken]) != taken:
        return None
    if text != suffix[:taken]:
        return completion.rest(typed, snapshot.cursor, taken)
    return completion.typed_out(snapshot.cursor) if completion.is_whole or not completion.text else None


def _surroundings(snapshot: Snapshot, above: str) -> Surroundings:
    """Of the snapshot's line, or of one that comes after it, with the text before that line."""
    below = snapshot.text[snapshot.cursor + len(snapshot.line_suffix) :]
    return Surroundings(
        snapshot.language_id, _last_lines(above), "\n".join(below.split("\n", LINES_BELOW + 1)[: LINES_BELOW + 1])
    )


def _last_lines(above: str) -> str:
    return "\n".join(above.rsplit("\n", LINES_ABOVE + 1)[-LINES_ABOVE - 1 :])


def _line_prefix(snapshot: Snapshot) -> str:
    return snapshot.text[snapshot.text.rfind("\n", 0, snapshot.cursor) + 1 : snapshot.cursor]
