"""What the rest of the project says about the code at the cursor: excerpts of it that are most like that code.

The excerpts stand at the very front of the prompt, so other ones mean that all of it is read anew. They are therefore
kept while the cursor stays near, and chosen again when it has moved on.

Knows nothing of tokens, editors or how files are found.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

from flash_ls.document import Snapshot
from flash_ls.index import CHUNK_LINES, Chunk, Index
from flash_ls.secrets import mask

QUERY_LINES = 10
"""Lines up to the cursor's that excerpts shall be like."""
MOST_CHUNKS = 64
"""The best ones looked at; many of them overlap."""
MOST_EXCERPTS = 12
"""More than the prompt has room for."""
STALE_LINES = 24
"""So far from where excerpts were chosen, a request takes other ones."""
AGEING_LINES = 8
"""So far, they are chosen again when there is time for it."""
MOST_KEPT = 8
"""Documents whose excerpts are kept."""

_ABOVE, _BELOW = "\0above", "\0below"
"""What is not visible of the cursor's own file, as paths that no file has."""


class Excerpt(NamedTuple):
    """Some lines of a file of the project."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The excerpts for a place, the most alike first."""

    project: str
    """What the project is called."""
    path: str
    """The file of the place, as the prompt names it."""
    line: int
    excerpts: tuple[Excerpt, ...]


class Files(Protocol):
    """The files of a project."""

    @property
    def name(self) -> str:
        """What the project is called."""

    def title(self, path: str) -> str:
        """What a file is called in a prompt."""

    def read(self, path: str) -> str | None:
        """The text of a file as it is now; None when there is none to be shown."""


class Context:
    """The excerpts of each document, chosen from the index of a project."""

    def __init__(self, files: Files, index: Index) -> None:
        self._files = files
        self._index = index
        self._kept: OrderedDict[str, Choice] = OrderedDict()

    def choose(self, snapshot: Snapshot, visible: Callable[[], tuple[int, int]], leisure: bool = False) -> Choice:
        """The excerpts for the cursor; what stands in the `visible` span of its file is in the prompt already.

        They stay the same while the cursor is near. With `leisure` there is time to read a new prompt.
        """
        line = snapshot.text.count("\n", 0, snapshot.cursor)
        kept = self._kept.pop(snapshot.uri, None)
        if kept is None or abs(line - kept.line) > (AGEING_LINES if leisure else STALE_LINES):
            excerpts = islice(self._excerpts(snapshot, *visible()), MOST_EXCERPTS)
            kept = Choice(self._files.name, self._files.title(snapshot.path), line, tuple(excerpts))
        self._kept[snapshot.uri] = kept
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return kept

    def knows(self, word: str) -> bool:
        """Whether a file of the project has the word."""
        return self._index.knows(word)

    def _excerpts(self, snapshot: Snapshot, start: int, end: int) -> Iterator[Excerpt]:
        query = "\n".join(snapshot.before.split("\n")[-QUERY_LINES:])
        unseen = {_ABOVE: snapshot.text[:start], _BELOW: snapshot.text[end:]}
        own = Index()
        own.add(unseen.items())
        found = own.nearest(query, MOST_CHUNKS) + self._index.nearest(query, MOST_CHUNKS, snapshot.path)
        found.sort(key=lambda chunk: -chunk.similarity)
        for chunk in _apart(found):
            text = unseen.get(chunk.path) or self._files.read(chunk.path)
            if text and (lines := _lines(text, chunk.first_line)):
                path = snapshot.path if chunk.path in unseen else chunk.path
                yield Excerpt(self._files.title(path), lines)


def _apart(chunks: list[Chunk]) -> Iterator[Chunk]:
    """Those that share no line with a better one."""
    taken: dict[str, list[int]] = {}
    for chunk in chunks:
        lines = taken.setdefault(chunk.path, [])
        if all(abs(chunk.first_line - line) >= CHUNK_LINES for line in lines):
            lines.append(chunk.first_line)
            yield chunk


def _lines(text: str, first: int) -> str:
    """The lines of a chunk, without blank ones around them and without secrets."""
    lines = text.replace("\r\n", "\n").split("\n")[first : first + CHUNK_LINES]
    return mask("\n".join(lines).strip("\n"))
