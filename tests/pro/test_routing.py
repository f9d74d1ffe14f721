"""When the larger model is asked, and when its answer is the better one."""

from hypothesis import given
from hypothesis import strategies as st

from flash_ls.pro import routing

CHANCES = st.floats(0, 1)


@given(CHANCES, CHANCES, st.booleans(), st.booleans())
def test_who_is_less_sure_is_asked_about_no_less(one: float, other: float, body: bool, invoked: bool) -> None:
    less, more = sorted((one, other))
    assert routing.asks(less, body, invoked) >= routing.asks(more, body, invoked)


@given(CHANCES, st.booleans())
def test_bodies_and_requests_by_hand_are_always_worth_it(chance: float, yes: bool) -> None:
    assert routing.asks(chance, True, yes)
    assert routing.asks(chance, yes, True)


def test_a_line_has_to_be_unsure() -> None:
    assert routing.asks(0.0, is_body=False, invoked=False)
    assert not routing.asks(1.0, is_body=False, invoked=False)
    assert 0 < routing.ASK_BELOW < 1


@given(CHANCES, CHANCES)
def test_the_likelier_answer_is_the_better_one(first: float, other: float) -> None:
    assert routing.is_better(first, other) == (other > first)
    assert routing.is_better(first, None)
