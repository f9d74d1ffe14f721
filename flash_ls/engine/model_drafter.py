"""Drafts of a small model, or copies where these promise more."""

from typing import Protocol

from flash_ls.engine.draft_model import LAST, DraftModel, Guess
from flash_ls.engine.drafter import Drafter, Gain, LookupDrafter
from flash_ls.engine.embedding import FloatArray

MOST_GUESSES = 7
"""With the last committed token they make a pass of 8."""
LEAST_CHANCE = 0.3
"""Of all guesses together: where it falls below, the next would hardly pay."""
SURE_COPY = 0.6
"""A copy this likely to begin right is better than a guess (models/LOG.md)."""
PRIOR = 20.0
"""Guesses that count for the prior of `_Trust`."""


class Guesser(Protocol):
    """What a draft model is asked: see `DraftModel`."""

    @property
    def ms(self) -> float: ...

    def guess(self, tokens: list[int], state: FloatArray) -> Guess: ...


class ModelDrafter:
    """See `Drafter`."""

    def __init__(self, model: Guesser, gain: Gain) -> None:
        self._model, self._gain = model, gain
        self._lookup = LookupDrafter(gain)
        self._trust = _Trust()
        self._guessed: list[float] = []

    def propose(self, tokens: list[int], most: int, state: FloatArray | None = None) -> list[int]:
        copy, self._guessed = self._lookup.proposal(tokens, most), []
        if state is None or (copy.tokens and copy.chance >= SURE_COPY):
            return copy.tokens
        guesses = self._guesses(tokens[-LAST:], state, most)
        chances = [guess.chance for guess in guesses]
        count, speed = self._gain.best(map(self._trust.of, chances), self._model.ms)
        if copy.speed >= speed:
            return copy.tokens
        self._guessed = chances[:count]
        return [guess.token for guess in guesses[:count]]

    def verified(self, drafted: int, accepted: int) -> None:
        if not self._guessed:
            self._lookup.verified(drafted, accepted)
        for number, chance in enumerate(self._guessed[: min(drafted, accepted + 1)]):
            self._trust.learn(chance, right=number < accepted)

    def _guesses(self, tokens: list[int], state: FloatArray, most: int) -> list[Guess]:
        guesses: list[Guess] = []
        together = 1.0
        while len(guesses) < min(most, MOST_GUESSES) and together >= LEAST_CHANCE:
            guess = self._model.guess(tokens, state)
            tokens, state, together = [*tokens, guess.token], guess.state, together * self._trust.of(guess.chance)
            guesses.append(guess)
        return guesses


class _Trust:
    """How far the draft model's chances can be taken at their word: those of guesses that were right over all."""

    RATE = 0.98
    """What is left of a guess's weight after the next one."""

    def __init__(self) -> None:
        self._right, self._said = PRIOR, PRIOR

    def of(self, chance: float) -> float:
        """How likely a guess of that chance is to be right."""
        return min(1.0, chance * self._right / self._said)

    def learn(self, chance: float, right: bool) -> None:
        """A guess was judged."""
        self._right = self.RATE * self._right + right
        self._said = self.RATE * self._said + chance


def drafter_for(model: DraftModel | None, gain: Gain) -> Drafter:
    """Copies alone where there is no draft model."""
    return LookupDrafter(gain) if model is None else ModelDrafter(model, gain)
