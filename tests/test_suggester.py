"""One request of a document at a time, whose answer fits the text as it is, from whatever work it comes."""

import asyncio
import random
import re
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest

from flash_ls import suggester as timing
from flash_ls.completer import Completer, Completion, Watch
from flash_ls.confidence import Evidence
from flash_ls.deadline import Deadline
from flash_ls.document import DocumentStore, Snapshot
from flash_ls.errors import Cancelled, ModelError
from flash_ls.requests import Requests
from flash_ls.suggester import Answer, Suggester

URI = "file:///a.py"
WORDS = ("return total", "if amount > limit:", "self.balance += amount", "print(name)", "total = price * count")
STEPS = 10_000


def expected(snapshot: Snapshot) -> str:
    """What the fake says: the line that belongs below the line above, or what is left of it."""
    *_, above, line = ["", "", *snapshot.before.split("\n")]
    word = WORDS[len(above) % len(WORDS)]
    return word[len(line) :] if word.startswith(line) else ""


class Decoder:
    """A completer that says one letter after the other, each as fast as it is told to."""

    def __init__(self) -> None:
        self.letter_s = 0.0
        self.begun = 0
        self.cancelled = 0
        self.warmed: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        self.fails = False
        self.reads = 0
        """Passes over the prompt before the first letter."""
        self.read = 0
        self.lines_after = -1
        """Offers what it has after so many letters."""
        self.changes_its_mind = False
        """And says something else in the end."""

    def unasked(self, snapshot: Snapshot, deadline: Deadline, watch: Watch | None = None) -> Completion:
        self.begun += 1
        if self.fails:
            raise ModelError("broken")
        for _ in range(self.reads):
            deadline.check_reading()
            time.sleep(0.002)
            self.read += 1
        text = expected(snapshot)
        for end in range(1, len(text) + 1):
            self._check(deadline)
            time.sleep(self.letter_s)
            if watch:
                watch.is_due(text[:end])
            if watch and end == self.lines_after:
                watch.offer(self._completion(snapshot, text[:end], "deadline"))
            self.hold.wait(5)
        return self._completion(snapshot, f"not {text}" if self.changes_its_mind else text)

    def _check(self, deadline: Deadline) -> None:
        try:
            deadline.check()
        except Cancelled:
            self.cancelled += 1
            raise

    def candidates(self, snapshot: Snapshot, deadline: Deadline, most: int) -> list[Completion]:
        self.begun += 1
        return [self._completion(snapshot, f"{expected(snapshot)}{number}") for number in range(most)]

    def sure(self, completion: Completion) -> Completion:
        return replace(completion, text="", reason="unsure") if "print" in completion.text else completion

    def settles(self, rest: Completion) -> bool:
        return not rest.given_up or rest.text != "total"

    def warm(self, snapshot: Snapshot, deadline: Deadline) -> None:
        self.warmed.append(snapshot.cursor)

    def _completion(self, snapshot: Snapshot, text: str, reason: str = "rule") -> Completion:
        return Completion(
            text, snapshot.cursor, snapshot.cursor, reason if text else "empty", None, Evidence(ended=1.0)
        )


class Desk:
    """One document, its editor and its suggester."""

    def __init__(self, text: str = "") -> None:
        self.decoder = Decoder()
        self.requests = Requests()
        self.grown: list[str] = []
        self.suggester = Suggester(self.requests, self.grown.append)
        self.suggester.completer = cast(Completer, self.decoder)
        self.suggester.budget_ms = 10_000
        self.documents = DocumentStore("utf-32", 1_000_000)
        self.documents.open(URI, "python", 1, text)

    @property
    def text(self) -> str:
        return self.documents.get(URI).text

    def type(self, text: str) -> None:
        self.replace(len(self.text), len(self.text), text)

    def replace(self, start: int, end: int, text: str) -> None:
        document = self.documents.get(URI)
        self.documents.change(URI, 1, [(document.position(start), document.position(end), text)])
        self.suggester.changed(URI, document.snapshot_at_edit())

    def snapshot(self, cursor: int | None = None) -> Snapshot:
        text = self.text
        return Snapshot(URI, "python", 1, text, len(text) if cursor is None else cursor)

    def ask(self, cursor: int | None = None, asked: int = 0) -> "asyncio.Task[Answer]":
        return asyncio.create_task(self.suggester.suggest(self.snapshot(cursor), asked))

    async def said(self) -> str:
        """What is suggested now."""
        return _text(await self.ask())


def _text(answer: Answer) -> str:
    return answer.completions[0].text if answer.completions else ""


async def _one(desk: Desk) -> Completion:
    return (await desk.ask()).completions[0]


async def until_begun(desk: Desk) -> None:
    """Wait until a letter has been decoded."""
    while not any(work.has_begun for work in desk.suggester._work.values()):
        await asyncio.sleep(0.001)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    desk.decoder.hold.set()
    desk.requests.stop()
    desk.requests.join()


async def test_who_types_along_costs_the_model_nothing(desk: Desk) -> None:
    assert await desk.said() == "return total"
    for letter in "return tota":
        desk.type(letter)
        answer = await desk.ask()
        assert desk.text + _text(answer) == "return total"
        assert answer.reason == "typed through"
    assert desk.decoder.begun == 1


async def test_work_goes_on_for_who_types_what_it_says(desk: Desk) -> None:
    desk.decoder.letter_s = 0.005
    first = desk.ask()
    await until_begun(desk)
    desk.type("r")
    second = desk.ask()
    assert (await first).reason == "superseded"
    desk.type("e")
    third = desk.ask()
    assert (await second).reason == "superseded"
    assert (_text(await third), (await third).reason) == ("turn total", "joined")
    assert desk.decoder.begun == 1


async def test_work_ends_for_who_types_something_else(desk: Desk) -> None:
    desk.decoder.hold.clear()
    first = desk.ask()
    await until_begun(desk)
    desk.type("x")
    assert desk.requests.idle
    assert (await first).completions == []
    desk.decoder.hold.set()
    assert await desk.said() == ""
    assert desk.decoder.begun == 2


@pytest.mark.parametrize(("typed", "at", "read"), [("r", 0, 20), ("x", 0, 20), ("x", 3, 0)])
async def test_the_prompt_is_read_on_while_somebody_types_there(desk: Desk, typed: str, at: int, read: int) -> None:
    desk.type("abc\n")
    desk.decoder.reads = 20
    first = desk.ask()
    while not desk.decoder.begun:
        await asyncio.sleep(0.001)
    cursor = len(desk.text) - at
    desk.replace(cursor, cursor, typed)
    assert (await first).reason == "superseded"
    desk.decoder.reads = 0
    await desk.said()
    assert (desk.decoder.read == 20) == (read == 20)


async def test_a_cancelled_request_leaves_its_work_to_the_next_one(desk: Desk) -> None:
    desk.decoder.letter_s = 0.005
    first = desk.ask()
    await until_begun(desk)
    first.cancel()
    desk.type("re")
    assert await desk.said() == "turn total"
    assert desk.decoder.begun == 1


async def test_work_that_nobody_waits_for_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "ORPHAN_S", 0.01)
    desk.decoder.hold.clear()
    first = desk.ask()
    await until_begun(desk)
    first.cancel()
    await asyncio.sleep(0.05)
    assert desk.requests.idle


async def test_whole_lines_come_first_and_the_rest_is_known_later(desk: Desk) -> None:
    desk.decoder.lines_after = 6
    desk.decoder.hold.clear()
    asked = desk.ask()
    desk.decoder.letter_s = 0.0
    threading.Timer(0.02, desk.decoder.hold.set).start()
    assert _text(await asked) == "return"
    while not desk.requests.idle:
        await asyncio.sleep(0.001)
    desk.type("r")
    assert (await desk.said(), desk.decoder.begun) == ("eturn total", 1)
    assert desk.grown == [URI]


async def test_whole_lines_stay_where_the_rest_is_unsure(desk: Desk) -> None:
    desk.type("abc\n")
    desk.decoder.lines_after = 3
    desk.decoder.hold.clear()
    asked = desk.ask()
    threading.Timer(0.02, desk.decoder.hold.set).start()
    assert _text(await asked) == "pri"
    while not desk.requests.idle:
        await asyncio.sleep(0.001)
    desk.type("p")
    assert (await desk.said(), desk.decoder.begun, desk.grown) == ("ri", 1, [])


async def test_whole_lines_stay_where_the_answer_is_another(desk: Desk) -> None:
    """One that failed its check, say: what is shown does not change under the user's eyes."""
    desk.decoder.lines_after, desk.decoder.changes_its_mind = 6, True
    desk.decoder.hold.clear()
    asked = desk.ask()
    threading.Timer(0.02, desk.decoder.hold.set).start()
    assert _text(await asked) == "return"
    while not desk.requests.idle:
        await asyncio.sleep(0.001)
    desk.type("r")
    assert (await desk.said(), desk.grown) == ("eturn", [])


async def test_who_asks_gets_new_answers(desk: Desk) -> None:
    await desk.said()
    answer = await desk.ask(asked=3)
    assert [one.text for one in answer.completions] == ["return total0", "return total1", "return total2"]
    assert await desk.said() == "return total0"


async def test_what_is_not_sure_is_not_shown_but_known(desk: Desk) -> None:
    desk.type("abc\n")
    for _ in range(2):
        answer = await desk.ask()
        assert (_text(answer), answer.reason) == ("", "unsure")
    desk.type("print(")
    assert await desk.said() == "name)"
    assert desk.decoder.begun == 1


async def test_what_was_given_up_is_taken_up_where_it_is_likely(desk: Desk) -> None:
    given_up = replace(await _one(desk), given_up=True)
    desk.suggester.forget()
    desk.suggester._known.add(desk.snapshot(), given_up)
    for typed, begun in (("return", 1), (" ", 2)):
        desk.type(typed)
        await desk.said()
        assert desk.decoder.begun == begun


async def test_errors_reach_who_asks_once(desk: Desk) -> None:
    desk.decoder.fails = True
    with pytest.raises(ModelError):
        await desk.ask()
    desk.decoder.fails = False
    assert await desk.said() == "return total"


async def test_other_settings_make_other_answers(desk: Desk) -> None:
    await desk.said()
    desk.suggester.forget()
    await desk.said()
    assert desk.decoder.begun == 2


async def test_reading_ahead_gives_way(desk: Desk) -> None:
    await desk.suggester.warm(desk.snapshot())
    assert desk.decoder.warmed == [0]
    desk.decoder.hold.clear()
    asked = desk.ask()
    await until_begun(desk)
    await desk.suggester.warm(desk.snapshot())
    assert desk.decoder.warmed == [0]
    desk.decoder.hold.set()
    assert _text(await asked) == "return total"


async def test_no_answer_is_for_an_old_text(desk: Desk) -> None:
    """Whatever is typed, wherever, and however long the model takes: what is shown is what it says of the text now."""
    rng = random.Random(7)
    shown: list[str] = []

    async def ask() -> None:
        snapshot = desk.snapshot(desk.documents.get(URI).offset(*desk.documents.get(URI).position(cursor)))
        text = _text(await desk.suggester.suggest(snapshot, 0))
        if text:
            assert desk.text == snapshot.text
            assert text == expected(snapshot)
            shown.append(text)

    cursor, tasks = 0, []
    for step in range(STEPS):
        word = expected(desk.snapshot(cursor))
        if word and rng.random() < 0.8:
            typed = word[: rng.choice((1, 1, 1, len(word)))]
        else:
            typed = rng.choice(("\n", "x", "\n", "r", ""))
        start = cursor if rng.random() < 0.95 else max(0, cursor - rng.randrange(4))
        desk.replace(start, cursor, typed)
        cursor = start + len(typed)
        if step % 40 == 39:
            desk.replace(0, len(desk.text), "")
            cursor = 0
        desk.decoder.letter_s = rng.choice((0.0, 0.0, 0.0001))
        tasks.append(asyncio.create_task(ask()))
        if rng.random() < 0.1:
            tasks[-1].cancel()
        for _ in range(rng.choice((0, 1, 2, 5))):
            await asyncio.sleep(rng.choice((0, 0, 0.0005)))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [error for error in outcomes if isinstance(error, Exception)]
    assert len(shown) > STEPS // 10
    assert re.search("total", "".join(shown))


async def test_a_cancel_that_comes_late_leaves_the_next_request_alone(desk: Desk) -> None:
    desk.decoder.reads = 10
    first = desk.ask()
    await asyncio.sleep(0.005)
    second = desk.ask()
    await asyncio.sleep(0)
    first.cancel()
    assert _text(await second) == "return total"
