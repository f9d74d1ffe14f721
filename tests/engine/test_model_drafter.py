"""Guesses and copies: how many, which of the two, and that none of them changes an answer."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_ls.deadline import Deadline
from flash_ls.engine.costs import StepCosts
from flash_ls.engine.decode import Generation, GenerationParams, generate
from flash_ls.engine.draft_model import DraftModel, Guess
from flash_ls.engine.drafter import Drafter, Gain, LookupDrafter, NoDrafter
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.model_drafter import MOST_GUESSES, ModelDrafter, drafter_for
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from tests.engine.toy_draft import toy_draft, write_toy_draft
from tests.engine.toy_drafters import TYPICAL, Oracle
from tests.toy_model import SHAPE

FREE = StepCosts((1, 16), (5.0, 5.0))
IN_PROPORTION = StepCosts((1,), (5.0,))
STATE = np.zeros((1, SHAPE.hidden), np.float32)
NEVER: frozenset[int] = frozenset()


class Scripted(NamedTuple):
    """A draft model that counts on from the last token, each time with the same chance."""

    chance: float
    ms: float = 0.0

    def guess(self, tokens: list[int], state: FloatArray) -> Guess:
        return Guess(tokens[-1] + 1, self.chance, state)


def proposed(chance: float, costs: StepCosts = FREE, ms: float = 0.0, tokens: list[int] | None = None) -> list[int]:
    return ModelDrafter(Scripted(chance, ms), Gain(costs)).propose(tokens or [50, 7], 15, STATE)


def test_sure_guesses_are_drafted_as_far_as_they_go() -> None:
    assert proposed(0.99) == [8, 9, 10, 11, 12, 13, 14]


@pytest.mark.parametrize(("chance", "least", "most"), [(0.1, 0, 1), (0.6, 1, 3), (0.9, 6, MOST_GUESSES)])
def test_guessing_ends_where_it_becomes_unlikely(chance: float, least: int, most: int) -> None:
    assert least <= len(proposed(chance)) <= most


def test_nothing_is_drafted_where_passes_cost_by_the_token() -> None:
    assert proposed(0.9, IN_PROPORTION) == []


def test_a_guess_has_to_earn_its_own_time() -> None:
    assert proposed(0.9, ms=50.0) == []


def test_no_more_than_asked_for() -> None:
    assert len(ModelDrafter(Scripted(0.99), Gain(FREE)).propose([7], 3, STATE)) == 3
    assert ModelDrafter(Scripted(0.99), Gain(FREE)).propose([7], 0, STATE) == []


def test_without_a_state_there_are_only_copies() -> None:
    drafter = ModelDrafter(Scripted(0.99), Gain(FREE))
    assert drafter.propose([50, 7], 15) == []
    assert drafter.propose([1, 2, 3, 1], 2) == [2, 3]


def test_what_promises_more_is_drafted() -> None:
    assert proposed(0.1, tokens=[1, 5, 1])[:3] == [5, 1, 5]
    assert proposed(0.99, tokens=[1, 5, 1]) == [2, 3, 4, 5, 6, 7, 8]


def test_wrong_guesses_silence_it() -> None:
    drafter = ModelDrafter(Scripted(0.9), Gain(TYPICAL))
    assert drafter.propose([50, 7], 15, STATE) != []
    for _ in range(200):
        drafter.verified(len(drafter.propose([50, 7], 15, STATE)), 0)
    assert drafter.propose([50, 7], 15, STATE) == []


def test_a_draft_model_that_is_too_modest_is_believed_more() -> None:
    drafter = ModelDrafter(Scripted(0.5), Gain(TYPICAL))
    first = drafter.propose([50, 7], 15, STATE)
    for _ in range(50):
        drafted = len(drafter.propose([50, 7], 15, STATE))
        drafter.verified(drafted, drafted)
    assert len(drafter.propose([50, 7], 15, STATE)) > len(first) > 0


def test_a_sure_copy_needs_no_guess() -> None:
    asked: list[list[int]] = []

    class Watched(Scripted):
        def guess(self, tokens: list[int], state: FloatArray) -> Guess:
            asked.append(tokens)
            return super().guess(tokens, state)

    drafter = ModelDrafter(Watched(0.99), Gain(FREE))
    assert drafter.propose([*range(30, 60), *range(30, 50)], 15, STATE)[:2] == [50, 51]
    assert asked == []
    drafter.propose([1, 5, 1], 15, STATE)
    assert asked


def test_copies_are_judged_only_when_they_were_drafted() -> None:
    drafter, tokens = ModelDrafter(Scripted(0.99), Gain(TYPICAL)), [1, 5, 1]
    first = drafter.propose(tokens, 15)
    for state in (STATE, None):
        assert drafter.propose(tokens, 15) == first != []
        for _ in range(50):
            drafter.propose(tokens, 15, state)
            drafter.verified(1, 0)
    assert drafter.propose(tokens, 15) == []


def test_without_a_draft_model_copies_are_made() -> None:
    assert isinstance(drafter_for(None, Gain(FREE)), LookupDrafter)


@pytest.fixture(scope="module", params=[0.0, 0.02, 0.2])
def draft(model: OnnxModel, toy_folder: Path, request: pytest.FixtureRequest) -> DraftModel:
    write_toy_draft(toy_folder, toy_draft(spread=request.param))
    return DraftModel(toy_folder)


@given(st.lists(st.integers(0, SHAPE.vocabulary - 1), min_size=1, max_size=60), st.sampled_from([b"", b" re"]))
@settings(deadline=None, max_examples=20)
def test_guesses_never_change_the_answer(
    model: OnnxModel, tokenizer: Tokenizer, draft: DraftModel, prompt: list[int], healed: bytes
) -> None:
    def answer(drafter: Drafter) -> Generation:
        params = GenerationParams(20, NEVER, healed)
        return generate(model, tokenizer, model.new_cache(), prompt, params, drafter, Deadline())

    assert answer(Eager(draft)).tokens == answer(NoDrafter()).tokens


class Eager:
    """Drafts what the draft model says, whatever its chance."""

    def __init__(self, model: DraftModel) -> None:
        self._model = model

    def propose(self, tokens: list[int], most: int, state: FloatArray | None = None) -> list[int]:
        if state is None or not most:
            return []
        first = self._model.guess(tokens, state)
        return [first.token, self._model.guess([*tokens, first.token], first.state).token][:most]

    def verified(self, drafted: int, accepted: int) -> None:
        pass


class Noting(Oracle):
    """Drafts some right tokens and a wrong one, and notes the states it is given by the tokens that are committed."""

    def __init__(self, answer: list[int]) -> None:
        super().__init__(answer, wrong=2)
        self.states: dict[int, FloatArray] = {}

    def propose(self, tokens: list[int], most: int, state: FloatArray | None = None) -> list[int]:
        if state is not None:
            self.states[len(tokens)] = state
        return super().propose(tokens, most, state)


def test_the_state_is_that_before_the_last_token(model: OnnxModel, tokenizer: Tokenizer) -> None:
    """Also after drafts of which some were right: what the head reads there in one pass over all."""
    prompt, params = list(range(40)), GenerationParams(20, NEVER)
    plain = generate(model, tokenizer, model.new_cache(), prompt, params, NoDrafter(), Deadline())
    noting = Noting([*prompt, *plain.tokens])
    drafted = generate(model, tokenizer, model.new_cache(), prompt, params, noting, Deadline())
    assert 0 < drafted.stats.accepted_tokens < drafted.stats.drafted_tokens
    wanted = model.forward([*prompt, *plain.tokens], model.new_cache(), 1 + len(plain.tokens), Deadline()).states
    assert wanted is not None
    assert len(noting.states) > 2
    for committed, state in noting.states.items():
        place = committed - len(prompt) - 1
        assert np.allclose(state, wanted[place : place + 1], atol=1e-3)
