"""What a replica of a team's server does with a request that is let in. Knows nothing of HTTP."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from flash_ls.deadline import Deadline
from flash_ls.engine.decode import Choice, GenerationParams
from flash_ls.errors import OWN_FAULT, Cancelled, FlashLsError, ModelFailed
from flash_ls.shared.host import Host
from flash_ls.shared.messages import Failed, Generate
from flash_ls.team.frames import Begun, Chosen, Done, Request, framed

log = logging.getLogger(__name__)

Send = Callable[[bytes], object]


class Account(NamedTuple):
    """What one request was, for the metrics."""

    outcome: str
    """done, cancelled (the user had enough or typed on), refused or failed"""
    seconds: float
    prompt_tokens: int
    cached_tokens: int
    decoded_tokens: int


class Worker:
    """Answers requests, several at once, each in a thread of the caller's."""

    def __init__(self, host: Host, most: int, fail: Callable[[], object], book: Callable[[Account], object]) -> None:
        """`most`: requests at once; `fail` is called if the model is of no use any more, `book` after each request."""
        self._host = host
        self._most = most
        self._under_way, self._lock = 0, Lock()
        self._fail = fail
        self._book = book

    @property
    def under_way(self) -> int:
        """Requests that are being answered."""
        return self._under_way

    def wants(self, request: Request) -> bool:
        """What nobody waits for must not take the place of what somebody does."""
        return not request.gives_way or self._under_way < self._most // 2

    def answer(self, request: Request, deadline: Deadline, send: Send) -> None:
        """Send the frames of the answer; without `Done` if it was cancelled or the model failed."""
        self._count(1)
        began = time.monotonic()
        cached = len(request.prompt) - self._host.slots.missing(request.prompt)
        chosen: list[Choice] = []
        outcome = self._outcome(request, deadline, send, cached, chosen)
        self._count(-1)
        self._book(Account(outcome, time.monotonic() - began, len(request.prompt), cached, len(chosen)))

    def _count(self, change: int) -> None:
        with self._lock:
            self._under_way += change

    def _outcome(self, request: Request, deadline: Deadline, send: Send, cached: int, chosen: list[Choice]) -> str:
        try:
            with self._host.turns.work(deadline):
                self._work(request, deadline, send, cached, chosen)
            send(framed(Done()))
        except Cancelled:
            return "cancelled"
        except (ModelFailed, MemoryError) as error:
            log.error("The model failed, so the replica ends (%(error)s).", {"error": error})
            self._fail()
            return "failed"
        except FlashLsError as error:
            send(framed(Failed(str(error))))
            return "refused"
        except Exception:
            log.exception("a request failed")
            send(framed(Failed(OWN_FAULT)))
            return "failed"
        return "done"

    def _work(self, request: Request, deadline: Deadline, send: Send, cached: int, chosen: list[Choice]) -> None:
        if not isinstance(request, Generate):
            self._host.engine().warm(request.prompt, deadline)
            return

        def choose(choice: Choice) -> None:
            if not chosen:
                send(framed(Begun(cached)))
            chosen.append(choice)
            send(framed(Chosen(choice)))

        self._host.engine().generate(request.prompt, _params(request, choose), deadline)


def _params(request: Generate, chosen: Callable[[Choice], object]) -> GenerationParams:
    """All stop rules are judged by the user's server but those that need no text."""
    return GenerationParams(
        request.max_tokens,
        request.stop_ids,
        request.healed,
        forced=request.forced,
        least_likelihood=request.least_likelihood,
        chosen=chosen,
    )
