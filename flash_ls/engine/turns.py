"""Whose pass through the model is next, where several threads share one model.

Passes are short, so to take turns pass by pass is fair: a long answer for one keeps nobody from a short one. Whoever's
turn it is may do what others wait for along with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flash_ls.deadline import Deadline

GATHER_S = 0.004
"""A tenth of a pass of eight steps."""


class Ticket:
    """Somebody who waits for a turn."""

    taken = False
    """Whether somebody else's turn serves this one, which must be waited for then."""
    served = False


class Turns:
    """One pass at a time, in the order of asking; work that gives way goes on only while there is no other."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[Ticket] = deque()
        self._urgent = 0
        self._taken = 0
        """How many were taken along last time."""
        self._busy = False
        self._passes = 0

    @property
    def running(self) -> int | None:
        """The number of the pass that runs, if one does."""
        return self._passes if self._busy else None

    @property
    def at_work(self) -> int:
        """Requests whose answers are waited for."""
        return self._urgent

    @contextmanager
    def work(self, deadline: Deadline) -> Iterator[None]:
        """All passes of one request, and what is between them."""
        self._count(int(not deadline.gives_way))
        try:
            yield
        finally:
            self._count(-int(not deadline.gives_way))

    @contextmanager
    def turn(self, deadline: Deadline, ticket: Ticket | None = None) -> Iterator[bool]:
        """One pass, or False for none if the ticket was served meanwhile. Raises `Cancelled` if that comes before."""
        ticket = ticket or Ticket()
        with deadline.interrupting(self._wake):
            mine = self._await(deadline, ticket)
        try:
            yield mine
        finally:
            if mine:
                self._end()

    def take_along(self, wanted: Callable[[Ticket], bool]) -> list[Ticket]:
        """Those who wait and are `wanted`: whoever has the turn has to `serve` them.

        As many as last time are waited for, but not for long: they are about to ask for their next pass.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._found(wanted) >= min(self._taken, self._urgent - 1), GATHER_S)
            taken = [ticket for ticket in self._waiting if wanted(ticket)]
            self._taken = len(taken)
            for ticket in taken:
                ticket.taken = True
                self._waiting.remove(ticket)
            return taken

    def _found(self, wanted: Callable[[Ticket], bool]) -> int:
        return sum(wanted(ticket) for ticket in self._waiting)

    def serve(self, tickets: Iterable[Ticket]) -> None:
        """What they have waited for is done."""
        with self._changed:
            for ticket in tickets:
                ticket.served = True
            self._changed.notify_all()

    def _await(self, deadline: Deadline, ticket: Ticket) -> bool:
        """Whether it is the ticket's own turn."""
        with self._changed:
            if not deadline.gives_way:
                self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: ticket.served or self._may_go(deadline, ticket))
                if not ticket.served:
                    deadline.check_reading()
                    self._busy, self._passes = True, self._passes + 1
                return not ticket.served
            finally:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                self._changed.notify_all()

    def _may_go(self, deadline: Deadline, ticket: Ticket) -> bool:
        return not ticket.taken and (deadline.cancelled or self._is_next(ticket, deadline.gives_way))

    def _is_next(self, ticket: Ticket, gives_way: bool) -> bool:
        return not self._busy and (not self._urgent if gives_way else self._waiting[0] is ticket)

    def _end(self) -> None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()

    def _count(self, change: int) -> None:
        with self._changed:
            self._urgent += change
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
