"""The larger model answers in the background, and only for a user who has not moved on."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import cast

import pytest

from flash_ls.completer import Completer, Completion, Watch
from flash_ls.confidence import Evidence, probability
from flash_ls.config import Config
from flash_ls.context import Context
from flash_ls.deadline import Deadline
from flash_ls.document import DocumentStore, Snapshot
from flash_ls.errors import OWN_FAULT, Cancelled, ModelError, ProFailed
from flash_ls.pro import pro as timing
from flash_ls.pro import routing
from flash_ls.pro.budget import HOUR_S, Budget
from flash_ls.pro.pro import Pro
from flash_ls.requests import Requests
from flash_ls.suggester import Answer, Suggester

URI, OTHER = "file:///a.py", "file:///b.py"
SURE = Evidence(total=-0.01, mean=-0.01, least=-0.01, first=-0.01, ended=1.0)
UNSURE = Evidence(total=-12.0, mean=-3.0, least=-6.0, first=-6.0, ended=1.0)
STEPS = 1_200


def said(text: str, snapshot: Snapshot, evidence: Evidence | None) -> Completion:
    return Completion(text, snapshot.cursor, snapshot.cursor, "rule" if text else "empty", None, evidence)


class Student:
    """Says `first` at once, as sure as it is told to be."""

    def __init__(self) -> None:
        self.evidence = UNSURE
        self.text = "first"
        self.asked = 0

    def unasked(self, snapshot: Snapshot, deadline: Deadline, watch: Watch | None = None) -> Completion:
        self.asked += 1
        return said(self.text, snapshot, self.evidence)

    def candidates(self, snapshot: Snapshot, deadline: Deadline, most: int) -> list[Completion]:
        self.asked += 1
        return [said(f"{self.text}{number or ''}", snapshot, self.evidence) for number in range(most)]

    def sure(self, completion: Completion) -> Completion:
        if completion.probability >= 0.3:
            return completion
        return said("", Snapshot(URI, "", 0, "", completion.start), completion.evidence)

    def settles(self, rest: Completion) -> bool:
        return True


class Larger:
    """Says which version of the document it was asked about."""

    def __init__(self) -> None:
        self.config = Config()
        self.context: Context | None = None
        self.asked = 0
        self.cancelled = 0
        self.takes_s = 0.0
        self.hold = threading.Event()
        self.hold.set()
        self.fails: Exception | None = None
        self.evidence: Evidence | None = None
        self.text = "better"

    def complete(self, snapshot: Snapshot, deadline: Deadline) -> Completion:
        self.asked += 1
        end = time.monotonic() + self.takes_s
        try:
            while time.monotonic() < end or not self.hold.is_set():
                deadline.check()
                time.sleep(0.0005)
        except Cancelled:
            self.cancelled += 1
            raise
        if self.fails:
            raise self.fails
        return said(f"{self.text}{snapshot.version}" if self.text else "", snapshot, self.evidence)


class Desk:
    """One user with two documents; each thing they do is a new version."""

    def __init__(self) -> None:
        self.student, self.larger = Student(), Larger()
        self.pro = Pro()
        self.pro.name, self.pro.answers, self.pro.budget = "big", self.larger, Budget(10_000)
        self.pro.budget_ms = 10_000
        self.requests = Requests()
        self.told: list[tuple[str, int]] = []
        self.suggester = Suggester(self.requests, bettered=self._bettered, pro=self.pro)
        self.suggester.completer = cast(Completer, self.student)
        self.suggester.budget_ms = 10_000
        self.documents = DocumentStore("utf-32", 1_000_000)
        for uri in (URI, OTHER):
            self.documents.open(uri, "python", 1, "x = ")
        self.uri, self.cursor, self.version = URI, 4, 1

    def _bettered(self, uri: str) -> None:
        assert uri == self.uri
        assert self.pro.said is not None
        self.told.append((self.pro.said.text, self.version))

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self.uri, "python", self.version, self.documents.get(self.uri).text, self.cursor)

    def type(self, text: str) -> None:
        document = self.documents.get(self.uri)
        place = document.position(self.cursor)
        self.documents.change(self.uri, self.version, [(place, place, text)])
        self.cursor += len(text)
        self.version += 1
        self.suggester.changed(self.uri, document.snapshot_at_edit())

    def move(self, cursor: int) -> None:
        if cursor != self.cursor:
            self.cursor = cursor
            self.version += 1
            self.suggester.moved(self.snapshot)

    def switch(self) -> None:
        self.uri, self.version = OTHER if self.uri == URI else URI, self.version + 1
        self.cursor = min(self.cursor, len(self.documents.get(self.uri).text))
        self.suggester.moved(self.snapshot)

    def ask(self, asked: int = 0) -> "asyncio.Task[Answer]":
        return asyncio.create_task(self._suggest(asked))

    async def _suggest(self, asked: int) -> Answer:
        return await self.suggester.suggest(self.snapshot, asked)

    async def texts(self, asked: int = 0) -> list[str]:
        return [one.text for one in (await self.ask(asked)).completions if one.text]

    async def until_better(self) -> None:
        await _until(lambda: bool(self.told))

    async def rest(self) -> None:
        """Until nothing is under way."""
        await _until(lambda: self.pro._asking is None or self.pro._asking.done())


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(routing, "PAUSE_S", 0.01)
    desk = Desk()
    yield desk
    desk.larger.hold.set()
    desk.pro.stop()
    desk.requests.stop()
    desk.pro.join()
    desk.requests.join()


async def test_the_first_model_answers_and_the_larger_one_betters_it(desk: Desk) -> None:
    assert await desk.texts() == []
    await desk.until_better()
    assert await desk.texts() == ["better1"]
    assert (desk.student.asked, desk.larger.asked, desk.pro.better) == (1, 1, 1)
    desk.type("bet")
    assert await desk.texts() == ["ter1"]
    await desk.rest()
    assert desk.larger.asked == 1


async def test_the_first_answer_never_waits(desk: Desk) -> None:
    desk.larger.hold.clear()
    for _ in range(3):
        assert await desk.texts(asked=2) == ["first", "first1"]
        desk.type("x")


async def test_what_is_sure_is_left_alone(desk: Desk) -> None:
    desk.student.evidence = SURE
    assert probability(SURE) >= routing.ASK_BELOW
    assert await desk.texts() == ["first"]
    await asyncio.sleep(0.1)
    assert desk.larger.asked == 0


@pytest.mark.parametrize("for_bodies", [True, False])
async def test_a_body_is_for_one_that_is_quick_enough(desk: Desk, for_bodies: bool) -> None:
    desk.student.evidence = replace(UNSURE, block=1.0)
    desk.pro.for_bodies = for_bodies
    await desk.texts()
    await asyncio.sleep(0.1)
    assert desk.larger.asked == for_bodies


async def test_one_that_is_not_there_is_not_asked(desk: Desk) -> None:
    desk.pro.answers = None
    await desk.texts(asked=1)
    await asyncio.sleep(0.05)
    assert desk.larger.asked == 0


async def test_who_types_on_asks_nothing_of_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "PAUSE_S", 0.5)
    for _ in range(5):
        await desk.texts()
        desk.type("x")
    assert desk.larger.asked == 0


@pytest.mark.parametrize("leaves", ["types", "moves", "switches", "closes", "asks elsewhere", "is set otherwise"])
@pytest.mark.parametrize("asked", [0, 2])
async def test_who_has_moved_on_is_told_nothing(desk: Desk, leaves: str, asked: int) -> None:
    desk.larger.hold.clear()
    await desk.texts(asked)
    await _until(lambda: desk.larger.asked)
    desk.student.evidence = SURE
    match leaves:
        case "types":
            desk.type("y")
        case "moves":
            desk.move(0)
        case "switches":
            desk.switch()
        case "closes":
            desk.suggester.changed(URI, None)
        case "asks elsewhere":
            desk.cursor = 2
            await desk.texts()
        case "is set otherwise":
            desk.suggester.forget()
    await _until(lambda: desk.larger.cancelled)
    desk.larger.hold.set()
    await asyncio.sleep(0.02)
    assert (desk.told, desk.pro.better) == ([], 0)
    assert "better1" not in await desk.texts()


async def test_no_timing_lets_it_answer_who_has_moved_on(desk: Desk) -> None:
    """Whatever a user does at whatever moment: an answer is told of while they are where it was asked, or never."""
    chance = random.Random(5)
    desk.larger.takes_s = 0.001
    tasks: list[asyncio.Task[Answer]] = []
    for _ in range(STEPS):
        match chance.choice(["type", "type", "move", "switch", "ask", "ask", "ask", "ask for more", "wait", "wait"]):
            case "type":
                desk.type(chance.choice("abc\n"))
            case "move":
                desk.move(chance.randrange(len(desk.snapshot.text) + 1))
            case "switch":
                desk.switch()
            case "ask":
                tasks.append(desk.ask())
            case "ask for more":
                tasks.append(desk.ask(asked=2))
            case _:
                await asyncio.sleep(chance.choice([0, 0, 0.001, 0.012, 0.02]))
        desk.larger.takes_s = chance.choice([0, 0.001, 0.003])
    await asyncio.gather(*tasks)
    assert len(desk.told) > STEPS / 100
    assert [told for told in desk.told if told[0] != f"better{told[1]}"] == []


async def test_it_gives_way_to_the_first_model(desk: Desk) -> None:
    desk.larger.hold.clear()
    await desk.texts()
    await _until(lambda: desk.larger.asked)
    await desk.texts(asked=2)
    await _until(lambda: desk.larger.cancelled)


async def test_who_asks_again_gets_its_answer_among_the_others(desk: Desk) -> None:
    assert await desk.texts(asked=3) == ["first", "first1", "first2"]
    await desk.until_better()
    assert await desk.texts(asked=3) == ["better1", "first", "first1"]
    assert await desk.texts() == ["better1"]
    await desk.rest()
    assert desk.larger.asked == 1


async def test_an_answer_that_is_less_likely_comes_second_and_replaces_nothing(desk: Desk) -> None:
    desk.student.evidence, desk.larger.evidence = SURE, UNSURE
    await desk.texts(asked=3)
    await desk.rest()
    assert desk.told == []
    assert await desk.texts() == ["first"]
    assert await desk.texts(asked=3) == ["first", "better1", "first1"]


async def test_what_nobody_asked_for_has_to_be_likely(desk: Desk) -> None:
    desk.larger.evidence = Evidence(total=-11.0, mean=-2.9, least=-6.0, first=-6.0, ended=1.0)
    assert probability(UNSURE) < probability(desk.larger.evidence) < 0.3
    await desk.texts()
    await desk.rest()
    assert desk.larger.asked == 1
    assert desk.told == []


@pytest.mark.parametrize("text", ["", "first"])
async def test_an_answer_that_says_nothing_new_is_not_told(desk: Desk, text: str) -> None:
    desk.student.text, desk.larger.text = "first1", text
    await desk.texts(asked=1)
    await desk.rest()
    assert (desk.told, desk.pro.better) == ([], 0)
    assert await desk.texts(asked=1) == ["first1"]


async def test_the_budget_is_kept_and_told(desk: Desk) -> None:
    clock = [0.0]
    desk.pro.budget = Budget(2, lambda: clock[0])
    for _ in range(4):
        desk.type("x")
        await desk.texts()
        await desk.rest()
    assert desk.larger.asked == 2
    assert desk.pro.sentence.startswith("big was asked 2 times, 2 of 2 in this hour. ")
    assert "flashLs.pro_per_hour" in desk.pro.sentence
    clock[0] = HOUR_S
    desk.type("x")
    await desk.texts()
    await desk.rest()
    assert desk.pro.sentence == "big was asked 3 times, 1 of 2 in this hour."
    report = desk.pro.report()
    assert report is not None
    assert (report["asked"], report["this_hour"], report["per_hour"]) == (3, 1, 2)


@pytest.mark.parametrize("error", [ProFailed("It is down."), ModelError("It is down.")])
async def test_a_fault_leaves_the_first_answer_and_is_told_once(
    desk: Desk, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.larger.fails = error
    assert await desk.texts(asked=1) == ["first"]
    await desk.rest()
    assert desk.told == []
    assert desk.pro.sentence == "big was asked 1 times, 1 of 10000 in this hour. It is down."
    assert await desk.texts(asked=1) == ["first"]
    desk.type("x")
    await desk.texts(asked=1)
    await desk.rest()
    assert desk.larger.asked == 1, "it is left alone for a while"
    desk.pro._rests_until, desk.larger.fails = 0.0, None
    desk.type("x")
    await desk.texts(asked=1)
    await desk.until_better()
    assert "down" not in desk.pro.sentence
    assert timing.REST_S >= 10


async def test_a_bug_of_ours_ends_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.larger.fails = ZeroDivisionError("secret code")
    await desk.texts(asked=1)
    await desk.rest()
    assert OWN_FAULT in desk.pro.sentence
    assert any(one.exc_info and one.exc_info[0] is ZeroDivisionError for one in caplog.records), "no report is made"
    assert await desk.texts(asked=1) == ["first"]


async def test_until_it_is_loaded_it_says_so(desk: Desk) -> None:
    desk.pro.begin("bigger")
    assert desk.pro.sentence.endswith("It is not loaded yet.")
    await desk.texts(asked=1)
    await desk.rest()
    desk.pro.ready(desk.larger)
    assert desk.pro.sentence == "bigger was asked 0 times, 0 of 10000 in this hour."


async def test_none_says_nothing(desk: Desk) -> None:
    desk.pro.begin("")
    assert (desk.pro.sentence, desk.pro.report()) == ("", None)
