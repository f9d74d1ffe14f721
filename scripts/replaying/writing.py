"""The keys of one edit with the time before each, slips among them: what is pressed if nothing is suggested."""

from typing import NamedTuple

from scripts.replaying.keyboard import Goal, Key, Keyboard, key
from scripts.replaying.pace import Pace, Slip
from scripts.replaying.sessions import Edit, Session


class Step(NamedTuple):
    """A key and the seconds since the last."""

    key: Key
    after_s: float


class Writing:
    """One edit, from when what it replaces is gone."""

    def __init__(self, edit: Edit, text: str, pace: Pace, closing: bool) -> None:
        """`text` is what it stands in."""
        self.goal = Goal(text[: edit.start] + edit.text, text[edit.start :])
        self._pace = pace
        self._keyboard = Keyboard(edit.path, text, closing)
        self._slipped: set[int] = set()
        self._unnoticed = 0

    def next(self, text: str, cursor: int) -> Step | None:
        """None when the edit is made."""
        planned = self._keyboard.next_key(text, cursor, self.goal)
        return planned and Step(self._with_slips(planned, cursor), self._pace.interval_s(self.goal.front, cursor))

    def _with_slips(self, planned: Key, cursor: int) -> Key:
        if planned.kind == "backspace" and self._unnoticed and cursor < len(self.goal.front):
            self._unnoticed -= 1
            return key("type", cursor, cursor, self.goal.front[cursor])
        slip = self._slip(planned, cursor)
        if slip is None:
            return planned
        self._slipped.add(cursor)
        self._unnoticed = slip.later
        return key("type", cursor, cursor, slip.letter)

    def _slip(self, planned: Key, cursor: int) -> Slip | None:
        if planned.kind != "type" or cursor in self._slipped:
            return None
        return self._pace.slip(self.goal.front, cursor)


def removal(edit: Edit) -> Key | None:
    """The key that deletes what an edit replaces."""
    return key("delete", edit.start, edit.end) if edit.end > edit.start else None


def pace_of(session: Session, number: int) -> Pace:
    """That of one edit."""
    return Pace(f"{session.commit.id} {number}")


def keys_alone(session: Session, closing: bool) -> int:
    """How many keys a session takes if nothing is accepted."""
    return sum(_keys(session, number, edit, closing) for number, edit in enumerate(session.edits))


def _keys(session: Session, number: int, edit: Edit, closing: bool) -> int:
    before = session.files[edit.path]
    for earlier in session.edits[:number]:
        before = earlier.applied(before) if earlier.path == edit.path else before
    first = removal(edit)
    text, cursor, pressed = first.applied(before) if first else before, edit.start, int(bool(first))
    writing = Writing(edit, text, pace_of(session, number), closing)
    while step := writing.next(text, cursor):
        text, cursor, pressed = step.key.applied(text), step.key.cursor, pressed + 1
    return pressed
