"""The time of a session: that of the day, or one that passes only while something is waited for."""

import queue
import time
from typing import Any, Protocol

Arrival = tuple[float, Any]
"""A moment and what came then."""


class Clock(Protocol):
    def now(self) -> float:
        """Seconds from some moment on."""

    def next(self, arrivals: "queue.Queue[Arrival]", until: float, expected: bool, patience_s: float) -> Arrival | None:
        """What arrives before a moment, or None at that moment; `expected` says that something will arrive."""


class HumanClock:
    """Waits as long as somebody takes."""

    def now(self) -> float:
        return time.monotonic()

    def next(self, arrivals: "queue.Queue[Arrival]", until: float, expected: bool, patience_s: float) -> Arrival | None:
        try:
            return arrivals.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return None


class FastClock:
    """Waits for answers and for nothing else: the next key comes when the last is answered, but not before its time."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return time.monotonic() + self._skipped

    def next(self, arrivals: "queue.Queue[Arrival]", until: float, expected: bool, patience_s: float) -> Arrival | None:
        if not expected:
            self._skipped += max(0.0, until - self.now())
            return None
        return arrivals.get(timeout=patience_s)
