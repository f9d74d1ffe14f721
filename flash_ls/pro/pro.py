"""The larger model beside the first: asked in the background, about one place at a time, while its user stays there.

Everything here runs in the event loop. Knows nothing of the protocol, nor what is done with an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from flash_ls.errors import OWN_FAULT, FlashLsError
from flash_ls.pro.budget import Budget
from flash_ls.requests import Requests

if TYPE_CHECKING:
    from flash_ls.completer import Completion
    from flash_ls.config import Config
    from flash_ls.context import Context
    from flash_ls.deadline import Deadline
    from flash_ls.document import Snapshot

KEY = "pro"
REST_S = 30.0
"""So long it is left alone after a failure."""

log = logging.getLogger(__name__)


class Answers(Protocol):
    """What answers, of this machine or another."""

    config: Config
    context: Context | None

    def complete(self, snapshot: Snapshot, deadline: Deadline) -> Completion:
        """The best completion at the snapshot's cursor. Raises `FlashLsError`."""


class Pro:
    """One larger model, if there is one, and what came of asking it."""

    def __init__(self, told: Callable[[], object] = lambda: None) -> None:
        """`told` is called when there is something new to say of it."""
        self.answers: Answers | None = None
        self.name = ""
        """To be told to people; empty if none is wanted."""
        self.for_bodies = False
        """Whether it is quick enough to write whole bodies that nobody asked for."""
        self.budget = Budget(0)
        self.budget_ms: float = 0
        self.said: Completion | None = None
        """What it said of the place it was asked about last."""
        self.better = 0
        """How many of its answers were taken."""
        self._told = told
        self._fault = ""
        self._requests = Requests()
        self._snapshot: Snapshot | None = None
        self._asking: asyncio.Task[None] | None = None
        self._rests_until = 0.0

    def ask(self, snapshot: Snapshot, pause_s: float, take: Callable[[Completion], bool]) -> None:
        """Have it answer, instead of anything else, after a pause. `take` gets the answer unless it is dropped before.

        `take` returns whether the answer is of use.
        """
        self.drop()
        if self.answers is not None:
            self._snapshot = snapshot
            self._asking = asyncio.ensure_future(self._ask(self.answers, snapshot, pause_s, take))

    def is_about(self, snapshot: Snapshot) -> bool:
        """Whether it is being asked, or was asked last, about this very text and cursor."""
        asked = self._snapshot
        return asked is not None and _place(asked) == _place(snapshot)

    def drop(self) -> None:
        """Its user has moved on: what it says is of no use any more."""
        self._snapshot = self.said = None
        if self._asking is not None:
            self._asking.cancel()
        self._asking = None

    def give_way(self) -> None:
        """Drop what it has not answered yet: the first model is to work now."""
        if self._asking is not None and not self._asking.done():
            self.drop()

    def fail(self, sentence: str) -> None:
        """It cannot be asked, for a while at least."""
        log.warning(sentence)
        self._fault = sentence
        self._rests_until = asyncio.get_running_loop().time() + REST_S
        self._told()

    def begin(self, name: str, for_bodies: bool = False) -> None:
        """Another one is wanted, which is not ready yet, or none."""
        self.drop()
        self.for_bodies = for_bodies
        self.name, self.answers = name, None
        self._fault = "It is not loaded yet." if name else ""
        self._told()

    def ready(self, answers: Answers) -> None:
        """It can be asked."""
        self.answers = answers
        self._recover()
        self._told()

    def stop(self) -> None:
        """Drop all and ask nothing more."""
        self.drop()
        self.answers = None
        self._requests.stop()

    def join(self) -> None:
        """Wait until its thread has noticed `stop`."""
        self._requests.join()

    @property
    def sentence(self) -> str:
        """How often it was asked, and what is wrong with it; empty if none is wanted."""
        if not self.name:
            return ""
        spent, most = self.budget.spent, self.budget.per_hour
        counts = f"{self.name} was asked {self.budget.total} times, {spent} of {most} in this hour."
        if not self._fault and spent >= most:
            return f"{counts} It is asked no more in this hour; raise flashLs.pro_per_hour for more."
        return f"{counts} {self._fault}".rstrip()

    def report(self) -> dict[str, object] | None:
        """The same for machines."""
        if not self.name:
            return None
        counts = {"asked": self.budget.total, "this_hour": self.budget.spent, "per_hour": self.budget.per_hour}
        return {"name": self.name, **counts, "better": self.better, "message": self.sentence}

    def _recover(self) -> None:
        self._fault, self._rests_until = "", 0.0

    async def _ask(
        self, answers: Answers, snapshot: Snapshot, pause_s: float, take: Callable[[Completion], bool]
    ) -> None:
        await asyncio.sleep(pause_s)
        if asyncio.get_running_loop().time() < self._rests_until or not self.budget.spend():
            return
        self._told()
        log.info("pro", {"asked": self.budget.total})
        try:
            work = partial(answers.complete, snapshot)
            found = await self._requests.run(KEY, self.budget_ms, work, gives_way=True)
        except FlashLsError as error:
            self.fail(str(error))
        except Exception:
            log.exception("The larger model met an error of our own.")
            self.fail(OWN_FAULT)
        else:
            self._recover()
            if found is not None:
                self.said = replace(found, pro=True)
                self.better += take(self.said)
            self._told()


def _place(snapshot: Snapshot) -> tuple[str, str, int]:
    return snapshot.uri, snapshot.text, snapshot.cursor
