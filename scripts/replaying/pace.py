"""When somebody presses which key, and where he slips: planned by the place in the text that he writes.

The plan does not depend on what was pressed before, so that all servers meet the same typist though he accepts from one
what he types with the other.
"""

import random
import string
from typing import NamedTuple

NOTICE_S = 0.25
"""A suggestion that has stood for less is not noticed."""
LINGER_S = 0.4
"""From the last key of an edit to looking elsewhere."""
AFTER_ACCEPT_S = 0.3
"""From an accepted suggestion to the next key."""
FASTEST_S, USUAL_S, SLOWEST_S = 0.08, 0.18, 0.4
_SPREAD = 0.4
_INSIDE_WORD = 0.85
_LINE_PAUSE = 0.25
_LINE_PAUSE_S = 0.4, 1.5
_READING_S = 0.8, 2.5
_SLIPS = 0.02


class Slip(NamedTuple):
    """A wrong letter, and how many keys later it is noticed."""

    letter: str
    later: int


class Pace:
    """The plan for one edit."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def reading_s(self) -> float:
        """The pause before the edit."""
        return self._chance("reading").uniform(*_READING_S)

    def interval_s(self, front: str, place: int) -> float:
        """The time before the key that writes the character at a place of the text that is written."""
        rng = self._chance(f"{place}")
        usual = rng.lognormvariate(0.0, _SPREAD) * USUAL_S
        pause, longer = rng.random(), rng.uniform(*_LINE_PAUSE_S)
        if front[:place].rpartition("\n")[2].strip() == "" and pause < _LINE_PAUSE:
            return longer
        inside = front[max(0, place - 1) : place + 1].isalnum() and place > 0
        return min(SLOWEST_S, max(FASTEST_S, usual * (_INSIDE_WORD if inside else 1.0)))

    def slip(self, front: str, place: int) -> Slip | None:
        """The slip instead of the letter at a place; there are none outside of words."""
        rng = self._chance(f"slip {place}")
        wrong, later, slips = rng.choice(string.ascii_lowercase), rng.choice((1, 2)), rng.random() < _SLIPS
        right = front[place : place + 1]
        if not slips or not right.isalpha() or wrong == right:
            return None
        following = front[place + 1 : place + 1 + later]
        return Slip(wrong, later) if len(following) == later and following.isalnum() else None

    def _chance(self, what: str) -> random.Random:
        return random.Random(f"{self._seed} {what}")
