"""The decode loop: drafts never change the answer, healing is obeyed, and each way of finishing."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.decode import PREFILL_CHUNK, Generation, GenerationParams, generate
from flash_ls.engine.drafter import Drafter, NoDrafter
from flash_ls.engine.model import FloatArray, Model, OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled
from tests.engine.toy_drafters import DRAFTERS, Guesser, Oracle, WatchedModel
from tests.reference_model import ReferenceModel
from tests.toy_model import FIRST_SPECIAL, SHAPE, ToyWeights

PROMPT = [int(token) for token in np.random.default_rng(3).integers(0, FIRST_SPECIAL, 70)]
NEVER: frozenset[int] = frozenset()
HEALED = [b"", b" re", b"se", b"\xf0\x9f\x98\x80", b"    ", b"print(x, self"]


def run(
    model: Model,
    tokenizer: Tokenizer,
    params: GenerationParams,
    drafter: Drafter | None = None,
    prompt: list[int] | None = None,
    deadline: Deadline | None = None,
) -> Generation:
    """One generation with an empty cache."""
    wanted, used = prompt or PROMPT, drafter or NoDrafter()
    return generate(model, tokenizer, model.new_cache(), wanted, params, used, deadline or Deadline())


def test_the_answer_is_the_greedy_one_of_the_reference(model: OnnxModel, tokenizer: Tokenizer) -> None:
    answer = run(model, tokenizer, GenerationParams(12, NEVER)).tokens
    logits = ReferenceModel(SHAPE, ToyWeights()).logits(PROMPT + answer)
    assert answer == logits[len(PROMPT) - 1 : -1].argmax(axis=1).tolist()


@pytest.mark.parametrize("healed", HEALED, ids=repr)
@pytest.mark.parametrize("kind", DRAFTERS)
def test_drafts_never_change_the_answer(model: OnnxModel, tokenizer: Tokenizer, kind: str, healed: bytes) -> None:
    params = GenerationParams(30, NEVER, healed)
    plain = run(model, tokenizer, params)
    drafted = run(model, tokenizer, params, DRAFTERS[kind](PROMPT + plain.tokens))
    assert drafted.tokens == plain.tokens
    assert (drafted.text, drafted.finish) == (plain.text, plain.finish)
    assert drafted.log_probabilities == pytest.approx(plain.log_probabilities, abs=1e-3)


@given(st.integers(0, 10_000), st.lists(st.integers(0, SHAPE.vocabulary - 1), min_size=1, max_size=90))
@settings(deadline=None, max_examples=25)
def test_random_drafts_never_change_the_answer(
    model: OnnxModel, tokenizer: Tokenizer, seed: int, prompt: list[int]
) -> None:
    params = GenerationParams(12, NEVER)
    plain = run(model, tokenizer, params, prompt=prompt)
    assert run(model, tokenizer, params, Guesser(seed), prompt=prompt).tokens == plain.tokens


def test_right_drafts_save_passes_and_are_counted(model: OnnxModel, tokenizer: Tokenizer) -> None:
    params = GenerationParams(30, NEVER)
    plain = run(model, tokenizer, params)
    assert (plain.stats.target_steps, plain.stats.drafted_tokens) == (30, 0)
    right = run(model, tokenizer, params, Oracle(PROMPT + plain.tokens)).stats
    assert (right.target_steps, right.drafted_tokens, right.accepted_tokens) == (6, 24, 24)
    half = run(model, tokenizer, params, Oracle(PROMPT + plain.tokens, wrong=2)).stats
    assert (half.target_steps, half.accepted_tokens) == (11, 19)


def test_drafts_that_do_not_fit_the_context_are_not_verified(model: OnnxModel, tokenizer: Tokenizer) -> None:
    prompt = (PROMPT * 8)[: SHAPE.context - 9]
    params = GenerationParams(10, NEVER)
    plain = run(model, tokenizer, params, prompt=prompt)
    assert len(plain.tokens) == 10
    drafted = run(model, tokenizer, params, Oracle([*prompt, *plain.tokens, *plain.tokens], 16), prompt)
    assert drafted.tokens == plain.tokens


def test_log_probabilities_are_the_log_softmax(model: OnnxModel, tokenizer: Tokenizer) -> None:
    answer = run(model, tokenizer, GenerationParams(12, NEVER, b"self"))
    logits = ReferenceModel(SHAPE, ToyWeights()).logits(PROMPT + answer.tokens)[len(PROMPT) - 1 : -1]
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = log_softmax[np.arange(12), answer.tokens]
    np.testing.assert_allclose(answer.log_probabilities, expected, atol=1e-3)
    assert max(answer.log_probabilities) <= 0


@given(st.text(min_size=1, max_size=30), st.integers(1, 24))
@example("    return self", 15)
@example("x = '😀😃é'", 9)
@settings(deadline=None, max_examples=60)
def test_the_output_begins_with_the_healed_bytes(
    model: OnnxModel, tokenizer: Tokenizer, text: str, length: int
) -> None:
    data = text.encode()
    healed = data[-length:]  # may begin inside a character, as a token may
    answer = run(model, tokenizer, GenerationParams(len(healed) + 4, NEVER, healed))
    spelled = b"".join(map(tokenizer.token_bytes, answer.tokens))
    assert spelled.startswith(healed)
    free = spelled[len(healed) :].decode("utf-8", "replace")
    assert free.startswith(answer.text)
    assert free.removeprefix(answer.text) in ("", "\ufffd")


def test_of_the_agreeing_tokens_the_likeliest_is_taken(model: OnnxModel, tokenizer: Tokenizer) -> None:
    answer = run(model, tokenizer, GenerationParams(1, NEVER, b" ret"))
    logits = ReferenceModel(SHAPE, ToyWeights()).logits(PROMPT)[-1]
    words = [tokenizer.token_bytes(token) for token in range(SHAPE.vocabulary)]
    allowed = [i for i, word in enumerate(words) if word and (word.startswith(b" ret") or b" ret".startswith(word))]
    assert answer.tokens == [max(allowed, key=logits.__getitem__)]
    assert {words[token] for token in allowed} >= {b" ", b" r", b" ret", b" return"}


def test_finish_at_the_limit(model: OnnxModel, tokenizer: Tokenizer) -> None:
    answer = run(model, tokenizer, GenerationParams(5, NEVER))
    assert (len(answer.tokens), answer.finish) == (5, "limit")


@pytest.mark.parametrize("kind", DRAFTERS)
def test_finish_at_a_stop_id_which_is_not_part_of_the_answer(model: OnnxModel, tokenizer: Tokenizer, kind: str) -> None:
    whole = run(model, tokenizer, GenerationParams(30, NEVER)).tokens
    end = next(place for place in range(5, 30) if whole[place] not in whole[:place])
    params = GenerationParams(30, frozenset({whole[end]}))
    answer = run(model, tokenizer, params, DRAFTERS[kind](PROMPT + whole))
    assert (answer.tokens, answer.finish) == (whole[:end], "stop")
    assert len(answer.log_probabilities) == end


@pytest.mark.parametrize("kind", DRAFTERS)
def test_finish_when_the_rule_is_satisfied(model: OnnxModel, tokenizer: Tokenizer, kind: str) -> None:
    whole = run(model, tokenizer, GenerationParams(30, NEVER, b"x")).tokens
    seen: list[str] = []

    def complete(text: str) -> bool:
        seen.append(text)
        return len(seen) == 7

    params = GenerationParams(30, NEVER, b"x", complete)
    answer = run(model, tokenizer, params, DRAFTERS[kind](PROMPT + whole))
    assert (answer.tokens, answer.finish) == (whole[:7], "rule")
    assert answer.text == seen[-1]
    assert seen[0] == tokenizer.decode(whole[:1])[1:], "the rule does not see the healed text"


class ToldDeadline(Deadline):
    """A deadline that expires when it is told."""

    spent = False

    @property
    def remaining_ms(self) -> float:
        return 0.0 if self.spent else 1.0

    def spend(self) -> None:
        self.spent = True


@pytest.mark.parametrize("passes", [0, 1, 2, 3, 5])
def test_an_expired_deadline_ends_with_what_there_is(model: OnnxModel, tokenizer: Tokenizer, passes: int) -> None:
    prompt = PROMPT * 3  # four prefill passes
    whole = run(model, tokenizer, GenerationParams(30, NEVER), prompt=prompt).tokens
    clock = ToldDeadline()
    watched = WatchedModel(model, after=lambda number: clock.spend() if number == passes else None)
    if passes == 0:
        clock.spend()
    cache = model.new_cache()
    params = GenerationParams(30, NEVER)
    answer = generate(watched, tokenizer, cache, prompt, params, NoDrafter(), clock)
    assert answer.finish == "deadline"
    assert len(watched.widths) == passes
    assert answer.tokens == whole[: max(0, passes - 3)]
    assert len(cache.tokens) == sum(watched.widths), "what was computed stays for the next request"
    again = generate(model, tokenizer, cache, prompt, params, NoDrafter(), Deadline())
    assert again.tokens == whole
    assert again.stats.cached_tokens == min(sum(watched.widths), len(prompt) - 1)


class Unstoppable(WatchedModel):
    """A model whose passes cannot be interrupted."""

    def forward(self, tokens: list[int], cache: KVCache, rows: int, deadline: Deadline) -> FloatArray:
        return super().forward(tokens, cache, rows, Deadline())


@pytest.mark.parametrize("passes", range(1, 7))
def test_a_cancel_is_noticed_after_a_pass_that_cannot_be_interrupted(
    model: OnnxModel, tokenizer: Tokenizer, passes: int
) -> None:
    deadline = Deadline()
    unstoppable = Unstoppable(model, after=lambda number: deadline.cancel() if number == passes else None)
    with pytest.raises(Cancelled):
        run(unstoppable, tokenizer, GenerationParams(9, NEVER), prompt=PROMPT * 3, deadline=deadline)
    assert len(unstoppable.widths) == passes


def test_the_prompt_is_fed_in_chunks(model: OnnxModel, tokenizer: Tokenizer) -> None:
    watched = WatchedModel(model)
    run(watched, tokenizer, GenerationParams(2, NEVER), prompt=PROMPT * 3)
    assert watched.widths == [PREFILL_CHUNK, PREFILL_CHUNK, PREFILL_CHUNK, len(PROMPT) * 3 - 3 * PREFILL_CHUNK, 1]
