"""The engine's promise: whatever was asked, cancelled or kept before, the answer is that of an engine that is new."""

import random

import numpy as np
import pytest

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.decode import Generation, GenerationParams
from flash_ls.engine.engine import Engine, LocalEngine
from flash_ls.engine.model import Model
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.slots import MOST_SLOTS
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled, ModelError
from tests.engine.toy_drafters import Guesser, WatchedModel
from tests.toy_model import FIRST_SPECIAL, SHAPE

PARAMS = GenerationParams(8, frozenset(), b"")


def tokens_of(seed: int, length: int) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(0, FIRST_SPECIAL, length)]


def ask(engine: Engine, prompt: list[int], params: GenerationParams = PARAMS) -> Generation:
    return engine.generate(prompt, params, Deadline())


def answer_of_a_new_engine(model: Model, tokenizer: Tokenizer, prompt: list[int]) -> list[int]:
    return ask(LocalEngine(model, tokenizer), prompt).tokens


@pytest.mark.parametrize("seed", range(6))
def test_typing_and_deleting_never_changes_an_answer(model: OnnxModel, tokenizer: Tokenizer, seed: int) -> None:
    chance = random.Random(seed)
    engine = LocalEngine(model, tokenizer, Guesser(seed) if seed % 2 else None)
    files = [tokens_of(100 + number, 150) for number in range(4)]
    for _ in range(25):
        text = chance.choice(files)
        edited_at = chance.randint(1, len(text)) if chance.random() < 0.2 else max(1, len(text) - chance.randint(0, 6))
        del text[edited_at:]
        text += [chance.randrange(SHAPE.vocabulary) for _ in range(chance.randint(0, 90 if len(text) < 60 else 4))]
        assert ask(engine, text).tokens == answer_of_a_new_engine(model, tokenizer, text)


def test_typing_feeds_only_what_is_new(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine, text = LocalEngine(model, tokenizer), tokens_of(1, 200)
    assert ask(engine, text).stats.cached_tokens == 0
    for count in (1, 3):
        text += tokens_of(50 + count, count)
        stats = ask(engine, text).stats
        assert (stats.prompt_tokens, stats.cached_tokens) == (len(text), len(text) - count)


PROMPT = tokens_of(2, 200)
PASSES = 4 + PARAMS.max_tokens - 1
"""Passes for `PROMPT`: three chunks, and the rest with the first of the tokens."""


def test_number_of_passes(model: OnnxModel, tokenizer: Tokenizer) -> None:
    watched = WatchedModel(model)
    ask(LocalEngine(watched, tokenizer), PROMPT)
    assert len(watched.widths) == PASSES


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, PASSES + 1))
def test_cancelled_at_any_pass_then_asked_again(model: OnnxModel, tokenizer: Tokenizer, number: int, when: str) -> None:
    deadline = Deadline()

    def cancel(reached: int) -> None:
        if reached == number:
            deadline.cancel()

    watched = WatchedModel(model, before=cancel) if when == "before" else WatchedModel(model, after=cancel)
    engine = LocalEngine(watched, tokenizer)
    if number == PASSES and when == "after":  # too late: the answer is whole
        assert len(engine.generate(PROMPT, PARAMS, deadline).tokens) == PARAMS.max_tokens
    else:
        with pytest.raises(Cancelled):
            engine.generate(PROMPT, PARAMS, deadline)
    done = sum(watched.widths[: number - 1 if when == "before" else number])
    again = ask(engine, PROMPT)
    assert again.tokens == answer_of_a_new_engine(model, tokenizer, PROMPT)
    assert again.stats.cached_tokens == min(done, len(PROMPT) - 1)


@pytest.mark.parametrize("seed", range(4))
def test_cancelled_at_random_while_typing(model: OnnxModel, tokenizer: Tokenizer, seed: int) -> None:
    chance = random.Random(seed)
    deadline = Deadline()

    def cancel_sometimes(reached: int) -> None:
        if chance.random() < 0.1:
            deadline.cancel()

    watched = WatchedModel(model, before=cancel_sometimes)
    engine, text = LocalEngine(watched, tokenizer, Guesser(seed)), tokens_of(seed, 80)
    answered = 0
    for _ in range(40):
        del text[max(1, len(text) - chance.randint(0, 5)) :]
        text += [chance.randrange(SHAPE.vocabulary) for _ in range(chance.randint(0, 7))]
        deadline = Deadline()
        try:
            answer = engine.generate(text, PARAMS, deadline).tokens
        except Cancelled:
            continue
        answered += 1
        assert answer == answer_of_a_new_engine(model, tokenizer, text)
    assert 0 < answered < 40


def test_an_engine_lives_on_after_a_prompt_that_is_too_long(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = LocalEngine(model, tokenizer)
    with pytest.raises(ModelError, match="longer than"):
        ask(engine, tokens_of(1, SHAPE.context + 1))
    assert ask(engine, PROMPT).tokens == answer_of_a_new_engine(model, tokenizer, PROMPT)


STUB = [FIRST_SPECIAL + 1, FIRST_SPECIAL + 3]
"""What all prompts begin with."""


def file(number: int) -> list[int]:
    return STUB + tokens_of(number, 60)


def cached(engine: Engine, prompt: list[int]) -> int:
    return ask(engine, prompt).stats.cached_tokens


def test_files_edited_in_turns_keep_their_slots(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = LocalEngine(model, tokenizer)
    assert [cached(engine, file(number)) for number in range(MOST_SLOTS)] == [0] * MOST_SLOTS
    for _ in range(2):
        assert [cached(engine, file(number)) for number in range(MOST_SLOTS)] == [61] * MOST_SLOTS


def test_the_least_recently_used_slot_is_given_up(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = LocalEngine(model, tokenizer)
    for number in [*range(MOST_SLOTS), 0]:
        ask(engine, file(number))
    assert cached(engine, file(MOST_SLOTS)) <= len(STUB), "it takes the slot of file 1"
    assert cached(engine, file(0)) == 61
    assert cached(engine, file(2)) == 61
    assert cached(engine, file(1)) <= len(STUB)


def test_a_shared_beginning_does_not_take_another_files_slot(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = LocalEngine(model, tokenizer)
    ask(engine, file(0))
    assert cached(engine, file(1)) == 0
    assert cached(engine, file(0)) == 61


def test_requests_cancelled_before_any_pass_take_no_slot(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = LocalEngine(model, tokenizer)
    ask(engine, file(0))
    for number in range(1, 2 * MOST_SLOTS):
        deadline = Deadline()
        deadline.cancel()
        with pytest.raises(Cancelled):
            engine.generate(file(number), PARAMS, deadline)
    assert cached(engine, file(0)) == 61


# --- the memory cap ---

CAP_MB, FIT = 1, 3
"""A megabyte is 1024 rows of the toy, three of these files with their answers."""


def long_file(number: int, length: int = 300) -> list[int]:
    return tokens_of(200 + number, length)


def taken(engine: LocalEngine) -> int:
    """Bytes of all slots."""
    return engine._slots.bytes


def test_bytes_are_those_of_the_rows_ever_filled(model: OnnxModel) -> None:
    cache = model.new_cache()
    assert cache.bytes == 0
    model.forward(long_file(0), cache, 0, Deadline())
    model.forward(cache.rewind_to(long_file(0, 5)), cache, 0, Deadline())
    assert cache.row_bytes == 2 * SHAPE.layers * SHAPE.kv_heads * SHAPE.head_size * 4
    assert cache.bytes == 300 * cache.row_bytes


def test_files_that_fit_keep_their_slots(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = LocalEngine(model, tokenizer, cache_mb=CAP_MB)
    for _ in range(2):
        found = [cached(engine, long_file(number)) for number in range(FIT)]
    assert found == [299] * FIT


def test_where_the_next_does_not_fit_the_least_recently_used_is_given_up(
    model: OnnxModel, tokenizer: Tokenizer
) -> None:
    engine = LocalEngine(model, tokenizer, cache_mb=CAP_MB)
    for number in [*range(FIT), 0]:
        ask(engine, long_file(number))
    assert cached(engine, long_file(FIT)) == 0, "it takes the slot of file 1"
    assert [cached(engine, long_file(number)) for number in (0, 2, FIT)] == [299] * 3
    assert cached(engine, long_file(1)) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_slots_of_any_files_stay_under_the_cap(model: OnnxModel, tokenizer: Tokenizer, seed: int) -> None:
    """But for the answer, which is not known beforehand."""
    chance, answer = random.Random(seed), PARAMS.max_tokens * model.new_cache().row_bytes
    engine = LocalEngine(model, tokenizer, cache_mb=CAP_MB)
    for number in range(20):
        ask(engine, long_file(number, chance.randint(20, 300)))
        assert taken(engine) <= (CAP_MB << 20) + answer


@pytest.mark.parametrize(
    "lengths", [pytest.param([100, 300], id="files that grow"), pytest.param([336], id="answers beside the prompts")]
)
def test_slots_that_grow_stay_under_the_cap(model: OnnxModel, tokenizer: Tokenizer, lengths: list[int]) -> None:
    engine = LocalEngine(model, tokenizer, cache_mb=CAP_MB)
    for length in lengths:
        for number in range(4):
            ask(engine, long_file(number, length))
            assert taken(engine) <= CAP_MB << 20


def test_the_buffers_of_a_slot_given_up_are_used_again(model: OnnxModel, tokenizer: Tokenizer) -> None:
    watched = WatchedModel(model)
    engine = LocalEngine(watched, tokenizer, cache_mb=CAP_MB)
    for number in range(4 * FIT):
        prompt = long_file(number)
        assert ask(engine, prompt).tokens == answer_of_a_new_engine(model, tokenizer, prompt)
    assert len({id(cache.buffers) for cache in watched.caches}) == FIT


class Heavy(WatchedModel):
    """A model whose rows are large: 64 are a megabyte."""

    def new_cache(self) -> KVCache:
        cache = super().new_cache()
        cache.row_bytes = 1 << 14
        return cache


def test_a_prompt_beyond_the_cap_is_answered_in_the_only_slot(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = LocalEngine(Heavy(model), tokenizer, cache_mb=CAP_MB)
    for number in range(3):
        prompt = long_file(number)
        assert ask(engine, prompt).tokens == answer_of_a_new_engine(model, tokenizer, prompt)
    assert len(engine._slots) == 1
    assert cached(engine, long_file(2)) == 299


# --- reading ahead ---


def test_what_was_read_ahead_is_not_read_again(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = LocalEngine(model, tokenizer)
    engine.warm(PROMPT, Deadline())
    answer = ask(engine, PROMPT)
    assert answer.stats.cached_tokens == len(PROMPT) - 1
    assert answer.tokens == answer_of_a_new_engine(model, tokenizer, PROMPT)


@pytest.mark.parametrize("number", range(1, 4))
def test_reading_ahead_that_is_cancelled_keeps_what_it_has_read(
    model: OnnxModel, tokenizer: Tokenizer, number: int
) -> None:
    deadline = Deadline()
    watched = WatchedModel(model, after=lambda reached: deadline.cancel() if reached == number else None)
    engine = LocalEngine(watched, tokenizer)
    with pytest.raises(Cancelled):
        engine.warm(PROMPT, deadline)
    assert ask(engine, PROMPT).stats.cached_tokens == sum(watched.widths[:number])
