"""Forward passes of several models by turns: steps of a few tokens after many others, and prefills from empty.

It knows a model as a `Contender`, ours among them, and not what its times are compared with.
"""

import statistics
import time
from collections.abc import Mapping
from typing import Protocol

from tqdm import tqdm

from flash_ls.deadline import Deadline
from flash_ls.engine.decode import prefill
from flash_ls.engine.model import Model
from scripts.bench.sample import Sample, timed

PAST = 512
"""Tokens in the cache before a step."""
WIDTHS = {"decode": 1, "verify2": 2, "verify4": 4, "verify8": 8, "verify16": 16}
PREFILLS = {"prefill64": 64, "prefill512": 512}
BURST = 3
"""Passes timed in a row, after one that is not."""
PAUSE_S = 0.05
"""Before a contender's turn: longer than the threads of the one before spin after a pass."""

Samples = dict[str, dict[str, list[Sample]]]
"""By contender and by measure."""


class Contender(Protocol):
    """A model whose passes are timed."""

    def step(self, width: int) -> Sample:
        """One pass of `width` tokens after `PAST` others, with the logits of all."""

    def prefill(self, length: int) -> Sample:
        """`length` tokens from empty, with the logits of the last."""


class Ours:
    """One precision of our model, fed as `flash_ls.engine.decode` feeds it."""

    def __init__(self, model: Model, tokens: list[int]) -> None:
        self._model, self._tokens = model, tokens
        self._cache = model.new_cache()

    def step(self, width: int) -> Sample:
        if len(self._cache.tokens) < PAST:
            self.prefill(PAST)
        del self._cache.tokens[PAST:]
        tokens = self._tokens[PAST : PAST + width]
        return timed(lambda: self._model.forward(tokens, self._cache, width, Deadline()))

    def prefill(self, length: int) -> Sample:
        self._cache.tokens.clear()
        return timed(lambda: self._feed(self._tokens[:length]))

    def _feed(self, prompt: list[int]) -> None:
        prefill(self._model, self._cache, prompt, Deadline())
        rest = prompt[len(self._cache.tokens) :]
        self._model.forward(rest, self._cache, 1, Deadline(), precise=True)


def compare(contenders: Mapping[str, Contender], rounds: int) -> Samples:
    """Every measure of every contender, by turns; each round has all measures, and another contender begins it.

    So whatever else the machine does for a while falls on a few samples of all, and the median does not see it.
    """
    samples: Samples = {name: {measure: [] for measure in (*WIDTHS, *PREFILLS)} for name in contenders}
    for contender in contenders.values():
        contender.prefill(PAST)  # the first pass touches the weights for the first time
    for number in tqdm(range(rounds), "passes", unit="round", disable=None):
        names = list(contenders)
        first = number % len(names)
        for measure in (*PREFILLS, *WIDTHS):  # the last prefill leaves in the cache what the steps want there
            for name in names[first:] + names[:first]:
                samples[name][measure] += turn(contenders[name], measure)
    return samples


def turn(contender: Contender, measure: str) -> list[Sample]:
    time.sleep(PAUSE_S)
    if measure in PREFILLS:
        return [contender.prefill(PREFILLS[measure])]
    return [contender.step(WIDTHS[measure]) for _ in range(1 + BURST)][1:]


def cpu_s_per_million(samples: Mapping[str, list[Sample]]) -> dict[str, float]:
    """CPU seconds that a million tokens cost one contender, by measure."""
    sizes = {"decode": WIDTHS["decode"], "prefill512": PREFILLS["prefill512"]}
    medians = {name: statistics.median(sample.cpu_ms for sample in samples[name]) for name in sizes}
    return {name: round(medians[name] / size * 1e3) for name, size in sizes.items()}
