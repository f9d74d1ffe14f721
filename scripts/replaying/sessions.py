"""Editing sessions: a commit as the edits that somebody made one after the other, from the files of its parent.

It knows texts, not editors: an edit says what is typed where, not how. The same commit always gives the same session.
"""

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import NamedTuple

from flash_ls.language import language_of
from scripts.replaying.commits import Commit

MOST_LINES = 200
"""A commit that adds more was hardly typed by hand."""
LEAST_TYPED = 20
STAY = 0.7
"""How often the next edit is in the same file while others have edits left."""
_SIMILAR = 0.5


class Edit(NamedTuple):
    """Text typed instead of a range, in code points of the file as the edits before it left it."""

    path: str
    start: int
    end: int
    text: str

    def applied(self, text: str) -> str:
        return text[: self.start] + self.text + text[self.end :]


@dataclass(frozen=True)
class Session:
    """The edits of one commit in the order in which they are made."""

    commit: Commit
    files: Mapping[str, str]
    """The texts of the files that are edited, before the first edit."""
    edits: Sequence[Edit]

    @property
    def id(self) -> str:
        return f"{self.commit.repo.name}@{self.commit.id[:12]}"

    @property
    def typed(self) -> int:
        """Characters."""
        return sum(len(edit.text) for edit in self.edits)

    @property
    def language(self) -> str:
        """That in which most is typed."""
        typed = Counter[str]()
        for edit in self.edits:
            typed[language_of(edit.path)] += len(edit.text)
        return typed.most_common(1)[0][0]


def session(commit: Commit, texts: Mapping[str, tuple[str, str]], most_typed: int) -> Session | None:
    """What a commit's author typed, up to about `most_typed` characters; None if that is too little or too much."""
    if sum(added_lines(old, new) for old, new in texts.values()) > MOST_LINES:
        return None
    queues = {path: edits(path, old, new) for path, (old, new) in texts.items()}
    chosen = list(shortened(merged(queues, random.Random(commit.id)), most_typed))
    words = "".join(edit.text for edit in chosen)
    if len(words) < LEAST_TYPED or not re.search(r"\w{2}", words):
        return None
    return Session(commit, {edit.path: texts[edit.path][0] for edit in chosen}, chosen)


def added_lines(old: str, new: str) -> int:
    return sum(b2 - b1 for tag, _, _, b1, b2 in _opcodes(_lines(old), _lines(new)) if tag in ("insert", "replace"))


def edits(path: str, old: str, new: str) -> list[Edit]:
    """What makes `new` of `old` from top to bottom."""
    before, after = _lines(old), _lines(new)
    made, place = [], 0
    for tag, a1, a2, b1, b2 in _opcodes(before, after):
        if tag == "equal":
            place += sum(map(len, after[b1:b2]))
            continue
        for removed, added in _parts(before[a1:a2], after[b1:b2]):
            made.append(_trimmed(path, new[:place], place, removed, added))
            place += len(added)
    return [edit for edit in made if edit.text or edit.end > edit.start]


def merged(queues: Mapping[str, Sequence[Edit]], rng: random.Random) -> Iterator[Edit]:
    """The edits of all files, those of one file in order, with changes from file to file before one is done."""
    left = {path: list(queue) for path, queue in sorted(queues.items()) if queue}
    path = ""
    while left:
        if path not in left or (len(left) > 1 and rng.random() > STAY):
            path = rng.choice([other for other in left if other != path])
        yield left[path].pop(0)
        left = {path: queue for path, queue in left.items() if queue}


def shortened(made: Iterator[Edit], most_typed: int) -> Iterator[Edit]:
    """The first edits; the last ends with a line where that is enough."""
    for edit in made:
        if len(edit.text) >= most_typed:
            end = max(edit.text.rfind("\n", 1, most_typed), edit.text.find("\n", 1))
            yield edit._replace(text=edit.text[:end] if end > 0 else edit.text[:most_typed])
            return
        yield edit
        most_typed -= len(edit.text)


def varied(sessions: Sequence[Session], seed: int) -> list[Session]:
    """In an order of chance in which each language and each repository comes early."""
    order = sorted(sessions, key=lambda one: hashlib.sha256(f"{seed} {one.id}".encode()).digest())
    by_language: dict[str, dict[str, list[Session]]] = {}
    for one in order:
        by_language.setdefault(one.language, {}).setdefault(one.commit.repo.name, []).append(one)
    columns = [_round_robin(list(of_repo.values())) for of_repo in by_language.values()]
    return _round_robin(columns)


def _round_robin(columns: Sequence[Sequence[Session]]) -> list[Session]:
    return [one for row in zip_longest(*columns) for one in row if one is not None]


def _opcodes(before: list[str], after: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, before, after, autojunk=False).get_opcodes()


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _parts(removed: list[str], added: list[str]) -> Iterator[tuple[str, str]]:
    """Line by line where each stands for one of the others, else at once."""
    pairs = list(zip(removed, added, strict=False))
    alike = len(removed) == len(added) and all(
        SequenceMatcher(None, *pair, autojunk=False).ratio() > _SIMILAR for pair in pairs
    )
    yield from pairs if alike else [("".join(removed), "".join(added))]


def _trimmed(path: str, before: str, place: int, removed: str, added: str) -> Edit:
    """Without what stays at both ends, in whole words; whole lines are typed from the end of the line above."""
    head = _shared(removed, added)
    tail = len(_common(removed[head:][::-1], added[head:][::-1]))
    while tail and _inside_word(added, len(added) - tail) | _inside_word(removed, len(removed) - tail):
        tail -= 1
    start, end, text = place + head, place + len(removed) - tail, added[head : len(added) - tail]
    if start == end and text.endswith("\n") and before.endswith("\n") and not head:
        return Edit(path, start - 1, end - 1, "\n" + text[:-1])
    return Edit(path, start, end, text)


def _shared(removed: str, added: str) -> int:
    """How much of the beginning stays."""
    head = len(_common(removed, added))
    while head and _inside_word(added, head) | _inside_word(removed, head):
        head -= 1
    return head


def _common(one: str, other: str) -> str:
    """What both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))]


def _inside_word(text: str, place: int) -> bool:
    return 0 < place < len(text) and bool(re.fullmatch(r"\w\w", text[place - 1 : place + 1]))
