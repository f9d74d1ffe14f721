"""Somebody who makes the edits of a session in an editor, and takes what it shows when he sees that it is right."""

from dataclasses import dataclass
from math import inf

from scripts.replaying.editor import Editor
from scripts.replaying.keyboard import Goal, Key
from scripts.replaying.pace import AFTER_ACCEPT_S, FASTEST_S, LINGER_S, NOTICE_S
from scripts.replaying.sessions import Edit, Session
from scripts.replaying.suggestion import Wish
from scripts.replaying.writing import Writing, pace_of, removal


class NotAsPlanned(AssertionError):
    """The buffer is not what the edit makes of it."""


@dataclass(frozen=True)
class Habits:
    """What somebody does."""

    accepts: bool = True
    words: bool = True
    """Accepts single words."""
    closing: bool = True
    """Has an editor that closes brackets and quotes."""


class Typist:
    """One person at one editor."""

    def __init__(self, editor: Editor, habits: Habits) -> None:
        self._editor, self._habits = editor, habits

    def play(self, session: Session) -> None:
        """Make all edits. Raises `NotAsPlanned`."""
        for number, edit in enumerate(session.edits):
            self._editor.show(edit.path, session.files[edit.path])
            self._editor.move(edit.start)
            self._make(session, number, edit)
        self._editor.close()

    def _make(self, session: Session, number: int, edit: Edit) -> None:
        editor, pace = self._editor, pace_of(session, number)
        wanted = edit.applied(editor.text)
        self._read(pace.reading_s())
        if removed := removal(edit):
            editor.press(removed)
        writing, last = Writing(edit, editor.text, pace, self._habits.closing), editor.clock.now()
        accepted = None
        while step := writing.next(editor.text, editor.cursor):
            due = last + (AFTER_ACCEPT_S if accepted else step.after_s)
            accepted = self._watch(writing.goal, due, last + FASTEST_S)
            last = editor.press(accepted or step.key).pressed_s
        self._watch(writing.goal, last + LINGER_S, inf)
        if editor.text != wanted:
            raise NotAsPlanned(f"{session.id}: {edit.path} is not as planned")

    def _read(self, seconds: float) -> None:
        until = self._editor.clock.now() + seconds
        while self._editor.listen(until):
            pass

    def _watch(self, goal: Goal, due: float, soonest: float) -> Key | None:
        """Wait until the next key is due; the key that accepts what has been noticed before, not too soon."""
        while True:
            accepted = self._acceptance(goal)
            noticed = max(self._editor.shown_since + NOTICE_S, soonest)
            early = accepted is not None and noticed < due
            if not self._editor.listen(noticed if early else due):
                return accepted if early else None
            self._judge(goal)

    def _acceptance(self, goal: Goal) -> Key | None:
        """The key that accepts what is shown, if it is right."""
        shown = self._editor.shown if self._habits.accepts else None
        return self._wish(goal).acceptance(shown, self._habits.words) if shown else None

    def _judge(self, goal: Goal) -> None:
        """Say of a suggestion that has just come whether it is right."""
        stroke, shown = self._editor.keys[-1], self._editor.shown
        if shown is not None and stroke.shown and stroke.right is None:
            stroke.right = self._wish(goal).agrees(shown)

    def _wish(self, goal: Goal) -> Wish:
        return Wish(self._editor.text, self._editor.cursor, goal)
