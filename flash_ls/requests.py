"""The one thread that runs the model, and who waits for it: at most one request of a document at a time.

Lets an answer of nothing overtake the work it replaces. Knows nothing of documents, models or the protocol.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from flash_ls.deadline import Deadline
from flash_ls.errors import Cancelled

T = TypeVar("T")


class Requests:
    """The requests that run or wait, by key. To be used from one event loop only."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._current: dict[str, _Request[Any]] = {}

    async def run(self, key: str, budget_ms: float, work: Callable[[Deadline], T]) -> T | None:
        """What `work` returns, or None as soon as `cancel` or a newer request with the same key wants it no more.

        The budget in milliseconds starts when the worker thread comes to it. Raises what `work` raises but `Cancelled`.
        """
        self.cancel(key)
        request = self._current[key] = _Request(budget_ms, work)
        try:
            return await request.on(self._worker)
        finally:
            request.cancel()
            if self._current.get(key) is request:
                del self._current[key]

    @property
    def idle(self) -> bool:
        """Nothing runs or waits."""
        return not self._current

    def cancel(self, key: str) -> None:
        """Answer the request with this key with None now, and stop its work."""
        if key in self._current:
            self._current.pop(key).cancel()

    def stop(self) -> None:
        """Cancel every request and take no more."""
        for key in list(self._current):
            self.cancel(key)
        self._worker.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait until the worker has noticed `stop`."""
        self._worker.shutdown(wait=True)


class _Request(Generic[T]):
    """One piece of work and the future that its answer, or the lack of one, settles."""

    def __init__(self, budget_ms: float, work: Callable[[Deadline], T]) -> None:
        self._budget_ms = budget_ms
        self._work = work
        self._answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._deadline: Deadline | None = None
        self._cancelled = False

    async def on(self, worker: ThreadPoolExecutor) -> T | None:
        job = asyncio.get_running_loop().run_in_executor(worker, self._run)
        job.add_done_callback(self._settle)
        answer = await self._answer
        # Work may have ended just before it was cancelled: its answer is stale all the same.
        return None if self._cancelled else answer

    def cancel(self) -> None:
        self._cancelled = True
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._answer.done():
            self._answer.set_result(None)

    def _run(self) -> T | None:
        # `cancel` sets its flag before it looks for the deadline, this the other way round: one always sees the other.
        self._deadline = Deadline(self._budget_ms)
        if self._cancelled:
            return None
        try:
            return self._work(self._deadline)
        except Cancelled:
            return None

    def _settle(self, job: "asyncio.Future[T | None]") -> None:
        if job.cancelled():
            return  # by `stop`, which has answered already
        error = job.exception()
        if self._answer.done():
            return
        if error is None:
            self._answer.set_result(job.result())
        else:
            self._answer.set_exception(error)
