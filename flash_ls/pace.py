"""How fast somebody types, and how long an answer is worth waiting with because another key is due before it."""

from collections import deque
from statistics import median

KEYS = 12
"""Intervals that are remembered."""
ENOUGH = 4
PATIENCE_S = 0.18
"""How long a pause may be before something is to be shown, of somebody whose pace is not known."""
LEAST_PATIENCE_S, MOST_PATIENCE_S = 0.12, 0.3
PAUSE_S = 0.4
"""A longer interval is none between two keys of one burst."""
HOLD = 0.6
"""Of the usual interval: so long another key may still come soon; after that it is more and more likely a pause."""


class Pace:
    """The intervals between the last keys. Times are in seconds of one clock."""

    def __init__(self) -> None:
        self._intervals: deque[float] = deque(maxlen=KEYS)
        self._last = float("-inf")
        self._in_burst = False

    def key(self, now: float) -> None:
        """A key was pressed."""
        interval = now - self._last
        self._last, self._in_burst = now, interval < PAUSE_S
        if self._in_burst:
            self._intervals.append(interval)

    @property
    def patience_s(self) -> float:
        """How long after a key whole lines are to be shown, if there are any: a little longer than until the next."""
        if len(self._intervals) < ENOUGH:
            return PATIENCE_S
        return min(MOST_PATIENCE_S, max(LEAST_PATIENCE_S, 1.2 * median(self._intervals)))

    def hold_s(self, takes_s: float, now: float) -> float:
        """How long to wait before work that takes so long: not at all if it is done before the next key is due."""
        if not self._in_burst or len(self._intervals) < ENOUGH:
            return 0.0
        usual = median(self._intervals)
        return max(0.0, self._last + HOLD * usual - now) if takes_s > usual else 0.0
