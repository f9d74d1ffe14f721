"""Whose pass through the model is next, where several threads share one model.

Passes are short, so to take turns pass by pass is fair: a long answer for one keeps nobody from a short one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flash_ls.deadline import Deadline
    from flash_ls.engine.cache import KVCache
    from flash_ls.engine.head import IdArray, Logits
    from flash_ls.engine.model import Model


class Turns:
    """One pass at a time, in the order of asking; work that gives way goes on only while there is no other."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[object] = deque()
        self._urgent = 0
        self._busy = False
        self._began = 0.0

    @property
    def lasts_s(self) -> float:
        """How long the pass that runs has been running, if one does."""
        return time.monotonic() - self._began if self._busy else 0.0

    @contextmanager
    def work(self, deadline: Deadline) -> Iterator[None]:
        """All passes of one request, and what is between them."""
        self._count(int(not deadline.gives_way))
        try:
            yield
        finally:
            self._count(-int(not deadline.gives_way))

    @contextmanager
    def turn(self, deadline: Deadline) -> Iterator[None]:
        """One pass. Raises `Cancelled` if that comes before its turn."""
        with deadline.interrupting(self._wake):
            self._await(deadline)
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _await(self, deadline: Deadline) -> None:
        ticket = object()
        with self._changed:
            if not deadline.gives_way:
                self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: deadline.cancelled or self._is_next(ticket, deadline.gives_way))
                deadline.check_reading()
                self._busy, self._began = True, time.monotonic()
            finally:
                if not deadline.gives_way:
                    self._waiting.remove(ticket)
                self._changed.notify_all()

    def _is_next(self, ticket: object, gives_way: bool) -> bool:
        return not self._busy and (not self._urgent if gives_way else self._waiting[0] is ticket)

    def _count(self, change: int) -> None:
        with self._changed:
            self._urgent += change
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class SharedModel:
    """A model that several threads may use."""

    def __init__(self, model: Model, turns: Turns) -> None:
        self._model = model
        self._turns = turns
        self.recheck_below = model.recheck_below

    def new_cache(self) -> KVCache:
        """See `Model.new_cache`."""
        return self._model.new_cache()

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        """See `Model.forward`."""
        with self._turns.turn(deadline):
            began = time.process_time()
            try:
                return self._model.forward(tokens, cache, rows, deadline, words, precise)
            finally:
                deadline.spent.cpu_ms += 1e3 * (time.process_time() - began)
