"""What became of suggestions that were shown, inferred from the edits that follow: LSP does not tell.

A suggestion is followed as the span that it fills. What stands there is compared with the suggestion after each edit,
so it does not matter how an editor words an edit, only what the text is then. Of a document nothing is read but a few
characters around that span.

Holds texts in memory only; a `Record` has none. Knows nothing of the protocol, of models or of the time of day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import partial
from typing import Literal

from flash_ls.document import Edit

Outcome = Literal["accepted", "partly accepted", "typed", "rejected", "withdrawn"]
"""Accepted: put in by one edit. Partly accepted: a first part of it was, a word or a line, and no more. Typed: by keys,
to its end. Rejected: something else was typed, there or elsewhere, or it was taken out again within `SOON_S`.
Withdrawn: another suggestion took its place or the document was closed; that says nothing about it."""
Read = Callable[[str, int, int], str]
"""The text of the document with this URI, as it is now, between two offsets from 0, which may lie beyond its end."""

SOON_S, LATE_S = 30.0, 300.0
"""When what was accepted is looked at again."""
KEPT = 0.8
"""The share of a text that has to be there still."""
MOST_FOLLOWED = 32
"""Accepted suggestions in one document."""
_AROUND = 64
"""Characters before and behind a suggestion, on its line, that stay as they are while it is accepted or typed."""
_LONGEST = 20_000
"""Characters of a span that are compared."""
_MOST_SLACK = 1_000
_CLOSERS = {"(": ")", "[": "]", "{": "}", "<": ">", '"': '"', "'": "'", "`": "`"}
_KEY = re.compile(r"""\s*+(?:\S|\(\s*\)|\[\s*\]|\{\s*\}|<>|(["'`])\1*)?\s*+""")
_WORD = re.compile(r"\w+|[^\w\s]")
_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class Shown:
    """A suggestion: a text for what stands between two offsets."""

    start: int
    end: int
    text: str
    time: float
    """When it is shown, in seconds since the epoch."""
    language: str
    milliseconds: float = 0.0
    """From the request to the suggestion."""
    probability: float = 0.0
    """Of being what the user is about to write."""


@dataclass(frozen=True, slots=True)
class Record:
    """One suggestion and what became of it."""

    time: float
    """When it was shown first, in seconds since the epoch."""
    language: str
    kind: Literal["line", "block"]
    characters: int
    """That were shown, with those typed along it."""
    taken: int
    """How many of them the user did not have to type."""
    outcome: Outcome
    milliseconds: float
    probability: float
    kept_30s: bool | None = None
    """Whether what was accepted was still there then; None if it is not known."""
    kept_5min: bool | None = None


def one_key(text: str) -> bool:
    """Whether one key may have put in this: a character with what editors close or indent by themselves."""
    return _KEY.fullmatch(text) is not None


def share_left(text: str, there: str) -> float:
    """How much of `text` stands in `there` in its order, from 0 to 1, whatever the white space and what is between."""
    if text in there:
        return 1.0
    words, found = _WORD.findall(text), _WORD.findall(there)
    blocks = SequenceMatcher(None, words, found, autojunk=False).get_matching_blocks()
    left = sum(len("".join(words[block.a : block.a + block.size])) for block in blocks)
    return left / max(1, len("".join(words)))


class Outcomes:
    """The suggestions that are followed, at most one open one a document. All times are in seconds since the epoch."""

    def __init__(self, read: Read, report: Callable[[Record], object]) -> None:
        self._read = read
        self._report = report
        self._open: dict[str, _Open] = {}
        self._taken: dict[str, list[_Taken]] = {}

    def follows(self, uri: str) -> bool:
        """Whether edits of the document are of interest."""
        return uri in self._open or uri in self._taken

    @property
    def next_due(self) -> float | None:
        """When `due` has something to do."""
        times = [one.touched + LATE_S for one in self._open.values()]
        return min(times + [one.due for taken in self._taken.values() for one in taken], default=None)

    def shown(self, uri: str, shown: Shown) -> None:
        """A suggestion is shown now.

        If it is what is left of the one that was shown before, or that and more, it counts as the same.
        """
        before = self._open.get(uri)
        if before is not None and before.goes_on(shown):
            return
        if before is not None:
            self._settle(uri, "withdrawn" if before.near(shown) else "rejected")
        if shown.text:
            self._open[uri] = _Open(partial(self._read, uri), shown)

    def changed(self, uri: str, edits: Iterable[Edit], now: float) -> None:
        """The edits of one notification have been made."""
        edits = [edit for edit in edits if edit[2] or edit[0] != edit[1]]
        if not edits:
            return
        read = partial(self._read, uri)
        if undone := [one for one in self._taken.get(uri, []) if one.undone(edits, now, read)]:
            for one in undone:
                one.record = replace(one.record, outcome="rejected", taken=0)
            self._release(uri, undone.__contains__)
        if uri in self._open and (outcome := self._open[uri].follow(edits, now)) is not None:
            self._settle(uri, outcome)

    def closed(self, uri: str) -> None:
        """The document is closed: what is not known yet never will be."""
        if uri in self._open:
            self._settle(uri, "withdrawn")
        self._release(uri, lambda one: True)

    def finish(self) -> None:
        """Close every document."""
        for uri in {*self._open, *self._taken}:
            self.closed(uri)

    def due(self, now: float) -> None:
        """Look again at what was accepted long enough ago, and give up what nobody has touched for as long."""
        for uri in [uri for uri, one in self._open.items() if now >= one.touched + LATE_S]:
            self._settle(uri, "rejected")
        for uri in list(self._taken):
            for one in self._taken[uri]:
                if now >= one.due:
                    one.look(now, partial(self._read, uri))
            self._release(uri, lambda one: one.record.kept_5min is not None)

    def _settle(self, uri: str, outcome: Outcome) -> None:
        """Report the open suggestion; if the user took of it, that is followed on first."""
        suggestion = self._open.pop(uri)
        if not suggestion.taken:
            self._report(suggestion.record(outcome))
            return
        taken = self._taken.setdefault(uri, [])
        taken.append(suggestion.accepted("accepted" if outcome == "accepted" else "partly accepted"))
        if len(taken) > MOST_FOLLOWED:
            self._report(taken.pop(0).record)

    def _release(self, uri: str, known: Callable[[_Taken], bool]) -> None:
        """Report those that are `known`, and follow the others on."""
        taken = self._taken.pop(uri, [])
        for one in filter(known, taken):
            self._report(one.record)
        if left := [one for one in taken if not known(one)]:
            self._taken[uri] = left


@dataclass(slots=True)
class _Span:
    """From where to where a suggestion, or its place, reaches while the document is edited."""

    start: int
    end: int
    inclusive: bool
    """Whether what is put in at its ends belongs to it."""
    slack: int = 0
    """How much further its text may have moved, to either side, when edits replaced more than the span."""

    def follow(self, edit: Edit) -> bool:
        """Move with an edit. Whether that touched the span."""
        start, end, text = edit
        grown = len(text) - (end - start)
        if end < self.start or (end == self.start and not self.inclusive):
            self.start, self.end = self.start + grown, self.end + grown
            return False
        if start > self.end or (start == self.end and not self.inclusive):
            return False
        if text and (start < self.start or end > self.end):
            self.slack = min(_MOST_SLACK, self.slack + abs(grown))
        self.start = min(self.start, max(start, 0) + len(text)) if start < self.start else self.start
        self.end = max(self.start, min(start, self.end), self.end + grown)
        return True


class _Open:
    """A suggestion that is shown, and how far the user has got along it."""

    def __init__(self, read: Callable[[int, int], str], shown: Shown) -> None:
        self._read = read
        self._shown = shown
        self.taken = 0
        self.touched = self.accepted_at = shown.time
        self._place(_Span(shown.start, shown.end, inclusive=True), shown.text)

    def _place(self, span: _Span, text: str) -> None:
        self.span, self.text = span, _plain(text)
        self._content = self._before = _plain(self._read(span.start, span.end))
        self._done = _common(self._content, self.text)
        self._replaced = self._content[self._done :]
        head = self._read(max(0, span.start - _AROUND), span.start)
        self._head = head[max(head.rfind("\n"), head.rfind("\r"), 0) :]
        tail = self._read(span.end, span.end + _AROUND)
        line_end = _LINE_END.search(tail)
        self._tail = tail[: line_end.end()] if line_end else tail

    def near(self, shown: Shown) -> bool:
        return self.span.start <= shown.end and shown.start <= self.span.end

    def goes_on(self, shown: Shown) -> bool:
        """Whether a suggestion is the same, as far as both go; if so it is shown from now on."""
        if not self.near(shown):
            return False
        first, beyond = min(shown.start, self.span.start), max(shown.end, self.span.end)
        before = _plain(self._read(first, self.span.start) + self.text + self._read(self.span.end, beyond))
        after = _plain(self._read(first, shown.start) + shown.text + self._read(shown.end, beyond))
        if not (before.startswith(after) or after.startswith(before)):
            return False
        self._place(_Span(first, beyond, inclusive=True), after)
        return True

    def follow(self, edits: list[Edit], now: float) -> Outcome | None:
        """What has become of it by these edits, if that is known."""
        texts = [edit[2] for edit in edits if self.span.follow(edit)] or self._aligned(edits)
        if not texts or not self._in_place():
            return "rejected"
        self.touched = now
        content = _plain(self._read(self.span.start, min(self.span.end, self.span.start + _LONGEST)))
        done = _agreement(content, self.text, self._replaced)
        if done is None:
            return "rejected"
        return self._advance(content, done, all(map(one_key, texts)))

    def _aligned(self, edits: list[Edit]) -> list[str]:
        """The text put in at the span's end, where an editor tells of it as put in a little further on.

        An editor that compares texts may find `ab` between `|ab` as put in behind the second `ab`.
        """
        (start, end, text), *others = edits
        if others or start != end or not self.span.end < start <= self.span.end + len(text):
            return []
        self.span.end += len(text)
        return [text]

    def _in_place(self) -> bool:
        """Whether what stands around it on its line is the same."""
        start, end = self.span.start, self.span.end
        head = self._read(max(0, start - len(self._head)), start)
        return head == self._head and self._read(end, end + len(self._tail)) == self._tail

    def _advance(self, content: str, done: int, keyed: bool) -> Outcome | None:
        gain, whole = done - self._done, done == len(self.text)
        accepted = gain > 0 and not keyed and (whole or (gain > 1 and _ends_word(self.text, done)))
        if accepted:
            self._before = self._content
            self.accepted_at = self.touched
        self.taken = max(0, self.taken + (len(content) - len(self._content) if accepted else min(0, gain)))
        self._content, self._done = content, done
        if not whole:
            return None
        return "accepted" if accepted else "typed"

    def record(self, outcome: Outcome) -> Record:
        kind: Literal["line", "block"] = "block" if "\n" in self.text.strip("\n") else "line"
        shown, length = self._shown, len(self.text)
        return Record(
            shown.time, shown.language, kind, length, self.taken, outcome, shown.milliseconds, shown.probability
        )

    def accepted(self, outcome: Outcome) -> _Taken:
        """What the user took, to be followed on."""
        start, text = self.span.start, self.text[: self._done]
        reach = len(text) + _carriage_returns(self._read(start, start + 2 * len(text)), len(text))
        before = self._before if outcome == "accepted" else text[: self._done - self.taken]
        return _Taken(
            _Span(start, start + reach, inclusive=False), text, before, self.record(outcome), self.accepted_at
        )


@dataclass(slots=True, eq=False)
class _Taken:
    """A text that the user took, and where it should be."""

    span: _Span
    text: str
    before: str
    """What stood in its place, as far as the user had typed along it."""
    record: Record
    since: float

    @property
    def due(self) -> float:
        return self.since + (SOON_S if self.record.kept_30s is None else LATE_S)

    def undone(self, edits: list[Edit], now: float, read: Callable[[int, int], str]) -> bool:
        """Whether the user took it out again by these edits, soon enough to say that it was not wanted."""
        touched = [self.span.follow(edit) for edit in edits]
        length = self.span.end - self.span.start
        if not any(touched) or now > self.since + SOON_S or length > 2 * len(self.before):
            return False
        restored = _plain(read(self.span.start, self.span.end)) == self.before
        return restored and not (self.span.slack and self._is_there(read))

    def look(self, now: float, read: Callable[[int, int], str]) -> None:
        """See how much of it is left."""
        kept = self._is_there(read)
        soon = kept if self.record.kept_30s is None else self.record.kept_30s
        late = kept if now >= self.since + LATE_S else None
        self.record = replace(self.record, kept_30s=soon, kept_5min=late)

    def _is_there(self, read: Callable[[int, int], str]) -> bool:
        span = self.span
        there = read(max(0, span.start - span.slack), min(span.end, span.start + _LONGEST) + span.slack)
        return share_left(self.text, _plain(there)) >= KEPT


def _agreement(content: str, text: str, replaced: str) -> int | None:
    """How many first characters of `text` stand in its place; None if there is something else.

    Behind them may be what the text is to replace, and what an editor closes by itself.
    """
    done = _common(content, text)
    rest = content[done:]
    if replaced.endswith(rest):
        return done
    closers = {_CLOSERS[character] for character in content[:done] if character in _CLOSERS}
    closed = closers and all(character in closers or character.isspace() for character in rest.removesuffix(replaced))
    return done if closed else None


def _ends_word(text: str, length: int) -> bool:
    """Whether the first characters of a text, so many but not all, end with a word."""
    return re.fullmatch(r"\w\w", text[length - 1 : length + 1]) is None


def _common(one: str, other: str) -> int:
    """The length of the beginning that both have."""
    return next(
        (index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )


def _plain(text: str) -> str:
    """With all line ends as one character."""
    return _LINE_END.sub("\n", text) if "\r" in text else text


def _carriage_returns(text: str, length: int) -> int:
    """How many characters `_plain` takes out of those that become the first `length`."""
    return next((taken for taken in range(text.count("\r") + 1) if len(_plain(text[: length + taken])) >= length), 0)
