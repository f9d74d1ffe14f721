"""The decode loop: drafts never change the answer, doubts are settled, healing is obeyed, and each way of finishing."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.costs import StepCosts
from flash_ls.engine.decode import PREFILL_CHUNK, Generation, GenerationParams, generate
from flash_ls.engine.drafter import Drafter, Gain, LookupDrafter, NoDrafter
from flash_ls.engine.head import IdArray, Logits
from flash_ls.engine.model import Model
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled
from tests.engine.conftest import EVEN
from tests.engine.toy_drafters import DRAFTERS, Equal, Guesser, Oracle, WatchedModel
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


FREE = StepCosts((1, 16), (5.0, 5.0))
"""A wide pass costs no more than a narrow one: every copy is tried."""
Pieces = st.lists(st.lists(st.integers(0, FIRST_SPECIAL - 1), min_size=1, max_size=6), min_size=1, max_size=4)
Repetitive = Pieces.flatmap(
    lambda pieces: st.lists(st.sampled_from(pieces), min_size=1, max_size=12).map(lambda said: list(chain(*said)))
)
"""Prompts that say a few things again and again."""


@given(Repetitive, st.sampled_from(HEALED))
@example([7, 8, 9] * 20, b"")
@settings(deadline=None, max_examples=40)
def test_copies_never_change_the_answer(
    model: OnnxModel, tokenizer: Tokenizer, prompt: list[int], healed: bytes
) -> None:
    params = GenerationParams(16 + len(healed), NEVER, healed)
    plain = run(model, tokenizer, params, prompt=prompt)
    copied = run(model, tokenizer, params, LookupDrafter(Gain(FREE)), prompt)
    assert copied.tokens == plain.tokens
    assert copied.stats.target_steps <= plain.stats.target_steps


def test_drafts_of_words_that_are_not_listed_never_change_the_answer(
    model: OnnxModel, halved: OnnxModel, tokenizer: Tokenizer
) -> None:
    params = GenerationParams(30, NEVER)
    prompt = [token for token in PROMPT if token in EVEN]
    drafted = run(halved, tokenizer, params, Equal(model), prompt)
    assert drafted.tokens == run(halved, tokenizer, params, prompt=prompt).tokens


def test_right_drafts_save_passes_and_are_counted(model: OnnxModel, tokenizer: Tokenizer) -> None:
    params = GenerationParams(30, NEVER)
    plain = run(model, tokenizer, params)
    assert (plain.stats.target_steps, plain.stats.drafted_tokens) == (30, 0)
    right = run(model, tokenizer, params, Oracle(PROMPT + plain.tokens)).stats
    assert (right.target_steps, right.drafted_tokens, right.accepted_tokens) == (6, 24, 24)
    half = run(model, tokenizer, params, Oracle(PROMPT + plain.tokens, wrong=2)).stats
    assert (half.target_steps, half.accepted_tokens) == (12, 18)


def test_drafts_that_do_not_fit_the_context_are_not_verified(model: OnnxModel, tokenizer: Tokenizer) -> None:
    prompt = (PROMPT * 8)[: SHAPE.context - 9]
    params = GenerationParams(10, NEVER)
    plain = run(model, tokenizer, params, prompt=prompt)
    assert len(plain.tokens) == 10
    drafted = run(model, tokenizer, params, Oracle([*prompt, *plain.tokens, *plain.tokens], 16), prompt)
    assert drafted.tokens == plain.tokens


def test_log_probabilities_are_the_log_softmax_over_what_may_come(model: OnnxModel, tokenizer: Tokenizer) -> None:
    answer = run(model, tokenizer, GenerationParams(12, NEVER, b"self"))
    logits = ReferenceModel(SHAPE, ToyWeights()).logits(PROMPT + answer.tokens)[len(PROMPT) - 1 : -1]
    pending, expected = b"self", []
    for row, token in zip(logits, answer.tokens, strict=True):
        possible = row[tokenizer.agreeing(pending)] if pending else row
        expected.append(row[token] - np.log(np.exp(possible).sum()))
        pending = pending[len(tokenizer.token_bytes(token)) :]
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

    ended = False

    @property
    def remaining_ms(self) -> float:
        return 0.0 if self.ended else 1.0

    def spend(self) -> None:
        self.ended = True


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

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        return super().forward(tokens, cache, rows, Deadline(), words, precise)


@pytest.mark.parametrize("passes", range(1, 7))
def test_a_cancel_is_noticed_after_a_pass_that_cannot_be_interrupted(
    model: OnnxModel, tokenizer: Tokenizer, passes: int
) -> None:
    deadline = Deadline()
    unstoppable = Unstoppable(model, after=lambda number: deadline.cancel() if number == passes else None)
    with pytest.raises(Cancelled):
        run(unstoppable, tokenizer, GenerationParams(9, NEVER), prompt=PROMPT * 3, deadline=deadline)
    assert len(unstoppable.widths) == passes


@pytest.mark.parametrize("passes", range(1, 7))
def test_a_released_request_still_reads_its_prompt(model: OnnxModel, tokenizer: Tokenizer, passes: int) -> None:
    """All four passes of it, and is then as good as cancelled."""
    deadline, cache, prompt = Deadline(), model.new_cache(), PROMPT * 3
    watched = WatchedModel(model, after=lambda number: deadline.release() if number == passes else None)
    with pytest.raises(Cancelled):
        generate(watched, tokenizer, cache, prompt, GenerationParams(9, NEVER), NoDrafter(), deadline)
    assert len(watched.widths) == max(4, passes)
    assert cache.tokens[: len(prompt)] == prompt


def test_the_prompt_is_fed_in_chunks(model: OnnxModel, tokenizer: Tokenizer) -> None:
    watched = WatchedModel(model)
    run(watched, tokenizer, GenerationParams(2, NEVER), prompt=PROMPT * 3)
    assert watched.widths == [PREFILL_CHUNK, PREFILL_CHUNK, PREFILL_CHUNK, len(PROMPT) * 3 - 3 * PREFILL_CHUNK, 1]


def test_the_prompt_and_the_first_token_are_precise_and_the_rest_is_fast(
    model: OnnxModel, tokenizer: Tokenizer
) -> None:
    watched = WatchedModel(model)
    run(watched, tokenizer, GenerationParams(5, NEVER), prompt=PROMPT * 3)
    assert watched.precise == [True] * 4 + [False] * 4


def test_nothing_is_drafted_while_text_is_to_be_healed(model: OnnxModel, tokenizer: Tokenizer) -> None:
    params = GenerationParams(20, NEVER, b"print(x, self")
    plain = run(model, tokenizer, params)
    watched = WatchedModel(model)
    run(watched, tokenizer, params, Oracle(PROMPT + plain.tokens))
    passes = list(zip(watched.widths, watched.words, strict=True))[2:]  # the first two feed the prompt
    healing = [width for width, words in passes if words is not None]
    assert len(healing) > 2
    assert set(healing) == {1}
    assert max(width for width, words in passes if words is None) == 5


# --- doubts ---


class Doubtful:
    """Says 1 at every place: by the fast path with one lead of `leads` after the other, and 2 by the precise path.

    That is no surer, but there is no better.
    """

    recheck_below = 0.75
    PRECISE_LEAD = 0.5

    def __init__(self, leads: list[float]) -> None:
        self._leads = leads
        self.passes: list[tuple[int, bool]] = []
        """Width and path of each."""

    def new_cache(self) -> KVCache:
        return KVCache(None, 1000)

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        cache.append(tokens)
        self.passes.append((len(tokens), precise))
        values = np.zeros((rows, 3), np.float32)
        for row, place in enumerate(range(len(cache.tokens) - rows, len(cache.tokens))):
            values[row, 2 if precise else 1] = self.PRECISE_LEAD if precise else self._leads[place]
        return Logits(np.arange(3), values, precise)


@given(st.lists(st.sampled_from([0.25, 0.5, 0.75, 1.0, 5.0]), min_size=12, max_size=12))
@example([0.75] * 12)
@settings(deadline=None)
def test_a_pass_is_repeated_precisely_exactly_when_its_best_words_are_close(
    tokenizer: Tokenizer, leads: list[float]
) -> None:
    model = Doubtful(leads)
    answer = run(model, tokenizer, GenerationParams(len(leads), NEVER), prompt=[0])
    doubts = [lead < Doubtful.recheck_below for lead in leads[1:]]
    assert answer.tokens == [2, *(2 if doubt else 1 for doubt in doubts)], "the first pass is precise"
    assert answer.stats.precise_steps == sum(doubts)
    assert answer.stats.target_steps == len(leads)
    assert model.passes == [(1, True), *((1, path) for doubt in doubts for path in [False, True][: 1 + doubt])]
    told = [model.PRECISE_LEAD if token == 2 else lead for token, lead in zip(answer.tokens, leads, strict=True)]
    assert answer.log_probabilities == pytest.approx([-np.log1p(2 * np.exp(-lead)) for lead in told], rel=1e-4)


class Once:
    """Drafts after the first token, and never again; keeps what it was told then."""

    def __init__(self, drafts: list[int]) -> None:
        self._drafts = drafts
        self.told: list[tuple[int, int]] = []

    def propose(self, tokens: list[int], most: int, state: object = None) -> list[int]:
        return self._drafts[:most] if len(self.told) == 1 else []

    def verified(self, drafted: int, accepted: int) -> None:
        self.told.append((drafted, accepted))


Passes = list[tuple[int, bool]]
FAST, PRECISE = False, True
DOUBTS: dict[str, tuple[set[int], list[int], list[int], Passes, tuple[int, int]]] = {
    "nowhere": (set(), [1, 1, 1], [1, 1, 1, 1], [(4, FAST)], (3, 3)),
    "first": ({1}, [1, 1, 1], [2, 1, 1, 1], [(4, FAST), (4, PRECISE), *[(1, FAST)] * 3], (1, 0)),
    "later": ({3}, [1, 1, 1], [1, 1, 2, 1], [(4, FAST), (4, PRECISE), (1, FAST)], (3, 2)),
    "after the drafts": ({4}, [1, 1, 1], [1, 1, 1, 2], [(4, FAST), (4, PRECISE)], (3, 3)),
    "behind a wrong one": ({3}, [1, 2, 1], [1, 1, 2, 1], [(4, FAST), (1, FAST), (1, PRECISE), (1, FAST)], (2, 1)),
    "twice": ({1, 2}, [2, 2, 1], [2, 2, 2, 1], [(4, FAST), (4, PRECISE), (1, FAST)], (3, 2)),
}
"""Places of doubt, drafts, what is said instead, the passes for that, and what the drafter is told."""


@pytest.mark.parametrize("where", DOUBTS)
def test_doubts_among_drafts_are_settled_by_one_repeated_pass(tokenizer: Tokenizer, where: str) -> None:
    places, drafts, expected, passes, told = DOUBTS[where]
    model, drafter = Doubtful([0.5 if place in places else 5.0 for place in range(5)]), Once(drafts)
    answer = run(model, tokenizer, GenerationParams(5, NEVER), drafter, [0])
    assert answer.tokens == [2, *expected]
    assert model.passes == [(1, PRECISE), *passes]
    assert answer.stats.precise_steps == sum(path for _, path in passes)
    assert drafter.told[1] == told


class Blurred(WatchedModel):
    """Off by up to a quarter of a nat on the fast path, differently at every token, and right on the precise one."""

    BLUR = 0.25

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.recheck_below = 2 * self.BLUR

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        logits = super().forward(tokens, cache, rows, deadline, words, precise)
        said, values, *_ = logits
        for place, row in zip(range(len(cache.tokens) - rows, len(cache.tokens)), values, strict=True):
            blur = np.random.default_rng(place).uniform(-self.BLUR, self.BLUR, SHAPE.vocabulary)
            row += 0 if precise else blur[said]
        return logits._replace(precise=precise)


@given(st.integers(0, 1000), st.booleans(), st.sampled_from(HEALED))
@settings(deadline=None, max_examples=20)
def test_with_doubts_settled_the_answer_is_the_precise_one(
    model: OnnxModel, tokenizer: Tokenizer, seed: int, drafts: bool, healed: bytes
) -> None:
    prompt = [int(token) for token in np.random.default_rng(seed).integers(0, FIRST_SPECIAL, 20)]
    params = GenerationParams(12 + len(healed), NEVER, healed)
    drafter = Guesser(seed) if drafts else None
    assert (
        run(Blurred(model), tokenizer, params, drafter, prompt).tokens
        == run(model, tokenizer, params, prompt=prompt).tokens
    )
