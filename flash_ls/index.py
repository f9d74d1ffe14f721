"""Chunks of source files, found by the words they share with some text.

A chunk is a few lines; what is kept of it is where it stands and hashes of its words, never its text. Chunks are
ranked by the Jaccard similarity of the two sets of words: likeness to the code at hand is what helps a model that
copies well (RepoCoder, arXiv 2303.12570, ranks so too).

Knows nothing of folders, editors or prompts. One thread may write while others read.
"""

import re
from array import array
from collections.abc import Callable, Iterable
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

CHUNK_LINES = 12
STRIDE_LINES = 6
"""A chunk begins at each multiple of so many lines: they overlap, so that what belongs together is seldom cut."""
TABLE_WORDS = 100_000
"""Words of the chunks of a table: a file that brings it to so many is its last one. Made in a millisecond or two."""
RECENT_FILES = 64
"""Files that changed are kept apart until there are so many: their table is cheap to make anew."""
WORD = re.compile(r"[^\W\d]\w+")
"""What counts as a word: a name or keyword of two letters or more."""

Hashes = NDArray[np.uint32]
Pause = Callable[[], object]
"""Called again and again in the middle of long work, which goes on when it returns."""


def go_on() -> None:
    """A pause that takes no time."""


class Chunk(NamedTuple):
    """Where a chunk stands, and how alike it is to what was looked for, from 0 to 1."""

    path: str
    first_line: int
    """Counted from 0."""
    similarity: float


class Chunks(NamedTuple):
    """The words of the chunks of a file."""

    words: Hashes
    """Those of each chunk, one chunk after the other."""
    sizes: NDArray[np.int32]
    """The number of words of each chunk."""


class _HashOf(dict[str, int]):
    """Hashes of the words seen so far."""

    def __missing__(self, word: str) -> int:
        value = self[word] = crc32(word.encode())
        return value


def words_of(text: str) -> Hashes:
    """Hashes of the distinct words of two letters or more."""
    return np.array([crc32(word.encode()) for word in sorted(set(WORD.findall(text)))], np.uint32)


def chunks_of(text: str, pause: Pause = go_on) -> Chunks:
    """The words of each chunk of a file."""
    strides = _strides(text.split("\n"), pause)
    per_chunk = CHUNK_LINES // STRIDE_LINES
    words, sizes = array("I"), array("i")
    for first in range(max(1, len(strides) + 1 - per_chunk)):
        pause()
        chunk = set[int]().union(*strides[first : first + per_chunk])
        words.extend(chunk)
        sizes.append(len(chunk))
    return Chunks(np.array(words, np.uint32), np.array(sizes, np.int32))


def _strides(lines: list[str], pause: Pause) -> list[set[int]]:
    """The words of the lines from the beginning of each chunk to that of the next."""
    hash_of, strides = _HashOf(), []
    for first in range(0, len(lines), STRIDE_LINES):
        pause()
        words = set(WORD.findall("\n".join(lines[first : first + STRIDE_LINES])))
        strides.append({hash_of[word] for word in words})
    return strides


class Index:
    """The chunks of the files of a workspace."""

    def __init__(self) -> None:
        self._sealed: tuple[_Table, ...] = ()
        self._recent: dict[str, Chunks] = {}
        self._recent_table = _Table(self._recent)

    def __len__(self) -> int:
        """The number of files."""
        return sum(int(table.alive.sum()) for table in self._tables())

    def __contains__(self, path: str) -> bool:
        return any(table.holds(path) for table in self._tables())

    def add(self, files: Iterable[tuple[str, str]], pause: Pause = go_on) -> None:
        """Put in many files, each a path and its text, in the place of what is known of them."""
        chunks: dict[str, Chunks] = {}
        for path, text in files:
            chunks[path] = chunks_of(text, pause)
            if _is_full(chunks):
                self._seal(chunks)
                chunks = {}
        self._seal(chunks)

    def update(self, path: str, text: str, pause: Pause = go_on) -> None:
        """Put in one file, in the place of what is known of it."""
        chunks = chunks_of(text, pause)
        self.remove(path)
        self._recent[path] = chunks
        if len(self._recent) >= RECENT_FILES or _is_full(self._recent):
            self._seal(self._recent)
            self._recent = {}
        self._recent_table = _Table(self._recent)

    def remove(self, path: str) -> None:
        """Forget a file, if it is known."""
        self._recent.pop(path, None)
        for table in self._tables():
            table.forget(path)

    def nearest(self, text: str, most: int, hidden: str = "") -> list[Chunk]:
        """At most `most` chunks that share words with `text`, the most alike first, none of the file `hidden`."""
        words = words_of(text)
        found = [chunk for table in self._tables() for chunk in table.nearest(words, most, hidden)]
        return sorted(found, key=lambda chunk: (-chunk.similarity, chunk.path, chunk.first_line))[:most]

    def knows(self, word: str) -> bool:
        """Whether some file has the word."""
        return any(table.has(crc32(word.encode())) for table in self._tables())

    def _tables(self) -> tuple["_Table", ...]:
        return (*self._sealed, self._recent_table)

    def _seal(self, files: dict[str, Chunks]) -> None:
        """Make a table that stays of the files, and drop those that have none left."""
        made = _Table(files)
        for path in list(files):
            self.remove(path)
        self._sealed = tuple(table for table in (*self._sealed, made) if table.alive.any())


def _is_full(files: dict[str, Chunks]) -> bool:
    """Whether there are enough words for a table."""
    return sum(len(chunks.words) for chunks in files.values()) >= TABLE_WORDS


class _Table:
    """The chunks of some files: for each word those that have it. Files can only be taken out."""

    def __init__(self, files: dict[str, Chunks]) -> None:
        files = dict(sorted(files.items()))
        self._paths = list(files)
        self._numbers = {path: number for number, path in enumerate(self._paths)}
        self.alive = np.ones(len(files), bool)
        """Of each file, whether it is still as it was."""
        counts = [len(chunks.sizes) for chunks in files.values()]
        self._file_of = np.repeat(np.arange(len(files), dtype=np.int32), counts)
        self._first_lines = STRIDE_LINES * np.concatenate([np.zeros(0, int), *map(np.arange, counts)])
        self._sizes = np.concatenate([np.zeros(0, np.int32), *(chunks.sizes for chunks in files.values())])
        words = np.concatenate([np.zeros(0, np.uint32), *(chunks.words for chunks in files.values())])
        words, self._chunks = _sorted(words, np.repeat(np.arange(len(self._sizes), dtype=np.uint32), self._sizes))
        starts = np.flatnonzero(np.append(True, words[1:] != words[:-1])[: len(words)])
        self._words = np.append(words[starts], np.uint32(0))  # a word beyond the last one finds this
        self._bounds = np.append(starts, [len(words), len(words)]).astype(np.int32)

    def forget(self, path: str) -> None:
        if path in self._numbers:
            self.alive[self._numbers[path]] = False

    def holds(self, path: str) -> bool:
        return path in self._numbers and bool(self.alive[self._numbers[path]])

    def has(self, word: int) -> bool:
        return bool(self.alive[self._file_of[self._having(np.array([word], np.uint32))]].any())

    def nearest(self, words: Hashes, most: int, hidden: str) -> list[Chunk]:
        shared = np.bincount(self._having(words), minlength=len(self._sizes))
        alive = self.alive.copy()
        if hidden in self._numbers:
            alive[self._numbers[hidden]] = False
        shared *= alive[self._file_of]
        similarity = shared / np.maximum(self._sizes + len(words) - shared, 1)
        best = np.argsort(-similarity, kind="stable")[:most]
        return [self._chunk(int(number), float(similarity[number])) for number in best if shared[number]]

    def _having(self, words: Hashes) -> NDArray[np.int32]:
        """The chunks that have each of `words`, one after the other."""
        places = np.searchsorted(self._words[:-1], words)
        known = places[self._words[places] == words]
        spans = [self._chunks[self._bounds[place] : self._bounds[place + 1]] for place in known]
        return np.concatenate([np.zeros(0, np.int32), *spans])

    def _chunk(self, number: int, similarity: float) -> Chunk:
        return Chunk(self._paths[self._file_of[number]], int(self._first_lines[number]), similarity)


def _sorted(words: Hashes, chunks: Hashes) -> tuple[Hashes, NDArray[np.int32]]:
    """Both arrays in the order of the words, then of the chunks. One sort of numbers of 64 bits is the fastest."""
    pairs = words.astype(np.uint64) << np.uint64(32) | chunks
    pairs.sort()
    return (pairs >> np.uint64(32)).astype(np.uint32), pairs.astype(np.uint32).astype(np.int32)
