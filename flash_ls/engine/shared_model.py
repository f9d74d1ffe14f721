"""A model that several threads use, one pass at a time; decode steps that wait at the same time are one pass.

Batching at the level of steps is Orca's (Yu et al., OSDI 2022): a request joins and leaves between two tokens, and
reading prompts, which is bound by arithmetic, is not batched.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from flash_ls.deadline import Deadline, Spent
from flash_ls.engine.cache import KVCache
from flash_ls.engine.head import IdArray, Logits
from flash_ls.engine.model import BatchModel, DecodeStep
from flash_ls.engine.turns import Ticket, Turns


class _Asked(Ticket):
    """A decode step that waits for its turn."""

    def __init__(self, step: DecodeStep, spent: Spent) -> None:
        self.step, self.spent = step, spent
        self.outcome: Logits | Exception | None = None

    def fits(self, other: Ticket) -> bool:
        """Whether one pass can be for both."""
        return (
            isinstance(other, _Asked)
            and other.step.cache.bank is self.step.cache.bank
            and other.step.precise is self.step.precise
            and not other.step.cache.is_full
        )

    def logits(self) -> Logits:
        assert self.outcome is not None
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class SharedModel:
    """See `Model`."""

    def __init__(self, model: BatchModel, turns: Turns) -> None:
        self._model = model
        self._turns = turns
        self.recheck_below = model.recheck_below
        self.new_cache = model.new_cache

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        """See `Model.forward`."""
        alone = partial(self._alone, tokens, cache, rows, deadline, words, precise)
        if deadline.gives_way or len(tokens) > 1 or rows != 1 or cache.is_full:
            with self._turns.turn(deadline):
                return alone()
        asked = _Asked(DecodeStep(tokens[0], cache, words, precise), deadline.spent)
        with self._turns.turn(deadline, asked) as mine:
            if mine:
                others = [other for other in self._turns.take_along(asked.fits) if isinstance(other, _Asked)]
                if not others:
                    return alone()
                self._step_together([asked, *others])
        return asked.logits()

    def _alone(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None,
        precise: bool,
    ) -> Logits:
        with _counting([deadline.spent]):
            return self._model.forward(tokens, cache, rows, deadline, words, precise)

    def _step_together(self, together: list[_Asked]) -> None:
        try:
            with _counting([one.spent for one in together]):
                outcomes = self._model.forward_each([one.step for one in together])
            for one, logits in zip(together, outcomes, strict=True):
                one.outcome = logits
        except Exception as error:  # each raises it where it waits
            for one in together:
                one.outcome = error
        finally:
            self._turns.serve(together)


@contextmanager
def _counting(all_spent: Sequence[Spent]) -> Iterator[None]:
    """Share the processor time of a pass among those it is for."""
    began = time.process_time()
    try:
        yield
    finally:
        for spent in all_spent:
            spent.cpu_ms += 1e3 * (time.process_time() - began) / len(all_spent)
