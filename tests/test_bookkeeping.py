"""The books of a session: what is counted, where it is kept, and that nothing of it ever stands in the way."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from flash_ls import bookkeeping, outcomes, presence
from flash_ls.bookkeeping import Bookkeeping
from flash_ls.completer import Completion
from flash_ls.config import Config
from flash_ls.deadline import Spent
from flash_ls.document import Edit, Snapshot
from flash_ls.engine.decode import GenerationStats
from flash_ls.journal import Reason
from flash_ls.outcomes import Record
from flash_ls.statistics import Statistics, probability_counts, total
from flash_ls.suggester import Answer

URI = "file:///home/somebody/a.py"
STATS = GenerationStats(prompt_tokens=700, cached_tokens=690, target_steps=10, accepted_tokens=2)


class Session:
    """A document that is edited, and its books."""

    def __init__(self, home: Path, text: str = "x = \n", counts: bool = True) -> None:
        self.text = text
        self.said: dict[str, object] = {"state": "ready"}
        self.learnt = 0
        self.books = Bookkeeping(home, self._read, lambda: self.said, self._learn)
        self.books.count(counts)

    def _read(self, uri: str, start: int, end: int) -> str:
        return self.text[start:end] if uri == URI else ""

    def _learn(self) -> None:
        self.learnt += 1

    def snapshot(self, cursor: int) -> Snapshot:
        return Snapshot(URI, "python", 3, self.text, cursor)

    def show(self, cursor: int, text: str) -> None:
        completion = Completion(text, cursor, cursor, "stop", STATS)
        self.books.spent(Spent(700, 690, 12, 40.0))
        self.books.answered(self.snapshot(cursor), Answer([completion], "stop"), 80.0)
        self.books.shown(self.snapshot(cursor), completion, 80.0)

    def edit(self, *edits: Edit) -> None:
        for start, end, text in edits:
            self.text = self.text[:start] + text + self.text[end:]
        self.books.edited(URI, edits)

    def end(self) -> None:
        self.books.stop()
        self.books.join()


@asynccontextmanager
async def session(home: Path, text: str = "x = \n", counts: bool = True) -> AsyncIterator[Session]:
    one = Session(home, text, counts)
    try:
        yield one
    finally:
        one.end()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times that a test can wait for."""
    for name in ("FLUSH_S", "WRITE_S", "LEAST_WAIT_S"):
        monkeypatch.setattr(bookkeeping, name, 0.02)
    monkeypatch.setattr(outcomes, "SOON_S", 0.1)
    monkeypatch.setattr(outcomes, "LATE_S", 0.2)


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.TimerHandle]:
    """Everything that is planned in event loops."""
    planned: list[asyncio.TimerHandle] = []
    call_later = asyncio.BaseEventLoop.call_later

    def recorded(loop: asyncio.BaseEventLoop, delay: float, *what: object, **more: object) -> asyncio.TimerHandle:
        handle: asyncio.TimerHandle = call_later(loop, delay, *what, **more)  # type: ignore[arg-type]
        planned.append(handle)
        return handle

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_later", recorded)
    return planned


async def until(condition: object, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it does not happen"
        await asyncio.sleep(0.01)


def counted(home: Path) -> Counter[str]:
    return total(Statistics(home).load())


def rejecting(home: Path, number: int = 400) -> None:
    """A user who has rejected everything so far."""
    statistics = Statistics(home)
    for _ in range(number):
        statistics.add(Record(time.time(), "python", "line", 10, 0, "rejected", 80.0, 0.45))
    statistics.flush()


async def test_a_session_is_counted(tmp_path: Path) -> None:
    async with session(tmp_path) as one:
        one.show(4, "total(a)")
        one.edit((4, 4, "total(a)"))
        one.edit((12, 12, "\n"), (13, 13, "y"))
        one.edit((0, 0, "pasted words"))
    counts = counted(tmp_path)
    assert counts["outcome/python/accepted"] == counts["reason/shown"] == 1
    assert counts["characters/saved"] == 8
    assert counts["characters/typed"] == 2
    assert (counts["tokens/prompt"], counts["tokens/cached"], counts["tokens/decoded"]) == (700, 690, 12)
    assert probability_counts(counts)[0] == (1, 1)


async def test_what_was_spent_for_nothing_is_counted_too(tmp_path: Path) -> None:
    async with session(tmp_path) as one:
        one.books.answered(one.snapshot(4), Answer([], "superseded"), 5.0)
        one.books.spent(Spent(900, 500, 3, 250.0))
    counts = counted(tmp_path)
    assert (counts["tokens/prompt"], counts["tokens/cached"], counts["tokens/decoded"]) == (900, 500, 3)
    assert counts["cpu/ms"] >= 250


async def test_cpu_time_is_counted_but_not_that_of_a_load(tmp_path: Path) -> None:
    def busy() -> None:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    busy()
    async with session(tmp_path) as one:
        pass
    async with session(tmp_path) as one:
        busy()
        one.books.loaded()
    assert counted(tmp_path)["cpu/ms"] < 90
    async with session(tmp_path) as one:
        one.books.loaded()
        busy()
    assert counted(tmp_path)["cpu/ms"] >= 100


async def test_how_requests_ended(tmp_path: Path) -> None:
    async with session(tmp_path) as one:
        one.books.answered(one.snapshot(4), Answer([], "superseded"), 5.0)
        one.books.answered(one.snapshot(4), Answer([Completion("", 4, 4, "unsure", STATS)], "unsure"), 90.0)
        known = Completion("total", 4, 4, "rule")
        entry = one.books.answered(one.snapshot(4), Answer([known], "typed through"), 1.0)
        one.books.refused("file:///b/keys.pem", Reason.NOT_OPEN)
        assert (entry.file, entry.language, entry.version) == ("a.py", "python", 3)
        assert (entry.finish, entry.called, entry.milliseconds) == ("rule", False, 1.0)
        assert one.books.journal.last
        assert (one.books.journal.last.file, one.books.journal.last.reason) == ("keys.pem", Reason.NOT_OPEN)
        told = one.books.journal.as_dict()
        assert told["reasons"] == {"superseded": 1, "unsure": 1, "typed through": 1, "not open": 1}


async def test_nothing_is_counted_where_nobody_wants_it(tmp_path: Path) -> None:
    async with session(tmp_path, counts=False) as one:
        one.show(4, "total(a)")
        one.edit((4, 4, "total(a)"))
        one.edit((12, 12, "\n"))
        one.books.closed(URI)
        assert one.books.journal.last, "the last requests are known all the same"
        await asyncio.sleep(0.02)
        assert one.learnt == 0
    assert not (tmp_path / "statistics.json").exists()


async def test_who_ends_the_counting_is_not_followed_any_more(tmp_path: Path) -> None:
    async with session(tmp_path) as one:
        one.show(4, "total(a)")
        one.edit((4, 4, "total(a)"))
        one.books.count(False)
        one.edit((12, 12, "\n"))
        one.books.closed(URI)
        one.books.count(True)
        one.edit((12, 12, "y"))
    counts = counted(tmp_path)
    assert counts["characters/typed"] == 1
    assert not [name for name in counts if name.startswith("outcome/")]


async def test_what_was_taken_is_looked_at_again(tmp_path: Path, quick: None) -> None:
    async with session(tmp_path) as one:
        one.show(4, "total(a)")
        one.edit((4, 4, "total(a)"))
        await until(lambda: counted(tmp_path)["kept/5min/yes"] == 1)
        assert counted(tmp_path)["kept/30s/yes"] == 1


async def test_what_nobody_touches_is_given_up(tmp_path: Path, quick: None) -> None:
    async with session(tmp_path) as one:
        one.show(4, "total(a)")
        await until(lambda: counted(tmp_path)["outcome/python/rejected"] == 1)


async def test_a_document_that_is_closed_is_not_followed(tmp_path: Path) -> None:
    async with session(tmp_path) as one:
        one.show(4, "total(a)")
        one.books.closed(URI)
        one.edit((4, 4, "total(a)"))
    assert counted(tmp_path)["outcome/python/withdrawn"] == 1


async def test_the_numbers_are_written_now_and_then(tmp_path: Path, quick: None) -> None:
    async with session(tmp_path) as one:
        one.edit((4, 4, "y"))
        await until(lambda: counted(tmp_path)["characters/typed"] == 1)
        one.edit((5, 5, "z"))
        await until(lambda: counted(tmp_path)["characters/typed"] == 2)


async def test_nothing_is_planned_where_nothing_happens(
    tmp_path: Path, quick: None, timers: list[asyncio.TimerHandle]
) -> None:
    async with session(tmp_path) as one:
        one.show(4, "total(a)")
        one.edit((4, 4, "total(a)"))
        await until(lambda: counted(tmp_path)["kept/5min/yes"] == 1)
        await asyncio.sleep(0.1)
        planned = len(timers)
        await asyncio.sleep(0.1)
        assert len(timers) <= planned + 1, "the test's own"


async def test_what_a_server_says_is_written_and_removed(tmp_path: Path, quick: None) -> None:
    def said() -> list[object]:
        return [report["state"] for report in presence.running(presence.folder_in(tmp_path))]

    async with session(tmp_path) as one:
        one.books.report_soon()
        await until(lambda: said() == ["ready"])
        one.said = {"state": "error"}
        one.books.refused(URI, Reason.NOT_OPEN)
        await until(lambda: said() == ["error"])
    assert said() == []
    assert list(presence.folder_in(tmp_path).iterdir()) == []


async def test_the_threshold_follows_its_user(tmp_path: Path) -> None:
    rejecting(tmp_path)
    config = Config()
    async with session(tmp_path) as one:
        assert one.books.adapted(config) is config, "before anything is known"
        await until(lambda: one.learnt == 1)
        assert 0.35 < one.books.adapted(config).min_confidence <= 0.6
        assert replace(one.books.adapted(config), min_confidence=config.min_confidence) == config
        off = replace(config, statistics=False)
        assert one.books.adapted(off) is off


async def test_it_goes_on_following(tmp_path: Path, quick: None) -> None:
    async with session(tmp_path) as one:
        await until(lambda: one.learnt == 1)
        assert one.books.adapted(Config()).min_confidence == pytest.approx(0.3)
        rejecting(tmp_path)
        one.edit((4, 4, "y"))
        await until(lambda: one.learnt > 1)
        assert one.books.adapted(Config()).min_confidence > 0.35


async def test_years_ago_does_not_count(tmp_path: Path) -> None:
    statistics = Statistics(tmp_path)
    for day in range(bookkeeping.LEARNT_DAYS + 1):
        then, outcome = time.time() - 86_400 * day, "accepted" if day < bookkeeping.LEARNT_DAYS else "rejected"
        for _ in range(1 if outcome == "accepted" else 1000):
            statistics.add(Record(then, "python", "line", 10, 0, outcome, 80.0, 0.45))  # type: ignore[arg-type]
    statistics.flush()
    async with session(tmp_path) as one:
        await until(lambda: one.learnt == 1)
        assert one.books.adapted(Config()).min_confidence < 0.3


@pytest.mark.parametrize("kind", ["a file", "read only", "nothing"])
async def test_a_home_that_cannot_be_used_is_tolerated(tmp_path: Path, quick: None, kind: str) -> None:
    home = tmp_path / "home"
    if kind == "a file":
        home.write_text("")
    elif kind == "read only":
        home.mkdir(mode=0o500)
        (home / "run").write_text("")
        (home / "statistics.lock").mkdir()
    else:
        home = Path("/proc/none/home")
    async with session(home) as one:
        one.show(4, "total(a)")
        one.edit((4, 4, "total(a)"))
        await asyncio.sleep(0.15)
        assert one.books.journal.last
        assert one.learnt > 0


async def test_two_servers_add_up(tmp_path: Path) -> None:
    async with session(tmp_path) as one, session(tmp_path) as other:
        one.edit((4, 4, "y"))
        other.edit((4, 4, "z"))
    assert counted(tmp_path)["characters/typed"] == 2


async def test_books_that_are_closed_stay_closed(tmp_path: Path, quick: None) -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
    one = Session(tmp_path)
    one.end()
    one.end()
    one.show(4, "total(a)")
    one.books.count(False)
    one.books.count(True)
    one.books.report_soon()
    await asyncio.sleep(0.06)
    assert list(presence.folder_in(tmp_path).iterdir()) == []
    assert errors == []


async def test_no_text_is_kept_on_the_disk(tmp_path: Path, quick: None) -> None:
    async with session(tmp_path, "planted = \n") as one:
        one.said = {"entries": one.books.journal.as_dict()}
        one.show(10, "secret_word(a)")
        one.edit((10, 10, "secret_word(a)"))
        await asyncio.sleep(0.1)
        one.said = one.books.journal.as_dict()
        one.books.report_soon()
        await until(lambda: "a.py" in "".join(path.read_text() for path in tmp_path.rglob("*.json")))
        written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
        assert "planted" not in written
        assert "secret" not in written
        assert "somebody" not in written
        assert json.loads((tmp_path / "statistics.json").read_text())
