"""What is known of a typist's pace, and what follows for the next answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.pace import (
    ENOUGH,
    HOLD,
    LEAST_PATIENCE_S,
    MOST_PATIENCE_S,
    PATIENCE_S,
    PAUSE_S,
    Pace,
)


def typing(interval_s: float, keys: int = ENOUGH + 2) -> Pace:
    """The last key is pressed at 100."""
    pace = Pace()
    for key in range(keys):
        pace.key(100 - interval_s * (keys - 1 - key))
    return pace


def test_slow_work_waits_for_the_next_key_of_a_burst() -> None:
    assert typing(0.1).hold_s(0.5, 100) == pytest.approx(HOLD * 0.1)
    assert typing(0.1).hold_s(0.5, 100.02) == pytest.approx(HOLD * 0.1 - 0.02)
    assert typing(0.1).hold_s(0.5, 101) == 0


def test_work_that_is_done_before_the_next_key_does_not_wait() -> None:
    assert typing(0.1).hold_s(0.09, 100) == 0


def test_after_a_pause_or_a_few_keys_nothing_waits() -> None:
    pace = typing(0.1)
    pace.key(100 + PAUSE_S)
    assert pace.hold_s(0.5, 100 + PAUSE_S) == 0
    assert typing(0.1, keys=ENOUGH).hold_s(0.5, 100) == 0
    assert typing(0.1, keys=ENOUGH + 1).hold_s(0.5, 100) > 0
    assert Pace().hold_s(0.5, 100) == 0


@given(st.lists(st.floats(0, 10), max_size=40), st.floats(0, 10))
def test_nobody_waits_for_longer_than_a_burst_lasts(intervals: list[float], takes_s: float) -> None:
    pace, now = Pace(), 0.0
    for interval in intervals:
        now += interval
        pace.key(now)
    assert 0 <= pace.hold_s(takes_s, now) <= HOLD * PAUSE_S


def test_who_types_fast_is_shown_whole_lines_sooner() -> None:
    assert Pace().patience_s == PATIENCE_S
    paces = [typing(interval_s).patience_s for interval_s in (0.01, 0.12, 0.2, 0.39)]
    assert paces == sorted(paces)
    assert (paces[0], paces[-1]) == (LEAST_PATIENCE_S, MOST_PATIENCE_S)
    assert LEAST_PATIENCE_S < paces[1] < paces[2] < MOST_PATIENCE_S
