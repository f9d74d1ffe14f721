"""When the larger model is asked, and when its answer is the better one."""

from hypothesis import given
from hypothesis import strategies as st

from flash_ls.confidence import Evidence, probability
from flash_ls.pro import routing

CHANCES = st.floats(0, 1)


@given(CHANCES, CHANCES, st.booleans())
def test_who_is_less_sure_is_asked_about_no_less(one: float, other: float, invoked: bool) -> None:
    less, more = sorted((one, other))
    assert routing.asks(less, invoked) >= routing.asks(more, invoked)


@given(CHANCES)
def test_requests_by_hand_are_always_worth_it(chance: float) -> None:
    assert routing.asks(chance, invoked=True)


def test_what_nobody_asked_for_has_to_be_unsure() -> None:
    assert routing.asks(0.0, invoked=False)
    assert not routing.asks(1.0, invoked=False)
    assert 0 < routing.ASK_BELOW < 1


@given(st.floats(-40, -0.5), st.floats(1, 6))
def test_of_two_answers_as_likely_the_body_is_asked_about(total: float, length: float) -> None:
    line, body = (Evidence(total=total, mean=total / 10, length=length, ended=1.0, block=block) for block in (0.0, 1.0))
    assert routing.asks(probability(body), False) >= routing.asks(probability(line), False)


@given(CHANCES, CHANCES)
def test_the_likelier_answer_is_the_better_one(first: float, other: float) -> None:
    assert routing.is_better(first, other) == (other > first)
    assert routing.is_better(first, None)
