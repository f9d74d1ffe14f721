"""When the larger model is asked, and when its answer is the better one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.confidence import Evidence, probability
from flash_ls.pro import routing

CHANCES = st.floats(0, 1)


@given(CHANCES, CHANCES, st.booleans(), st.booleans(), st.booleans())
def test_who_is_less_sure_is_asked_about_no_less(
    one: float, other: float, invoked: bool, is_body: bool, for_bodies: bool
) -> None:
    less, more = sorted((one, other))
    assert routing.asks(less, invoked, is_body, for_bodies) >= routing.asks(more, invoked, is_body, for_bodies)


@given(CHANCES, st.booleans(), st.booleans())
def test_requests_by_hand_are_always_worth_it(chance: float, is_body: bool, for_bodies: bool) -> None:
    assert routing.asks(chance, True, is_body, for_bodies)


def test_what_nobody_asked_for_has_to_be_unsure() -> None:
    assert routing.asks(0.0, False, is_body=False, for_bodies=False)
    assert not routing.asks(1.0, False, is_body=False, for_bodies=False)
    assert 0 < routing.ASK_BELOW < 1


@pytest.mark.parametrize("for_bodies", [True, False])
def test_bodies_are_for_who_is_quick_enough(for_bodies: bool) -> None:
    assert routing.asks(0.0, False, is_body=True, for_bodies=for_bodies) == for_bodies


@given(st.floats(-40, -0.5), st.floats(1, 6))
def test_of_two_answers_as_likely_the_body_is_asked_about(total: float, length: float) -> None:
    line, body = (Evidence(total=total, mean=total / 10, length=length, ended=1.0, block=block) for block in (0.0, 1.0))
    assert routing.asks(probability(body), False, True, True) >= routing.asks(probability(line), False, False, True)


@given(CHANCES, CHANCES)
def test_the_likelier_answer_is_the_better_one(first: float, other: float) -> None:
    assert routing.is_better(first, other) == (other > first)
    assert routing.is_better(first, None)
