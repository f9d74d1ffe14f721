"""What a status bar is told: at once, not too often, and the last of all; and what the terminal shows of it."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls import status
from flash_ls.journal import Entry, Journal, Reason, sentence
from flash_ls.status import LOADING, OFF, READY, Said, Status, failed
from flash_ls.status_text import NONE, text
from flash_ls.timer import Timer


class Bar:
    """A status bar and the status that it shows."""

    def __init__(self) -> None:
        self.shown: list[Said] = []
        self.times: list[float] = []
        self.status = Status(self._show)

    def _show(self, said: Said) -> None:
        self.shown.append(said)
        self.times.append(asyncio.get_running_loop().time())

    @property
    def words(self) -> list[str]:
        return [said.reason or said.state for said in self.shown]


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> Bar:
    monkeypatch.setattr(status, "NOTICED_S", 0.03)
    monkeypatch.setattr(status, "INTERVAL_S", 0.03)
    return Bar()


async def test_a_change_is_told_at_once_and_only_once(bar: Bar) -> None:
    bar.status.set(LOADING)
    assert bar.shown == [LOADING]
    bar.status.set(LOADING)
    await asyncio.sleep(0.08)
    assert bar.shown == [LOADING]
    bar.status.set(READY)
    assert bar.shown == [LOADING, READY]


async def test_what_is_said_of_the_larger_model_is_told_with_every_state(bar: Bar) -> None:
    bar.status.set(READY)
    bar.status.pro("It was asked 1 times.")
    bar.status.set(failed("broken"))
    await asyncio.sleep(0.08)
    assert bar.shown[-1] == failed("broken")._replace(pro="It was asked 1 times.")


def test_what_is_said_of_the_larger_model_is_a_line() -> None:
    assert "\n  big was asked 1 times.\n" in text(
        [{"state": "ready", "pro": "big was asked 1 times.", "reasons": {"a": 1}}]
    )
    assert text([{"state": "ready"}]).count("\n") == 1


async def test_of_many_changes_few_are_told_and_the_last_one_always(bar: Bar) -> None:
    for number in range(20):
        bar.status.set(failed(str(number)))
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.08)
    assert 2 < len(bar.shown) < 12
    assert bar.shown[-1].message == "19"
    assert min(after - before for before, after in zip(bar.times, bar.times[1:], strict=False)) > 0.025


async def test_what_is_as_it_was_in_the_end_is_not_told(bar: Bar) -> None:
    bar.status.set(READY)
    bar.status.set(OFF)
    bar.status.set(READY)
    await asyncio.sleep(0.08)
    assert bar.shown == [READY]


async def test_a_quick_request_does_not_flicker(bar: Bar) -> None:
    bar.status.set(READY)
    for _ in range(5):
        with bar.status.thinking():
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert bar.shown == [READY]


async def test_a_slow_one_is_told_until_it_is_answered(bar: Bar) -> None:
    bar.status.set(READY)
    with bar.status.thinking():
        with bar.status.thinking():
            await asyncio.sleep(0.1)
        bar.status.answered(Reason.UNSURE)
        assert bar.status.now.state == "thinking"
    await asyncio.sleep(0.08)
    assert bar.words == ["ready", "thinking", "unsure"]
    assert bar.shown[-1] == Said("ready", "unsure", sentence(Reason.UNSURE))


async def test_who_switched_it_off_does_not_see_it_think(bar: Bar) -> None:
    with bar.status.thinking():
        await asyncio.sleep(0.06)
        bar.status.set(OFF)
        assert bar.status.now == OFF


async def test_a_request_that_another_one_follows_changes_nothing(bar: Bar) -> None:
    bar.status.answered(Reason.SHOWN)
    for reason in (Reason.SUPERSEDED, Reason.CANCELLED):
        bar.status.answered(reason)
        assert bar.status.now.reason == "shown"


async def test_an_error_lasts_until_the_next_answer(bar: Bar) -> None:
    states = []
    for reason in (Reason.ERROR, Reason.SUPERSEDED, Reason.EMPTY):
        bar.status.answered(reason)
        states.append(bar.status.now.state)
    assert states == ["error", "error", "ready"]


async def test_a_timer_keeps_the_sooner_time() -> None:
    done: list[float] = []
    loop = asyncio.get_running_loop()
    timer = Timer(lambda: done.append(loop.time()))
    began = loop.time()
    timer.within(0.06)
    timer.within(0.02)
    timer.within(0.07)
    assert timer.pending
    await asyncio.sleep(0.12)
    assert len(done) == 1
    assert 0.015 < done[0] - began < 0.05
    assert not timer.pending
    timer.within(0.01)
    timer.cancel()
    await asyncio.sleep(0.03)
    assert len(done) == 1


# --- in the terminal ---


def report(*reasons: Reason, **more: object) -> dict[str, object]:
    journal = Journal()
    for version, reason in enumerate(reasons):
        journal.add(Entry(1000.0 + version, f"file{version}.py", "python", version, reason, milliseconds=80.4))
    told = {"state": "ready", "reason": "", "message": "", "version": "9.8", "model": "toy", "since": 0.0, "pid": 77}
    return told | journal.as_dict() | more


def test_a_server_is_described_in_a_few_lines() -> None:
    lines = text([report(Reason.UNSURE, Reason.COMMENT, Reason.SHOWN, precision="int8")]).split("\n")
    assert re.fullmatch(r"flash-ls 9.8, process 77, model toy in int8, since \d{4}-\d\d-\d\d \d\d:\d\d", lines[0])
    assert lines[1] == "  ready"
    assert lines[2] == "  of the last requests: 1 unsure, 1 comment, 1 shown"
    assert re.fullmatch(r"    \d\d:\d\d:\d\d    80 ms  unsure         file0.py", lines[3])
    assert re.fullmatch(r"  no suggestion in file1.py at \d\d:\d\d:\d\d: (.*)", lines[-1])
    assert lines[-1].endswith(sentence(Reason.COMMENT))


def test_an_engine_process_says_what_it_holds() -> None:
    told = {"state": "ready", "version": "9.8", "pid": 78, "connections": 3, "slots": 5, "slots_mb": 143}
    assert "  has the model for 3 connected; 5 prompts read, in 143 MB" in text([told]).split("\n")
    assert "has the model" not in text([report()])


def test_where_all_is_shown_nothing_is_explained() -> None:
    assert "no suggestion" not in text([report(Reason.SHOWN, Reason.TYPED_THROUGH)])


def test_why_nothing_works_is_told() -> None:
    shown = text([report(state="error", message="There is no model."), report(state="off", message="It is off.")])
    assert shown.count("flash-ls 9.8") == 2
    assert "  error: There is no model." in shown
    assert "  off: It is off." in shown


def test_that_none_runs_is_told() -> None:
    assert text([]) == NONE


def test_the_name_of_a_file_is_no_command_to_the_terminal() -> None:
    told = report(Reason.SHOWN)
    told["entries"] = [{"file": "\x1b[2Jx\n.py", "reason": "shown", "time": 1.0}]
    assert "?[2Jx?.py" in text([told])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ENTRIES = st.dictionaries(st.sampled_from(["time", "file", "reason", "milliseconds"]), VALUES)


@given(st.dictionaries(st.sampled_from(list(report())), VALUES | st.lists(ENTRIES, max_size=3)))
def test_any_report_can_be_shown(told: dict[str, object]) -> None:
    assert text([told])
