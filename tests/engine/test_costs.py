"""What a pass costs: measured, and between and beyond the widths that were measured."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.engine.costs import WIDTHS, PassCosts, StepCosts, measure
from flash_ls.engine.onnx_model import OnnxModel
from tests.engine.toy_drafters import TYPICAL, WatchedModel

Widths = st.sets(st.integers(2, 64), max_size=6).map(lambda more: (1, *sorted(more)))
Times = st.floats(0, 1000)
AnyCosts = Widths.flatmap(
    lambda widths: st.lists(Times, min_size=len(widths), max_size=len(widths)).map(
        lambda ms: StepCosts(widths, tuple(ms))
    )
)


@given(AnyCosts)
def test_what_was_measured_is_returned(costs: StepCosts) -> None:
    assert [costs.at(width) for width in costs.widths] == pytest.approx(list(costs.ms))


@given(AnyCosts, st.integers(1, 200))
def test_no_pass_takes_negative_time(costs: StepCosts, width: int) -> None:
    assert costs.at(width) >= 0


@given(AnyCosts)
def test_costs_that_rise_rise_everywhere(costs: StepCosts) -> None:
    rising = StepCosts(costs.widths, tuple(sorted(costs.ms)))
    for narrow, wide in pairwise(range(1, 100)):
        assert rising.at(narrow) <= rising.at(wide) + 1e-9


@pytest.mark.parametrize(
    ("width", "ms"),
    [(1, 10), (2, 11), (3, 13), (4, 15), (5, 17), (10, 27)],
)
def test_between_the_widths_and_beyond_them_lie_straight_lines(width: int, ms: float) -> None:
    assert StepCosts((1, 2, 4), (10.0, 11.0, 15.0)).at(width) == pytest.approx(ms)


def test_a_single_width_is_scaled() -> None:
    assert StepCosts((1,), (3.0,)).at(5) == 15


@pytest.mark.parametrize(("widths", "ms"), [((2, 4), (1.0, 2.0)), ((1, 4, 2), (1.0, 2.0, 3.0)), ((1, 2), (1.0,))])
def test_widths_ascend_from_one(widths: tuple[int, ...], ms: tuple[float, ...]) -> None:
    with pytest.raises(AssertionError):
        StepCosts(widths, ms)


def test_typical_costs_make_a_pass_of_some_tokens_cheaper_than_as_many_passes() -> None:
    assert all(TYPICAL.at(width) < width * TYPICAL.at(1) for width in range(2, 65))


RISING = StepCosts((1, 2, 4, 8), (5.0, 6.0, 9.0, 16.0))


@pytest.mark.parametrize(
    ("precise", "width"),
    [
        pytest.param((9.0, 9.0, 9.0, 9.0), 4, id="where it is as fast"),
        pytest.param((9.0, 9.0, 9.1, 9.2), 8, id="where it is faster"),
        pytest.param((1.0, 1.0, 1.0, 1.0), 1, id="always"),
        pytest.param((9.0, 9.0, 10.0, 17.0), 9, id="never"),
    ],
)
def test_the_precise_path_is_taken_from_the_first_width_at_which_it_is_no_slower(
    precise: tuple[float, ...], width: int
) -> None:
    assert PassCosts(RISING, StepCosts(RISING.widths, precise)).precise_from == width


def test_without_a_precise_path_none_is_taken() -> None:
    assert PassCosts(RISING).precise_from > max(RISING.widths)
    assert PassCosts(RISING).best == RISING


def test_the_best_costs_are_those_of_the_cheaper_path_at_each_width() -> None:
    assert PassCosts(RISING, StepCosts(RISING.widths, (9.0, 5.0, 9.0, 10.0))).best.ms == (5.0, 5.0, 9.0, 10.0)


@pytest.mark.parametrize("precision", ["int4", "int8", "mixed"])
def test_each_width_is_measured_on_each_path_there_is(rounded: dict[str, OnnxModel], precision: str) -> None:
    watched = WatchedModel(rounded[precision])
    costs = measure(watched)
    paths = [costs.fast, costs.precise] if costs.precise else [costs.fast]
    assert len(paths) == (2 if precision == "mixed" else 1)
    assert all(path.widths == WIDTHS and min(path.ms) > 0 for path in paths)
    fed = set(zip(watched.widths, watched.precise, strict=True))
    assert fed == {(width, precise) for width in WIDTHS for precise in (False, True)[: len(paths)]}


def test_a_pass_is_measured_with_nothing_before_it(rounded: dict[str, OnnxModel]) -> None:
    watched = WatchedModel(rounded["int4"])
    measure(watched)
    assert set(watched.held) == {0}
