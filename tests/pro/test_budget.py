"""How often the larger model may be asked."""

from hypothesis import given
from hypothesis import strategies as st

from flash_ls.pro.budget import HOUR_S, Budget


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(0, 5), st.lists(st.floats(0, HOUR_S), max_size=40))
def test_no_hour_has_more_than_it_may_have(per_hour: int, pauses: list[float]) -> None:
    clock = Clock()
    budget, spent = Budget(per_hour, clock), []
    for pause in pauses:
        clock.now += pause
        spent += [clock.now] if budget.spend() else []
    assert all(sum(start <= time < start + HOUR_S for time in spent) <= per_hour for start in spent)
    assert budget.total == len(spent)
    assert budget.spent == sum(time > clock.now - HOUR_S for time in spent)


def test_what_is_spent_comes_back_after_an_hour() -> None:
    clock = Clock()
    budget = Budget(2, clock)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    clock.now = HOUR_S
    assert budget.spent == 0
    assert budget.spend()


def test_more_may_be_allowed_at_any_time() -> None:
    budget = Budget(0)
    assert not budget.spend()
    budget.per_hour = 1
    assert budget.spend()
