"""What the keys of somebody who writes a known text do in an editor that indents and closes brackets by itself.

`next_key` is asked again after every key: it sees the buffer and what it shall become, and knows neither time nor
suggestions.
"""

import re
from typing import Literal, NamedTuple

from flash_ls.language import LANGUAGES, language_of, literals

Kind = Literal["type", "enter", "tab", "over", "move", "delete", "backspace", "accept"]
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_CLOSED_BEFORE = re.compile(r"[\s;:.,=}\])>`]|\Z")
"""What follows a bracket that is closed by itself."""
_QUOTES = {"rust": '"', "javascript": "\"'`", "typescript": "\"'`", "tsx": "\"'`", "go": '"`'}
_OTHER_QUOTES = "\"'"


class Key(NamedTuple):
    """One key: the range it replaces, by what, and where the cursor stands then."""

    kind: Kind
    start: int
    end: int
    text: str
    cursor: int

    def applied(self, text: str) -> str:
        return text[: self.start] + self.text + text[self.end :]

    @property
    def edits(self) -> bool:
        return self.kind != "move"


class Goal(NamedTuple):
    """What shall stand before the cursor in the end, and what follows it."""

    front: str
    after: str

    @property
    def text(self) -> str:
        return self.front + self.after


class Keyboard:
    """The keys for one file."""

    def __init__(self, path: str, text: str, closing: bool = True) -> None:
        """Without `closing` the editor closes nothing."""
        self._language = language_of(path)
        self._closing = closing
        self._unit = indent_unit(text)

    def next_key(self, text: str, cursor: int, goal: Goal) -> Key | None:
        """The key that brings the buffer nearer to the goal; None when it is reached."""
        before, waiting = text[:cursor], text[cursor : len(text) - len(goal.after)]
        if not goal.front.startswith(before):
            return self._correction(before, goal.front)
        rest = goal.front[cursor:]
        if not rest:
            return key("delete", cursor, cursor + len(waiting)) if waiting else None
        if step := over_closers(rest, waiting):
            return Key("move", cursor, cursor, "", cursor + step)
        if waiting and rest[0] == waiting[0] and rest[0] in "\"'`)]}":
            return key("over", cursor, cursor + 1, rest[0])
        if rest[0] == "\n":
            return self._enter(before, cursor, text[cursor : cursor + 1])
        if rest[0] in " \t" and not current_line(before).strip():
            return key("tab", cursor, cursor, indentation(rest))
        return self._character(rest[0], before, text[cursor : cursor + 1])

    def slip(self, cursor: int, letter: str) -> Key:
        """A letter that is wrong."""
        return key("type", cursor, cursor, letter)

    def _correction(self, before: str, front: str) -> Key:
        """Put right the indentation that the editor made, or take back one letter."""
        same = _agreement(before, front)
        if before[same:].strip() or "\n" in before[same:] or current_line(before).strip():
            return key("backspace", len(before) - 1, len(before))
        wanted = front[same:]
        if wanted.startswith("\n"):  # an empty line loses the indentation with the next
            return key("enter", same, len(before), "\n" + indentation(current_line(before)))
        return key("tab", same, len(before), indentation(wanted))

    def _enter(self, before: str, cursor: int, following: str) -> Key:
        indent = indentation(current_line(before))
        if self._closing and before and following and _CLOSERS.get(before[-1]) == following:
            inner = f"\n{indent}{self._unit}"
            return Key("enter", cursor, cursor, f"{inner}\n{indent}", cursor + len(inner))
        return key("enter", cursor, cursor, f"\n{indent}")

    def _character(self, letter: str, before: str, following: str) -> Key:
        closer = self._closer(letter, before) if self._closing and _CLOSED_BEFORE.match(following) else ""
        return Key("type", len(before), len(before), letter + closer, len(before) + 1)

    def _closer(self, letter: str, before: str) -> str:
        if letter not in _QUOTES.get(self._language, _OTHER_QUOTES):
            return _CLOSERS.get(letter, "")
        line = current_line(before)
        inside = self._language in LANGUAGES and any(
            match.end() == len(line) for match in literals(self._language).finditer(line) if match[0]
        )
        return "" if inside or re.search(rf"[\w{letter}]\Z", line) else letter


def _agreement(before: str, front: str) -> int:
    """How much of the text before the cursor is as it shall be."""
    start = len(before) - len(current_line(before))
    start = start if front.startswith(before[:start]) else 0
    pairs = enumerate(zip(before[start:], front[start:], strict=False), start)
    return next((place for place, (left, right) in pairs if left != right), min(len(before), len(front)))


def key(kind: Kind, start: int, end: int, text: str = "") -> Key:
    """One that leaves the cursor behind its text."""
    return Key(kind, start, end, text, start + len(text))


def over_closers(rest: str, waiting: str) -> int:
    """How far the cursor moves over a line end that the editor has put there, with the closer that follows it."""
    match = re.match(r"\n[ \t]*\S?", waiting)
    return len(match[0]) if match and rest.startswith(match[0]) else 0


def current_line(before: str) -> str:
    return before[before.rfind("\n") + 1 :]


def indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def indent_unit(text: str) -> str:
    """What one more level of indentation is in a text."""
    indents = re.findall(r"^[ \t]+(?=[^\s*])", text, re.MULTILINE)
    if sum("\t" in indent for indent in indents) * 2 > len(indents):
        return "\t"
    return "  " if sum(len(indent) % 4 == 2 for indent in indents) * 8 > len(indents) else "    "
