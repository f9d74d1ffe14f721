"""How long work may take, whether anyone still waits for it, what it has cost, and how it tells what it is doing.

One `Deadline` is shared by the event loop, which cancels, and the worker thread, which checks.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flash_ls.errors import Cancelled

Progress = Callable[[str, float], None]
"""Told what is being done and how much of it, from 0 to 1. Raises `Cancelled` when nobody wants it any more."""


@dataclass(slots=True)
class Spent:
    """What work has cost so far, whatever becomes of it."""

    prompt_tokens: int = 0
    """Those of a prompt that has been read or was known; of one that several answers are decoded for, once."""
    cached_tokens: int = 0
    """Those of them that were known."""
    decoded_tokens: int = 0
    cpu_ms: float = 0.0
    """Of processor time, where another process has the model."""

    def add(self, more: "Spent") -> None:
        if not self.prompt_tokens:
            self.prompt_tokens, self.cached_tokens = more.prompt_tokens, more.cached_tokens
        self.decoded_tokens += more.decoded_tokens
        self.cpu_ms += more.cpu_ms


class Deadline:
    """A time budget with a cancel switch that reaches into whatever runs under it."""

    def __init__(self, budget_ms: float = math.inf, gives_way: bool = False) -> None:
        """`gives_way`: to work for somebody who waits, of anyone that shares the model."""
        self.gives_way = gives_way
        self.spent = Spent()
        self._end = time.monotonic() + budget_ms / 1000
        self._lock = threading.Lock()
        self._cancelled = False
        self._released = False
        self._interrupts: list[tuple[Callable[[], None], Callable[[], None]]] = []

    @property
    def remaining_ms(self) -> float:
        """Milliseconds left; negative once the budget is spent."""
        return (self._end - time.monotonic()) * 1000

    @property
    def expired(self) -> bool:
        return self.remaining_ms <= 0

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def prolong(self, seconds: float) -> None:
        """Add to the budget what has passed while nothing could be done."""
        self._end += seconds

    def cancel(self) -> None:
        """Stop the work: interrupts what runs now and makes every later `check` raise. Callable from any thread."""
        with self._lock:
            self._cancelled = True
            interrupts = list(self._interrupts)
        for interrupt, _ in interrupts:
            interrupt()

    def release(self) -> None:
        """Want no answer any more, but let what is being read for it be read: the next request can use it."""
        with self._lock:
            self._released = True
            interrupts = list(self._interrupts)
        for _, released in interrupts:
            released()

    def check(self) -> None:
        """Raise `Cancelled` if no answer is wanted. An expired budget does not raise: partial work is useful."""
        if self._released:
            raise Cancelled("the request was released")
        self.check_reading()

    def check_reading(self) -> None:
        """Raise `Cancelled` if not even what is being read is wanted."""
        if self._cancelled:
            raise Cancelled("the request was cancelled")

    @contextmanager
    def interrupting(
        self, interrupt: Callable[[], None], released: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """While the block runs, `cancel` also calls `interrupt`, and `release` calls `released`."""
        calls = (interrupt, released)
        with self._lock:
            self._interrupts.append(calls)
        try:
            self.check_reading()
            yield
        finally:
            with self._lock:
                self._interrupts.remove(calls)
