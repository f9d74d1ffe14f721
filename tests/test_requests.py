"""One worker, one request of a document at a time, and answers that do not wait for it."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from flash_ls.deadline import Deadline, Spent
from flash_ls.errors import ModelError
from flash_ls.requests import Requests


@pytest.fixture
def requests() -> Iterator[Requests]:
    requests = Requests()
    yield requests
    requests.stop()
    requests.join()


def until_cancelled(deadline: Deadline) -> str:
    while not deadline.expired:
        deadline.check()
        time.sleep(0.001)
    return "expired"


def announce(event: threading.Event) -> str:
    event.set()
    return "done"


async def test_the_answer_of_the_work(requests: Requests) -> None:
    assert await requests.run("a", 1000, lambda deadline: "answer") == "answer"


async def test_a_newer_request_answers_the_older_before_the_worker_notices(requests: Requests) -> None:
    release = threading.Event()
    older = asyncio.create_task(requests.run("a", 1000, lambda deadline: release.wait(5)))
    await asyncio.sleep(0.01)
    newer = asyncio.create_task(requests.run("a", 1000, lambda deadline: "newer"))
    assert await older is None
    assert not newer.done()
    release.set()
    assert await newer == "newer"


async def test_what_work_has_cost_is_told_whatever_becomes_of_it() -> None:
    told: list[Spent] = []
    requests = Requests(told.append)

    def work(deadline: Deadline) -> str:
        deadline.spent.add(Spent(10, 5, 2))
        return until_cancelled(deadline)

    assert await requests.run("a", 10, work) == "expired"
    older = asyncio.create_task(requests.run("a", 5000, work))
    await asyncio.sleep(0.01)
    while not requests._current["a"]._deadline:
        await asyncio.sleep(0.001)
    assert await requests.run("a", 1000, lambda deadline: "newer") == "newer"
    assert await older is None
    requests.stop()
    requests.join()
    assert sorted(one.prompt_tokens for one in told) == [0, 10, 10]


async def test_other_documents_only_wait(requests: Requests) -> None:
    first = requests.run("a", 1000, lambda deadline: "first")
    second = requests.run("b", 1000, lambda deadline: "second")
    assert list(await asyncio.gather(first, second)) == ["first", "second"]


async def test_work_cancelled_while_it_waits_never_starts(requests: Requests) -> None:
    release, started = threading.Event(), threading.Event()
    running = asyncio.create_task(requests.run("a", 1000, lambda deadline: release.wait(5)))
    waiting = asyncio.create_task(requests.run("b", 1000, lambda deadline: announce(started)))
    await asyncio.sleep(0.01)
    requests.cancel("b")
    assert await waiting is None
    release.set()
    await running
    await requests.run("c", 1000, lambda deadline: "after")
    assert not started.is_set()


async def test_cancelling_the_task_stops_the_work(requests: Requests) -> None:
    task = asyncio.create_task(requests.run("a", 60_000, until_cancelled))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.wait_for(requests.run("b", 1000, lambda deadline: "free"), 5) == "free"


async def test_the_budget_starts_with_the_work(requests: Requests) -> None:
    first = requests.run("a", 100, until_cancelled)
    second = requests.run("b", 100, lambda deadline: deadline.remaining_ms)
    _, remaining = await asyncio.gather(first, second)
    assert remaining is not None
    assert remaining > 0


async def test_errors_reach_the_caller_unless_nobody_waits(requests: Requests) -> None:
    def broken(deadline: Deadline) -> str:
        raise ModelError("broken")

    with pytest.raises(ModelError):
        await requests.run("a", 1000, broken)
    task = asyncio.create_task(requests.run("a", 1000, broken))
    await asyncio.sleep(0)
    requests.cancel("a")
    assert await task is None


@pytest.mark.parametrize(("key", "stopped"), [("a", False), ("b", True)])
async def test_released_work_reads_on_only_for_its_own_key(requests: Requests, key: str, stopped: bool) -> None:
    """It answers at once; the next request with the key waits for it, one with another key stops it."""
    began, read, told = threading.Event(), threading.Event(), threading.Event()

    def reading(deadline: Deadline) -> bool:
        began.set()
        try:
            while not told.wait(0.001):
                deadline.check_reading()
        finally:
            read.set()
        deadline.check()
        return True

    first = requests.start("a", 1000, reading)
    assert await asyncio.to_thread(began.wait, 5)
    requests.release("a")
    assert await first.answer is None
    second = requests.start(key, 1000, lambda deadline: "after" if read.is_set() else "before")
    await asyncio.sleep(0.02)
    assert second.answer.done() == stopped
    told.set()
    assert await second.answer == "after"
