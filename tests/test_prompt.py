"""What makes completions fast and right: a prompt that typing only appends to, and a last word that is taken back."""

from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from flash_ls.config import Config
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.prompt import (
    ANCHOR_CHARACTERS,
    ANCHOR_LINES,
    LINE_SHARE,
    MOST_CHARACTERS_PER_TOKEN,
    MOST_HEALED_BYTES,
    Prompt,
    build_prompt,
    window_start,
)
from tests.toy_model import FORM, write_tokenizer

CONFIG = Config(prefix_tokens=400, suffix_tokens=12)
LINE_TOKENS = CONFIG.prefix_tokens // LINE_SHARE
"""Kept free for the cursor's line."""
BUDGET = CONFIG.prefix_tokens - LINE_TOKENS
LONGEST_LINE = MOST_CHARACTERS_PER_TOKEN * BUDGET
CODE = "    \t\f.,:()='’s_selfdefreturn12é😀\u0301語İ"
Typed = st.text(CODE, min_size=1, max_size=10)
Lines = st.lists(st.text(CODE, max_size=12), max_size=90)
Befores = Lines.map("\n".join)
Afters = st.lists(st.text(CODE, max_size=12), max_size=6).map("\n".join)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path: Path = tmp_path_factory.mktemp("toy") / "tokenizer.json"
    write_tokenizer(path)
    return Tokenizer(path)


def prompt_for(tokenizer: Tokenizer, before: str, after: str = "") -> Prompt:
    return build_prompt(before, after, FORM, tokenizer, CONFIG)


def start_in(tokenizer: Tokenizer, before: str) -> int:
    return window_start(before, BUDGET, lambda text: len(tokenizer.encode(text)[0]))


def last_line(before: str) -> int:
    """Where the cursor's line begins."""
    return before.rfind("\n") + 1


def fits(tokenizer: Tokenizer, before: str) -> bool:
    """Whether the cursor's line needs no more than was kept free for it."""
    return len(tokenizer.encode(before[last_line(before) :])[0]) < LINE_TOKENS


# --- typing only appends ---


@given(Befores, Typed, Afters)
@example("x = 1\n", "    return self", "\n")
@example("it", "'ll", "")
@example("f((", "a  b", ")")
@settings(deadline=None)
def test_typing_keeps_all_but_the_last_word_a_prefix_of_the_prompt(
    tokenizer: Tokenizer, before: str, typed: str, after: str
) -> None:
    assume(fits(tokenizer, before + typed))
    shorter, longer = prompt_for(tokenizer, before, after), prompt_for(tokenizer, before + typed, after)
    word = tokenizer.encode(before[start_in(tokenizer, before) :])[1]
    assume(shorter.healed_tokens in (0, word))  # of a long word only the last token is taken back
    assert longer.token_ids[: len(shorter.token_ids)] == shorter.token_ids
    assert longer.stable_len == shorter.stable_len


@given(Befores, Typed)
@settings(deadline=None)
def test_the_window_does_not_move_while_a_line_is_typed(tokenizer: Tokenizer, before: str, typed: str) -> None:
    assert start_in(tokenizer, before + typed) == start_in(tokenizer, before)


@given(Befores, Afters, Befores)
@settings(deadline=None)
def test_what_stands_after_the_cursor_comes_first_and_does_not_depend_on_the_rest(
    tokenizer: Tokenizer, before: str, after: str, other: str
) -> None:
    prompt, again = prompt_for(tokenizer, before, after), prompt_for(tokenizer, other, after)
    stable = prompt.token_ids[: prompt.stable_len]
    assert again.token_ids[: again.stable_len] == stable
    assert (stable[0], stable[1], stable[-1]) == (FORM.fim_prefix, FORM.fim_suffix, FORM.fim_middle)
    suffix = stable[2:-1]
    assert len(suffix) <= CONFIG.suffix_tokens
    spelled = b"".join(map(tokenizer.token_bytes, suffix))
    assert after.encode().startswith(spelled)
    assert spelled == after.encode() or len(suffix) == CONFIG.suffix_tokens


# --- the window ---


@given(Befores)
@settings(deadline=None)
def test_the_window_begins_at_an_anchor_and_fits_the_budget(tokenizer: Tokenizer, before: str) -> None:
    start, line_start = start_in(tokenizer, before), last_line(before)
    assert start == 0 or before[start - 1] == "\n"
    assert start == line_start or before.count("\n", 0, start) % ANCHOR_LINES == 0
    assert len(tokenizer.encode(before[start:line_start])[0]) <= BUDGET


@given(Befores)
@settings(deadline=None)
def test_the_window_is_not_smaller_than_it_must_be(tokenizer: Tokenizer, before: str) -> None:
    start, line_start = start_in(tokenizer, before), last_line(before)
    anchors = [0, *(place + 1 for place, character in enumerate(before) if character == "\n")][::ANCHOR_LINES]
    earlier = [anchor for anchor in anchors if anchor < start]
    if earlier:
        left_out = before[earlier[-1] : line_start]
        too_long = len(left_out) > LONGEST_LINE
        assert too_long or len(tokenizer.encode(left_out)[0]) > BUDGET


def test_the_window_moves_once_in_sixteen_lines(tokenizer: Tokenizer) -> None:
    lines = ["a = b"] * 200
    starts = {start_in(tokenizer, "\n".join(lines[:count])) for count in range(1, len(lines))}
    assert len(starts) <= len(lines) // 16 + 1
    assert max(starts) > 0


def test_a_line_longer_than_the_window_moves_it_in_large_steps(tokenizer: Tokenizer) -> None:
    lead = "first\n"
    starts = []
    for length in range(LONGEST_LINE - 5, LONGEST_LINE + 3 * ANCHOR_CHARACTERS):
        starts.append(start_in(tokenizer, lead + "x" * length))
        assert len(lead) + length - starts[-1] <= len(lead) + LONGEST_LINE
    beyond = [start - len(lead) for start in starts if start > 0]
    assert set(beyond) == {ANCHOR_CHARACTERS, 2 * ANCHOR_CHARACTERS, 3 * ANCHOR_CHARACTERS}


@pytest.mark.parametrize("length", [1, LONGEST_LINE, 5 * LONGEST_LINE, 100_000])
def test_a_single_line_of_any_length_has_a_prompt(tokenizer: Tokenizer, length: int) -> None:
    prompt = prompt_for(tokenizer, "x" * length)
    assert 0 < len(prompt.healed) <= MOST_HEALED_BYTES
    assert len(prompt.token_ids) <= prompt.stable_len + CONFIG.prefix_tokens


@given(Befores.map(lambda text: text + "語" * 100), Typed)
@settings(deadline=None)
def test_a_line_of_many_tokens_fits_the_budget_and_moves_in_steps(
    tokenizer: Tokenizer, before: str, typed: str
) -> None:
    shorter, longer = prompt_for(tokenizer, before), prompt_for(tokenizer, before + typed)
    assert max(len(shorter.token_ids), len(longer.token_ids)) <= shorter.stable_len + CONFIG.prefix_tokens
    held, now = shorter.token_ids[shorter.stable_len :], longer.token_ids[longer.stable_len :]
    assert any(now[: len(held) - moved] == held[moved:] for moved in (0, LINE_TOKENS))


# --- line ends ---


@given(Befores, Afters)
@example("a\n\n    b", "\n\nc")
@settings(deadline=None)
def test_windows_line_ends_make_no_difference(tokenizer: Tokenizer, before: str, after: str) -> None:
    windows = prompt_for(tokenizer, before.replace("\n", "\r\n"), after.replace("\n", "\r\n"))
    assert windows == prompt_for(tokenizer, before, after)


# --- healing ---


@given(Befores)
@example("def f(self):\n    ")
@example("x = '😀é")
@settings(deadline=None)
def test_prompt_and_healed_text_spell_the_window(tokenizer: Tokenizer, before: str) -> None:
    assume(fits(tokenizer, before))
    prompt = prompt_for(tokenizer, before)
    spelled = b"".join(map(tokenizer.token_bytes, prompt.token_ids[prompt.stable_len :]))
    assert spelled + prompt.healed == before[start_in(tokenizer, before) :].encode()


@given(Befores)
@settings(deadline=None)
def test_nothing_is_taken_back_after_a_line_end(tokenizer: Tokenizer, before: str) -> None:
    prompt = prompt_for(tokenizer, before + "\n")
    assert (prompt.healed, prompt.healed_tokens) == (b"", 0)


def test_an_empty_file_has_a_prompt(tokenizer: Tokenizer) -> None:
    prompt = prompt_for(tokenizer, "")
    assert prompt.token_ids == [FORM.fim_prefix, FORM.fim_suffix, FORM.fim_middle]
    assert prompt.healed == b""


@pytest.mark.parametrize(
    ("before", "healed"),
    [
        ("import js", " js"),
        ("node.chi", ".chi"),
        ("if x:\n    ", "    "),
        ("x = ", " "),
        ("call(", "("),
        ("x  foo", " foo"),
        ("x = 12", "2"),
        ("print('😀", "('😀"),
    ],
)
def test_the_word_at_the_cursor_is_taken_back(tokenizer: Tokenizer, before: str, healed: str) -> None:
    prompt = prompt_for(tokenizer, before)
    assert prompt.healed == healed.encode()
    assert prompt.healed_tokens == tokenizer.encode(before)[1]


@pytest.mark.parametrize("extra", [0, 1])
def test_of_a_long_last_word_only_the_last_token_is_taken_back(tokenizer: Tokenizer, extra: int) -> None:
    word = "q" * (MOST_HEALED_BYTES + extra)
    prompt = prompt_for(tokenizer, "1" + word)
    assert prompt.healed == (b"q" if extra else word.encode())
    assert prompt.healed_tokens == (1 if extra else MOST_HEALED_BYTES)
