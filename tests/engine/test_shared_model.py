"""Steps of several requests in one pass: each as if it were alone, whatever becomes of the others."""

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import Mock

import numpy as np
import pytest

from flash_ls.deadline import Deadline
from flash_ls.engine.bank import PLACES, Bank
from flash_ls.engine.cache import KVCache
from flash_ls.engine.decode import Generation, GenerationParams, generate
from flash_ls.engine.drafter import NoDrafter
from flash_ls.engine.head import IdArray, Logits
from flash_ls.engine.model import DecodeStep
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.shared_model import SharedModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.engine.turns import Turns
from flash_ls.errors import Cancelled, ModelFailed
from tests.toy_model import FIRST_SPECIAL, SHAPE

WAIT_S = 30.0
PASS_S = 0.003
RANDOM = np.random.default_rng(5)
PROMPTS = [[int(t) for t in RANDOM.integers(0, FIRST_SPECIAL, length)] for length in (3, 90, 20, 41, 7, 64, 65, 150)]
PARAMS = GenerationParams(16, frozenset())


class SlowModel:
    """One whose passes take long enough for others to ask meanwhile."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model
        self.recheck_below, self.new_cache = model.recheck_below, model.new_cache
        self.batches: list[int] = []
        self.singles = 0
        self.fails = False
        self.began = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        self.singles += len(tokens) == 1
        self._pause()
        return self._model.forward(tokens, cache, rows, deadline, words, precise)

    def forward_each(self, steps: Sequence[DecodeStep]) -> list[Logits]:
        self.batches.append(len(steps))
        self._pause()
        if self.fails:
            raise ModelFailed("a fault")
        return self._model.forward_each(steps)

    def _pause(self) -> None:
        self.began.set()
        assert self.goes_on.wait(WAIT_S)
        time.sleep(PASS_S)


@pytest.fixture
def slow(model: OnnxModel) -> SlowModel:
    return SlowModel(model)


def filled(model: OnnxModel, tokens: list[int]) -> KVCache:
    cache = model.new_cache()
    model.forward(tokens, cache, 0, Deadline(), precise=True)
    return cache


def stepped_alone(model: OnnxModel, prompt: list[int]) -> Logits:
    return model.forward(prompt[-1:], filled(model, prompt[:-1]), 1, Deadline(), precise=True)


@pytest.mark.parametrize("taking_part", [[0, 1], [0, 3], [5, 2], list(range(8))], ids=str)
def test_each_step_is_as_if_alone(model: OnnxModel, taking_part: list[int]) -> None:
    caches = [filled(model, prompt[:-1]) for prompt in PROMPTS]
    steps = [DecodeStep(PROMPTS[place][-1], caches[place]) for place in taking_part]
    for place, logits in zip(taking_part, model.forward_each(steps), strict=True):
        alone = stepped_alone(model, PROMPTS[place])
        np.testing.assert_array_equal(logits.words, alone.words)
        np.testing.assert_allclose(logits.values, alone.values, atol=2e-4)
    for place, (cache, prompt) in enumerate(zip(caches, PROMPTS, strict=True)):
        held = prompt if place in taking_part else prompt[:-1]
        assert cache.tokens == held
        again = model.forward([1], cache, 1, Deadline())
        np.testing.assert_allclose(again.values, stepped_alone(model, [*held, 1]).values, atol=2e-4)


@pytest.mark.parametrize("precision", ["int4", "int8", "mixed"])
def test_each_step_is_as_if_alone_in_fewer_bits(rounded: dict[str, OnnxModel], precision: str) -> None:
    model = rounded[precision]
    caches = [filled(model, prompt[:-1]) for prompt in PROMPTS]
    steps = [DecodeStep(prompt[-1], cache, precise=True) for prompt, cache in zip(PROMPTS, caches, strict=True)]
    for logits, prompt in zip(model.forward_each(steps), PROMPTS, strict=True):
        alone = stepped_alone(model, prompt).values
        assert np.abs(logits.values - alone).max() < 0.2 * alone.std()
        assert logits.precise


def test_caches_that_step_together_again_are_bound_once(model: OnnxModel, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = [filled(model, prompt) for prompt in PROMPTS[:3]]
    model._groups.clear()
    monkeypatch.setattr(model, "_buffers", made := Mock(wraps=model._buffers))
    for token in range(5):
        model.forward_each([DecodeStep(token, cache) for cache in caches])
    assert made.call_count == 1


def test_words_are_those_of_the_step(model: OnnxModel) -> None:
    caches = [filled(model, prompt) for prompt in PROMPTS[:2]]
    few = np.array([3, 9])
    first, second = model.forward_each([DecodeStep(1, caches[0], few), DecodeStep(1, caches[1])])
    assert first.words.tolist() == [3, 9]
    assert len(second.words) == SHAPE.vocabulary


def test_a_full_cache_between_the_others_loses_nothing(model: OnnxModel) -> None:
    full = [1] * SHAPE.context
    one, between, two = filled(model, PROMPTS[0][:-1]), filled(model, full), filled(model, PROMPTS[1][:-1])
    between.rewind_to(full)  # the last row is still right
    between.tokens.append(1)
    steps = [DecodeStep(PROMPTS[0][-1], one), DecodeStep(PROMPTS[1][-1], two)]
    for logits, prompt in zip(model.forward_each(steps), PROMPTS, strict=False):
        np.testing.assert_allclose(logits.values, stepped_alone(model, prompt).values, atol=2e-4)
    del between.tokens[-40:]
    last = model.forward([1], between, 1, Deadline()).values
    np.testing.assert_allclose(last, stepped_alone(model, full[:-39]).values, atol=2e-4)


def test_more_caches_than_a_bank_has_places(model: OnnxModel) -> None:
    caches = [filled(model, PROMPTS[number % 8][:-1]) for number in range(PLACES + 3)]
    assert len({cache.bank for cache in caches}) > 1
    expected = stepped_alone(model, PROMPTS[0]).values
    for number in (0, 8):
        np.testing.assert_allclose(
            model.forward(PROMPTS[0][-1:], caches[number], 1, Deadline()).values, expected, atol=2e-4
        )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux empties memory that is given back at once")
def test_a_cache_that_is_gone_gives_its_memory_back() -> None:
    bank, cache = Bank(SHAPE), KVCache(None, SHAPE.context)
    bank.give(0, cache)
    for array in bank.arrays(0, 2):
        array[:] = 1
    del cache
    assert bank.free_place == 0
    assert all(array[0].max() == 0 and array[1].min() == 1 for array in bank.arrays(0, 2))


def test_a_place_is_used_again_and_begins_empty(model: OnnxModel) -> None:
    places = set()
    for prompt in PROMPTS * 3:
        cache = filled(model, prompt[:-1])
        places.add(id(cache.bank))
        logits = model.forward(prompt[-1:], cache, 1, Deadline())
        np.testing.assert_allclose(logits.values, stepped_alone(model, prompt).values, atol=2e-4)
        del cache
    assert len(places) == 1


class Requests:
    """Generations in threads that share a model."""

    def __init__(self, model: SlowModel, tokenizer: Tokenizer) -> None:
        self.turns = Turns()
        self.shared = SharedModel(model, self.turns)
        self._tokenizer = tokenizer
        self.outcomes: dict[int, Generation | Cancelled | ModelFailed] = {}
        self._threads: list[threading.Thread] = []

    def start(self, number: int, deadline: Deadline, cache: KVCache) -> None:
        thread = threading.Thread(target=self._run, args=(number, deadline, cache), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, number: int, deadline: Deadline, cache: KVCache) -> None:
        with self.turns.work(deadline):
            try:
                prompt = PROMPTS[number % len(PROMPTS)]
                answer = generate(self.shared, self._tokenizer, cache, prompt, PARAMS, NoDrafter(), deadline)
                self.outcomes[number] = answer
            except (Cancelled, ModelFailed) as error:
                self.outcomes[number] = error

    def finish(self) -> None:
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        assert self.turns.at_work == 0
        assert self.turns.running is None


@pytest.fixture
def requests(slow: SlowModel, tokenizer: Tokenizer) -> Requests:
    return Requests(slow, tokenizer)


def greedy(model: OnnxModel, tokenizer: Tokenizer, number: int) -> list[int]:
    prompt = PROMPTS[number % len(PROMPTS)]
    return generate(model, tokenizer, model.new_cache(), prompt, PARAMS, NoDrafter(), Deadline()).tokens


def test_requests_together_get_the_answers_of_each_alone(
    model: OnnxModel, slow: SlowModel, requests: Requests, tokenizer: Tokenizer
) -> None:
    caches = [slow.new_cache() for _ in PROMPTS]
    for number, cache in enumerate(caches):
        requests.start(number, Deadline(), cache)
    requests.finish()
    for number in range(len(PROMPTS)):
        answer = requests.outcomes[number]
        assert isinstance(answer, Generation)
        assert answer.tokens == greedy(model, tokenizer, number)
    assert max(slow.batches) > len(PROMPTS) // 2
    assert sum(slow.batches) > slow.singles


def test_cancelled_at_any_step_the_others_and_the_caches_stay_right(
    model: OnnxModel, slow: SlowModel, tokenizer: Tokenizer
) -> None:
    chance, expected = random.Random(2), [greedy(model, tokenizer, number) for number in range(len(PROMPTS))]
    caches = [slow.new_cache() for _ in PROMPTS]
    cancelled = 0
    for _ in range(12):
        requests = Requests(slow, tokenizer)
        deadlines = [Deadline() for _ in PROMPTS]
        for number, (deadline, cache) in enumerate(zip(deadlines, caches, strict=True)):
            requests.start(number, deadline, cache)
        for number in chance.sample(range(len(PROMPTS)), 4):
            time.sleep(chance.random() * 4 * PASS_S)
            deadlines[number].cancel()
        requests.finish()
        for number, cache in enumerate(caches):
            answer = requests.outcomes[number]
            cancelled += isinstance(answer, Cancelled)
            assert not isinstance(answer, Generation) or answer.tokens == expected[number]
            assert not isinstance(answer, ModelFailed)
            assert cache.tokens == (PROMPTS[number] + expected[number])[: len(cache.tokens)]
    assert cancelled > 12


@contextmanager
def a_pass_runs(slow: SlowModel, shared: SharedModel) -> Iterator[None]:
    """Meanwhile all others wait for their turns."""
    slow.goes_on.clear()
    slow.began.clear()
    passing = (PROMPTS[0], slow.new_cache(), 0, Deadline())
    thread = threading.Thread(target=shared.forward, args=passing, daemon=True)
    thread.start()
    assert slow.began.wait(WAIT_S)
    yield
    slow.goes_on.set()
    thread.join(WAIT_S)


def step_in_thread(
    requests: Requests, step: DecodeStep, deadline: Deadline, outcomes: list[object]
) -> threading.Thread:
    def run() -> None:
        try:
            outcomes.append(requests.shared.forward([step.token], step.cache, 1, deadline))
        except (Cancelled, ModelFailed) as error:
            outcomes.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_failed_pass_fails_each_of_its_requests(model: OnnxModel, slow: SlowModel, requests: Requests) -> None:
    outcomes: list[object] = []
    slow.fails = True
    with a_pass_runs(slow, requests.shared):
        steps = [DecodeStep(prompt[-1], filled(model, prompt[:-1])) for prompt in PROMPTS[:3]]
        threads = [step_in_thread(requests, step, Deadline(), outcomes) for step in steps]
        until(lambda: len(requests.turns._waiting) == len(threads))
    for thread in threads:
        thread.join(WAIT_S)
    assert len(outcomes) == 3
    assert all(isinstance(outcome, ModelFailed) for outcome in outcomes)
    requests.finish()


@pytest.mark.parametrize("gives_way", [False, True])
def test_what_is_read_ahead_is_in_no_batch(
    model: OnnxModel, slow: SlowModel, requests: Requests, gives_way: bool
) -> None:
    outcomes: list[object] = []
    with a_pass_runs(slow, requests.shared):
        steps = [DecodeStep(prompt[-1], filled(model, prompt[:-1])) for prompt in PROMPTS[:2]]
        deadlines = [Deadline(), Deadline(gives_way=gives_way)]
        threads = [step_in_thread(requests, s, d, outcomes) for s, d in zip(steps, deadlines, strict=True)]
        until(lambda: len(requests.turns._waiting) == (1 if gives_way else 2))
        time.sleep(0.01)
    for thread in threads:
        thread.join(WAIT_S)
    requests.finish()
    assert len(outcomes) == 2
    assert bool(slow.batches) is not gives_way
