"""How often something may be done in an hour."""

import time
from collections import deque
from collections.abc import Callable

HOUR_S = 3600.0


class Budget:
    """Times of the last hour, counted as they are spent."""

    def __init__(self, per_hour: int, now: Callable[[], float] = time.monotonic) -> None:
        self.per_hour = per_hour
        """May be changed at any time; what was spent stays spent."""
        self.total = 0
        """Spent since the beginning."""
        self._now = now
        self._spent: deque[float] = deque()

    def spend(self) -> bool:
        """Whether it may be done once more, which then counts."""
        if self.spent >= self.per_hour:
            return False
        self._spent.append(self._now())
        self.total += 1
        return True

    @property
    def spent(self) -> int:
        """In the last hour."""
        while self._spent and self._now() - self._spent[0] >= HOUR_S:
            self._spent.popleft()
        return len(self._spent)
