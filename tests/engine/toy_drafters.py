"""Drafters that guess well or badly on purpose, and models that are cancelled or counted on the way."""

from collections.abc import Callable

import numpy as np

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.drafter import Drafter
from flash_ls.engine.model import FloatArray, Model
from tests.toy_model import SHAPE


class Oracle:
    """Knows the whole answer; guesses its next `width` tokens, of which the last `wrong` are spoilt."""

    def __init__(self, answer: list[int], width: int = 4, wrong: int = 0) -> None:
        """`answer` begins with the prompt."""
        self._answer, self._width, self._wrong = answer, width, wrong

    def propose(self, tokens: list[int]) -> list[int]:
        assert tokens == self._answer[: len(tokens)]
        drafts = self._answer[len(tokens) : len(tokens) + self._width]
        right = max(0, len(drafts) - self._wrong)
        return drafts[:right] + [(token + 1) % SHAPE.vocabulary for token in drafts[right:]]


class Guesser:
    """Guesses up to seven tokens at random, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def propose(self, tokens: list[int]) -> list[int]:
        return [int(token) for token in self._random.integers(0, SHAPE.vocabulary, self._random.integers(0, 8))]


DRAFTERS: dict[str, Callable[[list[int]], Drafter]] = {
    "oracle": Oracle,
    "half right": lambda answer: Oracle(answer, wrong=2),
    "wrong": lambda answer: Oracle(answer, wrong=4),
    "random": lambda answer: Guesser(len(answer)),
}
"""Makers of a drafter from the tokens it may know: the prompt and its plain greedy answer."""


class WatchedModel:
    """A model that calls `before(n)` and `after(n)` around its n-th pass, counted from 1, and keeps the widths fed."""

    def __init__(
        self,
        model: Model,
        before: Callable[[int], object] = lambda number: None,
        after: Callable[[int], object] = lambda number: None,
    ) -> None:
        self._model, self._before, self._after = model, before, after
        self.widths: list[int] = []

    def new_cache(self) -> KVCache:
        return self._model.new_cache()

    def forward(self, tokens: list[int], cache: KVCache, rows: int, deadline: Deadline) -> FloatArray:
        self.widths.append(len(tokens))
        self._before(len(self.widths))
        logits = self._model.forward(tokens, cache, rows, deadline)
        self._after(len(self.widths))
        return logits
