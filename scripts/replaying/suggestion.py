"""What an editor shows at the cursor: how it follows the keys, and how much of it somebody who knows the text takes."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from scripts.replaying.keyboard import Goal, Key, key

LEAST = 4
"""A line or a word with fewer characters is typed."""


class Suggestion(NamedTuple):
    """Text for a range around the cursor."""

    start: int
    end: int
    text: str

    def fits(self, text: str, cursor: int) -> bool:
        """Whether it can be shown in the buffer: it begins with what stands before the cursor in its range, which is in
        one line, and has what stands behind the cursor in its own order."""
        if not 0 <= self.start <= cursor <= self.end <= len(text) or "\n" in text[self.start : self.end]:
            return False
        ghost = self.ghost(cursor)
        return self.text.startswith(text[self.start : cursor]) and _has(ghost, text[cursor : self.end])

    def ghost(self, cursor: int) -> str:
        """What is shown behind the cursor."""
        return self.text[cursor - self.start :]

    def after(self, pressed: Key, text: str) -> "Suggestion | None":
        """What is left of it in the buffer after a key; None if the key does not agree with it."""
        if not self.start <= pressed.start <= pressed.end <= self.end:
            return None
        left = self._replace(end=self.end + len(pressed.text) - (pressed.end - pressed.start))
        kept = left._fits_over_lines(text, pressed.cursor) and left.text != text[left.start : left.end]
        return left if kept else None

    def _fits_over_lines(self, text: str, cursor: int) -> bool:
        ghost = self.ghost(cursor)
        return bool(ghost) and self.text.startswith(text[self.start : cursor]) and _has(ghost, text[cursor : self.end])


@dataclass(frozen=True)
class Wish:
    """What somebody wants to stand in the buffer, as it is now."""

    text: str
    cursor: int
    goal: Goal

    def agrees(self, suggestion: Suggestion) -> bool:
        """Whether the first line that it adds is what is wanted."""
        ghost = suggestion.ghost(self.cursor)
        first = ghost.split("\n")[0] or "\n" + ghost.lstrip("\n").split("\n")[0]
        written = self.text[: self.cursor] + first
        return self.goal.text.startswith(written)

    def acceptance(self, suggestion: Suggestion, words: bool) -> Key | None:
        """The key that accepts all, or a line, or with `words` one word, if that is right and worth a key."""
        start, end, text = suggestion
        ghost = suggestion.ghost(self.cursor)
        line, goes_on, _ = ghost.partition("\n")
        whole = key("accept", start, end, text)
        if len(ghost.strip()) > 1 and self._leads_on(whole):
            return whole
        first = key("accept", start, end, text[: len(text) - len(ghost)] + line)
        if goes_on and len(line.strip()) >= LEAST and self._leads_on(first):
            return first
        word = re.match(rf"[^\w\n]*\w{{{LEAST},}}", ghost) if words else None
        part = key("accept", self.cursor, self.cursor, word[0] if word else "")
        return part if word and self._leads_on(part) and _has(ghost[word.end() :], self._behind(end)) else None

    def _behind(self, end: int) -> str:
        return self.text[self.cursor : end]

    def _leads_on(self, accepted: Key) -> bool:
        """Whether the text is nearer to the goal with it, and nothing that is needed is gone."""
        before, behind = self.text[: accepted.start] + accepted.text, self.text[accepted.end :]
        kept = len(self.goal.after) <= len(behind) and self.goal.front.startswith(before)
        return len(before) > self.cursor and (kept or before + behind == self.goal.text)


def _has(text: str, part: str) -> bool:
    """Whether the characters of `part` stand in `text` in their order."""
    left = iter(text)
    return all(letter in left for letter in part)
