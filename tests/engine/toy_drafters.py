"""Drafters that guess well or badly on purpose, and models that are cancelled or counted on the way."""

from collections.abc import Callable, Sequence

import numpy as np

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.costs import StepCosts
from flash_ls.engine.drafter import Drafter
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.head import IdArray, Logits
from flash_ls.engine.model import DecodeStep, Model
from tests.toy_model import SHAPE

TYPICAL = StepCosts((1, 2, 4, 8, 16), (7.4, 7.9, 10.5, 16.7, 24.3))
"""Of half a billion weights in 4 bits on two cores."""


class Oracle:
    """Knows the whole answer; guesses its next `width` tokens, of which the last `wrong` are spoilt."""

    def __init__(self, answer: list[int], width: int = 4, wrong: int = 0) -> None:
        """`answer` begins with the prompt."""
        self._answer, self._width, self._wrong = answer, width, wrong

    def propose(self, tokens: list[int], most: int, state: FloatArray | None = None) -> list[int]:
        assert tokens == self._answer[: len(tokens)]
        drafts = self._answer[len(tokens) : len(tokens) + min(self._width, most)]
        right = max(0, len(drafts) - self._wrong)
        return drafts[:right] + [(token + 1) % SHAPE.vocabulary for token in drafts[right:]]

    def verified(self, drafted: int, accepted: int) -> None:
        pass


class Guesser:
    """Guesses up to seven tokens at random, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def propose(self, tokens: list[int], most: int, state: FloatArray | None = None) -> list[int]:
        drafts = self._random.integers(0, SHAPE.vocabulary, self._random.integers(0, 8))
        return [int(token) for token in drafts[:most]]

    def verified(self, drafted: int, accepted: int) -> None:
        pass


class Equal:
    """Guesses one token: what another model would say."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def propose(self, tokens: list[int], most: int, state: FloatArray | None = None) -> list[int]:
        words, values, *_ = self._model.forward(tokens, self._model.new_cache(), 1, Deadline())
        return [int(words[values[0].argmax()])][:most]

    def verified(self, drafted: int, accepted: int) -> None:
        pass


DRAFTERS: dict[str, Callable[[list[int]], Drafter]] = {
    "oracle": Oracle,
    "half right": lambda answer: Oracle(answer, wrong=2),
    "wrong": lambda answer: Oracle(answer, wrong=4),
    "random": lambda answer: Guesser(len(answer)),
}
"""Makers of a drafter from the tokens it may know: the prompt and its plain greedy answer."""


class WatchedModel:
    """A model that calls `before(n)` and `after(n)` around its n-th pass, counted from 1, and notes what was asked."""

    def __init__(
        self,
        model: Model,
        before: Callable[[int], object] = lambda number: None,
        after: Callable[[int], object] = lambda number: None,
    ) -> None:
        self._model, self._before, self._after = model, before, after
        self.recheck_below = model.recheck_below
        self.widths: list[int] = []
        self.precise: list[bool] = []
        self.words: list[IdArray | None] = []
        self.held: list[int] = []
        """How many tokens the cache held before each pass."""
        self.caches: list[KVCache] = []

    def new_cache(self) -> KVCache:
        return self._model.new_cache()

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        self.widths.append(len(tokens))
        self.precise.append(precise)
        self.words.append(words)
        self.held.append(len(cache.tokens))
        self.caches.append(cache)
        self._before(len(self.widths))
        logits = self._model.forward(tokens, cache, rows, deadline, words, precise)
        self._after(len(self.widths))
        return logits

    def forward_each(self, steps: Sequence[DecodeStep]) -> list[Logits]:
        """One after the other."""
        return [self.forward([one.token], one.cache, 1, Deadline(), one.words, one.precise) for one in steps]
