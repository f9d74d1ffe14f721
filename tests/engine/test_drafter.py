"""What is copied from where, and how far: tokens are letters here."""

import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.engine.costs import StepCosts
from flash_ls.engine.drafter import LONGEST_MATCH, MOST_DRAFTS, Gain, LookupDrafter, NoDrafter
from tests.engine.toy_drafters import TYPICAL

FREE = StepCosts((1, 16), (5.0, 5.0))
"""A wide pass costs no more than a narrow one: every draft pays."""
IN_PROPORTION = StepCosts((1,), (5.0,))
"""A wide pass costs as much as narrow ones: no draft pays."""
UP_TO_FOUR = StepCosts((1, 4, 5, 16), (5.0, 5.0, 50.0, 500.0))

Letters = st.text("abc", min_size=1, max_size=60)
MATCHES = [1, 3, 7, 15, 16]
"""A match length of each class, the longest one."""


def propose(drafter: LookupDrafter, text: str, most: int = MOST_DRAFTS) -> str:
    return "".join(map(chr, drafter.propose([ord(letter) for letter in text], most)))


def draft(text: str, costs: StepCosts = FREE) -> str:
    return propose(LookupDrafter(Gain(costs)), text)


def matching(length: int) -> str:
    """A text whose last `length` letters, and no more, stood before, with enough after them."""
    stood = "abcdefghijklmnop"[:length]
    return f"({stood}0123456789ABCDEFGH){stood}"


def matched(text: str, place: int) -> int:
    """How many letters before `place` are those at the end, by definition."""
    return max(n for n in range(min(place, LONGEST_MATCH) + 1) if text[:place].endswith(text[len(text) - n :]))


def rounds(drafter: LookupDrafter, text: str, count: int, right: bool) -> list[int]:
    """The lengths of `count` proposals of which the target takes all or nothing."""
    lengths = []
    for _ in range(count):
        lengths.append(len(propose(drafter, text)))
        drafter.verified(lengths[-1], lengths[-1] if right else 0)
    return lengths


@given(Letters)
def test_the_draft_follows_the_longest_and_then_latest_match(text: str) -> None:
    places = [place for place in range(1, len(text)) if matched(text, place)]
    expected = text
    if places:
        best = max(places, key=lambda place: (matched(text, place), place))
        for number in range(MOST_DRAFTS):
            expected += expected[best + number]
    assert text + draft(text) == expected


@pytest.mark.parametrize(
    ("text", "copied"),
    [
        pytest.param("foo.bar = 1; x; foo.", "bar = 1; x; foo", id="from the only match"),
        pytest.param("abcdX bcdY dZ abcd", "X bcdY dZ abcdX", id="from the longest match, not the latest"),
        pytest.param("(cdX [cdY {cd", "Y {cdY {cdY {cd", id="from the latest of equally long ones"),
        pytest.param("x=0,0,0,", "0,0,0,0,0,0,0,0", id="from the copy itself"),
    ],
)
def test_copied(text: str, copied: str) -> None:
    assert draft(text) == copied


def test_a_match_counts_up_to_a_limit() -> None:
    stood = "abcdefghijklmnop"
    assert draft(f"-{stood}X +{stood}Y -{stood}").startswith("Y")
    assert draft(f"-{stood[1:]}X +{stood[1:]}Y -{stood[1:]}").startswith("X")


def test_nothing_is_proposed_without_a_repetition() -> None:
    assert draft("abcdefghijk") == ""
    assert draft("ababab!") == ""
    assert draft("a") == ""


@given(st.lists(st.tuples(st.integers(0, 20), Letters), min_size=1, max_size=8), st.booleans())
def test_the_index_follows_typing_deleting_and_other_files(edits: list[tuple[int, str]], again: bool) -> None:
    drafter, text = LookupDrafter(Gain(FREE)), ""
    for deleted, typed in edits:
        text = text[: max(0, len(text) - deleted)] + typed
        if again:
            propose(drafter, text[:-1] or text)
        assert propose(drafter, text) == draft(text)


def test_texts_of_before_leave_nothing_behind() -> None:
    chance, drafter = random.Random(5), LookupDrafter(Gain(FREE))
    for _ in range(50):
        drafter.propose([chance.randrange(10_000) for _ in range(100)], 1)
    propose(drafter, "ab")
    fresh = LookupDrafter(Gain(FREE))
    propose(fresh, "ab")
    assert len(pickle.dumps(drafter)) < len(pickle.dumps(fresh)) + 100


def test_the_callers_list_is_not_kept() -> None:
    drafter, tokens = LookupDrafter(Gain(FREE)), [1, 2, 3, 1, 2]
    drafter.propose(tokens, 4)
    tokens[2:] = [9, 9]
    assert drafter.propose(tokens, 2) == [9, 9]
    assert tokens == [1, 2, 9, 9]


@pytest.mark.parametrize("most", [0, 1, 5, MOST_DRAFTS, MOST_DRAFTS + 1, 100])
@pytest.mark.parametrize("text", [matching(3), "abab"])
def test_no_more_than_wanted(text: str, most: int) -> None:
    assert len(propose(LookupDrafter(Gain(FREE)), text, most)) == min(most, MOST_DRAFTS)


@pytest.mark.parametrize(("costs", "length"), [(FREE, MOST_DRAFTS), (IN_PROPORTION, 0), (UP_TO_FOUR, 3)])
@pytest.mark.parametrize("match", MATCHES)
def test_the_length_follows_the_costs(match: int, costs: StepCosts, length: int) -> None:
    assert len(draft(matching(match), costs)) == length


def test_in_company_a_shared_pass_has_to_be_beaten() -> None:
    costs = StepCosts((1, 2, 4, 8, 16), (10.0, 10.5, 11.0, 12.0, 20.0))
    text = "abcdefgh" * 3
    assert len(propose(LookupDrafter(Gain(costs, company=lambda: 1)), text)) > 3
    assert propose(LookupDrafter(Gain(costs, company=lambda: 8)), text) == ""


def test_the_longer_the_match_the_longer_the_draft() -> None:
    lengths = [len(draft(matching(match), TYPICAL)) for match in MATCHES]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


@pytest.mark.parametrize("match", MATCHES)
def test_rejections_silence_it_but_it_tries_again(match: int) -> None:
    drafter = LookupDrafter(Gain(TYPICAL))
    rounds(drafter, matching(match), 200, right=False)
    lengths = rounds(drafter, matching(match), 400, right=False)
    assert lengths.count(0) > 250
    assert sum(lengths) > 0
    assert sum(TYPICAL.at(1 + length) for length in lengths) < 1.05 * len(lengths) * TYPICAL.at(1)


@pytest.mark.parametrize("match", MATCHES)
def test_acceptances_make_it_longer_even_after_a_silence(match: int) -> None:
    drafter = LookupDrafter(Gain(TYPICAL))
    first = rounds(drafter, matching(match), 300, right=False)[0]
    again = rounds(drafter, matching(match), 400, right=True)[-1]
    assert again > first


@pytest.mark.parametrize(("wrong", "others"), [(1, [3, 7, 15, 16]), (16, [1, 3, 7, 15])])
def test_match_lengths_are_judged_apart(wrong: int, others: list[int]) -> None:
    drafter = LookupDrafter(Gain(UP_TO_FOUR))
    rounds(drafter, matching(wrong), 100, right=False)
    for match in others:
        assert propose(drafter, matching(match), 1) == draft(matching(match), UP_TO_FOUR)[:1]


def test_a_long_draft_is_judged_by_the_longer_matches_it_would_make() -> None:
    drafter, text = LookupDrafter(Gain(TYPICAL)), matching(7)
    assert len(propose(drafter, text)) > 1
    rounds(drafter, matching(8), 100, right=False)
    assert len(propose(drafter, text)) == 1


def test_a_token_judged_right_speaks_for_the_longer_match_it_makes() -> None:
    once, in_turn = LookupDrafter(Gain(FREE)), LookupDrafter(Gain(FREE))
    text = matching(1)
    propose(once, text)
    once.verified(3, 3)
    for typed in range(3):
        propose(in_turn, text + draft(text)[:typed])
        in_turn.verified(1, 1)
    assert chances_of(once) == chances_of(in_turn)


@pytest.mark.parametrize("drafted", [3, 4, 15])
def test_what_follows_the_first_wrong_token_was_not_judged(drafted: int) -> None:
    assert after_verifying(drafted, 2) == after_verifying(3, 2) != after_verifying(2, 2)


def test_where_nothing_was_judged_nothing_is_learnt() -> None:
    assert after_verifying(0, 0) == chances_of(LookupDrafter(Gain(FREE))) != after_verifying(1, 0)


def after_verifying(drafted: int, accepted: int) -> list[float]:
    drafter = LookupDrafter(Gain(FREE))
    propose(drafter, matching(3))
    drafter.verified(drafted, accepted)
    return chances_of(drafter)


def chances_of(drafter: LookupDrafter) -> list[float]:
    return [drafter._chances.of(length) for length in range(1, LONGEST_MATCH + 1)]


def test_no_drafter_drafts_nothing() -> None:
    drafter = NoDrafter()
    assert drafter.propose([1, 1, 1], 9) == []
    drafter.verified(0, 0)
