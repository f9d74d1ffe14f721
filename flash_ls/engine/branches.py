"""Other answers than the greedy one: each branches off an earlier answer where a second best token was likely.

Greedy decoding is right most of the time; when its answer turns out to be of no use, the next best one costs a few
steps, since everything before the branch is in the cache. This is best-first search over the runners-up of the paths
decoded so far (arXiv 2007.03909 searches so over all tokens).
"""

import heapq
import math
from dataclasses import replace
from itertools import accumulate, count

from flash_ls.deadline import Deadline
from flash_ls.engine.decode import Generation, GenerationParams, Step
from flash_ls.engine.engine import Engine

LEAST_LIKELIHOOD = math.exp(-6)
"""Of the tokens up to where an answer differs: one less likely is not worth its time."""


class Branches:
    """The answers to one prompt, the greedy one first, then by the likelihood of the tokens up to where they differ."""

    def __init__(self, engine: Engine, prompt: list[int], params: GenerationParams) -> None:
        self._engine = engine
        self._prompt = prompt
        self._params = params
        self._open: list[tuple[float, int, tuple[Step, ...]]] = [(0.0, 0, ())]
        self._order = count(1)
        self._forced: tuple[Step, ...] = ()

    @property
    def likelihood(self) -> float:
        """In nats, the most that a further answer can have: that of its tokens up to where it differs."""
        return -self._open[0][0] if self._open else -math.inf

    def next(self, deadline: Deadline) -> Generation | None:
        """The next answer; None when there is none. Raises `Cancelled` and `ModelError`."""
        if not self._open:
            return None
        self._forced = heapq.heappop(self._open)[2]
        return self._engine.generate(self._prompt, replace(self._params, forced=self._forced), deadline)

    def branch(self, answer: Generation, within: int) -> None:
        """Let further answers differ from the one that came last in its first `within` bytes, healed text included."""
        path = [Step(*step) for step in zip(answer.tokens, answer.log_probabilities, strict=True)]
        sizes = (len(self._engine.tokenizer.token_bytes(step.token)) for step in path)
        starts = list(accumulate(sizes, initial=0))
        for place, other in enumerate(answer.runners_up, start=len(self._forced)):
            if starts[place] < within:
                self._push((*path[:place], other))

    def _push(self, forced: tuple[Step, ...]) -> None:
        likelihood = sum(step.log_probability for step in forced)
        if likelihood >= math.log(LEAST_LIKELIHOOD):
            heapq.heappush(self._open, (-likelihood, next(self._order), forced))
