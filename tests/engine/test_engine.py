"""The engine's promise: whatever was asked, cancelled or kept before, the answer is that of an engine that is new."""

import random

import numpy as np
import pytest

from flash_ls.deadline import Deadline
from flash_ls.engine.decode import Generation, GenerationParams
from flash_ls.engine.engine import SLOTS, Engine
from flash_ls.engine.model import Model, OnnxModel
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
    return ask(Engine(model, tokenizer), prompt).tokens


@pytest.mark.parametrize("seed", range(6))
def test_typing_and_deleting_never_changes_an_answer(model: OnnxModel, tokenizer: Tokenizer, seed: int) -> None:
    chance = random.Random(seed)
    engine = Engine(model, tokenizer, Guesser(seed) if seed % 2 else None)
    files = [tokens_of(100 + number, 150) for number in range(4)]
    for _ in range(25):
        text = chance.choice(files)
        edited_at = chance.randint(1, len(text)) if chance.random() < 0.2 else max(1, len(text) - chance.randint(0, 6))
        del text[edited_at:]
        text += [chance.randrange(SHAPE.vocabulary) for _ in range(chance.randint(0, 90 if len(text) < 60 else 4))]
        assert ask(engine, text).tokens == answer_of_a_new_engine(model, tokenizer, text)


def test_typing_feeds_only_what_is_new(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine, text = Engine(model, tokenizer), tokens_of(1, 200)
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
    ask(Engine(watched, tokenizer), PROMPT)
    assert len(watched.widths) == PASSES


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, PASSES + 1))
def test_cancelled_at_any_pass_then_asked_again(model: OnnxModel, tokenizer: Tokenizer, number: int, when: str) -> None:
    deadline = Deadline()

    def cancel(reached: int) -> None:
        if reached == number:
            deadline.cancel()

    watched = WatchedModel(model, before=cancel) if when == "before" else WatchedModel(model, after=cancel)
    engine = Engine(watched, tokenizer)
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
    engine, text = Engine(watched, tokenizer, Guesser(seed)), tokens_of(seed, 80)
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
    engine = Engine(model, tokenizer)
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
    engine = Engine(model, tokenizer)
    assert [cached(engine, file(number)) for number in range(SLOTS)] == [0] * SLOTS
    for _ in range(2):
        assert [cached(engine, file(number)) for number in range(SLOTS)] == [61] * SLOTS


def test_the_least_recently_used_slot_is_given_up(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer)
    for number in [*range(SLOTS), 0]:
        ask(engine, file(number))
    assert cached(engine, file(SLOTS)) <= len(STUB), "it takes the slot of file 1"
    assert cached(engine, file(0)) == 61
    assert cached(engine, file(2)) == 61
    assert cached(engine, file(1)) <= len(STUB)


def test_a_shared_beginning_does_not_take_another_files_slot(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer)
    ask(engine, file(0))
    assert cached(engine, file(1)) == 0
    assert cached(engine, file(0)) == 61


def test_requests_cancelled_before_any_pass_take_no_slot(model: OnnxModel, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer)
    ask(engine, file(0))
    for number in range(1, 2 * SLOTS):
        deadline = Deadline()
        deadline.cancel()
        with pytest.raises(Cancelled):
            engine.generate(file(number), PARAMS, deadline)
    assert cached(engine, file(0)) == 61
