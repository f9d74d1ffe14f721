"""What `KVCache.rewind_to` promises, for any tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.engine.cache import KVCache, common_prefix

# Two values, so that long common prefixes are common.
Tokens = st.lists(st.integers(0, 1), max_size=12)


@given(Tokens, Tokens)
def test_common_prefix_is_the_longest(left: list[int], right: list[int]) -> None:
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert left[: length + 1] != right[: length + 1] or length == min(len(left), len(right))


@given(Tokens, Tokens.filter(bool))
def test_rewinding_keeps_all_that_agrees_and_returns_the_rest(held: list[int], wanted: list[int]) -> None:
    cache = KVCache(None, 64, tokens=list(held))
    feed = cache.rewind_to(wanted)
    assert cache.tokens + feed == wanted
    assert feed, "the last token is always fed: its logits are wanted"
    assert cache.tokens == held[: len(cache.tokens)], "only what was held is kept"
    assert len(cache.tokens) == common_prefix(held, wanted[:-1])


@given(Tokens, Tokens.filter(bool))
def test_rewinding_twice_is_rewinding_once(held: list[int], wanted: list[int]) -> None:
    cache = KVCache(None, 64, tokens=list(held))
    assert cache.rewind_to(wanted) == cache.rewind_to(wanted)


@given(Tokens, Tokens.filter(bool))
def test_feeding_what_was_returned_makes_the_cache_hold_the_tokens(held: list[int], wanted: list[int]) -> None:
    cache = KVCache(None, 64, tokens=list(held))
    cache.append(cache.rewind_to(wanted))
    assert cache.tokens == wanted


@given(Tokens.filter(bool))
def test_the_callers_list_is_not_kept(wanted: list[int]) -> None:
    cache = KVCache(None, 64)
    given_tokens = list(wanted)
    cache.append(cache.rewind_to(given_tokens))
    cache.append([1])
    assert given_tokens == wanted


def test_more_than_fits_is_a_fault_of_the_caller() -> None:
    cache = KVCache(None, 4, tokens=[1, 2, 3])
    cache.append([4])
    with pytest.raises(AssertionError):
        cache.append([5])
