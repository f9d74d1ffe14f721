"""The one thread that runs the model, and who waits for it: at most one request of a document at a time.

Lets an answer of nothing overtake the work it replaces. Knows nothing of documents, models or the protocol.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from flash_ls.deadline import Deadline, Spent
from flash_ls.errors import Cancelled

T = TypeVar("T")


class Requests:
    """The requests that run or wait, by key. To be used from one event loop only."""

    def __init__(self, spent: Callable[[Spent], object] = lambda spent: None) -> None:
        """`spent` is told what each piece of work has cost once it ends, whether its answer was wanted or not."""
        self._spent = spent
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._current: dict[str, Request[Any]] = {}
        self._released: list[Request[Any]] = []

    def start(self, key: str, budget_ms: float, work: Callable[[Deadline], T], gives_way: bool = False) -> "Request[T]":
        """Have `work` done, instead of what has the same key, once the worker thread comes to it.

        `gives_way`: to the work of others that share the model. The budget in milliseconds starts when it begins. Of
        what was released, only what has the same key may go on before that.
        """
        self.cancel(key)
        for released in self._released:
            if released.key != key:
                released.cancel()
        request = self._current[key] = Request(key, budget_ms, work, gives_way, self._spent)
        request.answer.add_done_callback(lambda answer: self._forget(key, request))
        request.begin(self._worker)
        return request

    async def run(self, key: str, budget_ms: float, work: Callable[[Deadline], T], gives_way: bool = False) -> T | None:
        """What `work` returns, or None as soon as `cancel` or a newer request with the same key wants it no more.

        Raises what `work` raises but `Cancelled`.
        """
        request = self.start(key, budget_ms, work, gives_way)
        try:
            return await request.answer
        finally:
            request.cancel()

    @property
    def idle(self) -> bool:
        """Nothing runs or waits."""
        return not self._current

    def cancel(self, key: str) -> None:
        """Answer the request with this key with None now, and stop its work."""
        if key in self._current:
            self._current.pop(key).cancel()

    def release(self, key: str) -> None:
        """Answer the request with this key with None now, but let its work read on for the next one with the key."""
        if key in self._current:
            self._released = [self._current.pop(key)]
            self._released[0].release()

    def stop(self) -> None:
        """Cancel every request and take no more."""
        for request in [*self._current.values(), *self._released]:
            request.cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait until the worker has noticed `stop`."""
        self._worker.shutdown(wait=True)

    def _forget(self, key: str, request: "Request[Any]") -> None:
        if self._current.get(key) is request:
            del self._current[key]


class Request(Generic[T]):
    """One piece of work and the future that its answer, or the lack of one, settles."""

    def __init__(
        self,
        key: str,
        budget_ms: float,
        work: Callable[[Deadline], T],
        gives_way: bool,
        spent: Callable[[Spent], object],
    ) -> None:
        self.key = key
        self.answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        """None if the work was cancelled before it ended."""
        self._budget_ms = budget_ms
        self._gives_way = gives_way
        self._work = work
        self._spent = spent
        self._deadline: Deadline | None = None
        self._cancelled = False

    def begin(self, worker: ThreadPoolExecutor) -> None:
        job = asyncio.get_running_loop().run_in_executor(worker, self._run)
        job.add_done_callback(self._settle)

    def cancel(self) -> None:
        """Settle the answer with None, unless it is known, and stop the work."""
        self._cancelled = True
        if self._deadline is not None:
            self._deadline.cancel()
        if not self.answer.done():
            self.answer.set_result(None)

    def release(self) -> None:
        """The same, but what is being read is read to its end if the work has begun."""
        if self._deadline is None:
            self.cancel()
        else:
            self._deadline.release()
            if not self.answer.done():
                self.answer.set_result(None)

    def _run(self) -> T | None:
        # `cancel` sets its flag before it looks for the deadline, this the other way round: one always sees the other.
        self._deadline = Deadline(self._budget_ms, self._gives_way)
        if self._cancelled:
            return None
        try:
            return self._work(self._deadline)
        except Cancelled:
            return None

    def _settle(self, job: "asyncio.Future[T | None]") -> None:
        if job.cancelled():
            return  # by `stop`, which has answered already
        if self._deadline is not None:
            self._spent(self._deadline.spent)
        error = job.exception()
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(job.result())
        else:
            self.answer.set_exception(error)
