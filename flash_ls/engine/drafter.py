"""Guesses of what the target model will say next, to be verified several at a time (arXiv 2211.17192).

Code repeats itself, so a copy is a good guess that costs nothing: find where the last tokens stood before and propose
what followed there. That is prompt lookup decoding (A. Saxena 2023; arXiv 2304.04487, "Inference with reference").
"""

from collections.abc import Callable, Iterable
from itertools import accumulate, cycle, islice
from operator import mul
from typing import NamedTuple, Protocol

from flash_ls.engine.cache import common_prefix
from flash_ls.engine.costs import StepCosts
from flash_ls.engine.embedding import FloatArray

MOST_DRAFTS = 15
"""Tokens of one proposal: with the last committed token they make a pass of 16."""
LONGEST_MATCH = 16
"""Tokens; a longer match says no more about what follows."""


class Drafter(Protocol):
    """Anything that can guess a continuation. A wrong guess costs time, never correctness."""

    def propose(self, tokens: list[int], most: int, state: FloatArray | None = None) -> list[int]:
        """At most `most` draft tokens after the committed `tokens` (at least one); empty when guessing does not pay.

        `state` [1, hidden] is what the target's head read before the last token, where that is known.
        """

    def verified(self, drafted: int, accepted: int) -> None:
        """How many tokens of the last proposal the target judged, and how many, from the first on, it agreed with."""


class NoDrafter:
    """Plain greedy decoding."""

    def propose(self, tokens: list[int], most: int, state: FloatArray | None = None) -> list[int]:
        return []

    def verified(self, drafted: int, accepted: int) -> None:
        pass


class Proposal(NamedTuple):
    """Draft tokens, and how many tokens a millisecond are expected if they are verified."""

    tokens: list[int]
    speed: float
    chance: float = 0.0
    """Of the first to be right."""


class Gain:
    """What it pays to draft: the costs of passes here, and who else is waiting for one."""

    def __init__(self, costs: StepCosts, company: Callable[[], int] | None = None) -> None:
        """`company` tells how many requests are at work: without drafts they can share a pass, which may pay more."""
        self._at, self._company = costs.at, company
        self._ms = [costs.at(1 + drafts) for drafts in range(MOST_DRAFTS + 1)]

    def best(self, chances: Iterable[float], ms_each: float = 0.0) -> tuple[int, float]:
        """The number of drafts with the most expected tokens a millisecond, and these, if a draft takes `ms_each`.

        Each chance is that of a draft to be right where all before it are.
        """
        tokens = accumulate(accumulate(chances, mul), initial=1.0)
        passes = zip(tokens, self._ms, strict=False)
        speeds = [expected / (ms + ms_each * drafts) for drafts, (expected, ms) in enumerate(passes)]
        if self._company and (company := self._company()) > 1:
            speeds[0] = company / self._at(company)
        return max(enumerate(speeds), key=lambda counted: counted[1])


class LookupDrafter:
    """Copies what followed the longest earlier match of the last tokens, as far as the chances make it pay."""

    def __init__(self, gain: Gain) -> None:
        self._gain = gain
        self._index = _Index()
        self._chances = _Chances()
        self._match_length = 0

    def propose(self, tokens: list[int], most: int, state: FloatArray | None = None) -> list[int]:
        return self.proposal(tokens, most).tokens

    def proposal(self, tokens: list[int], most: int) -> Proposal:
        """What to draft, and what it is worth; no tokens if it does not pay."""
        self._index.follow(tokens)
        match = self._index.longest_match()
        if match is None:
            return Proposal([], self._gain.best([])[1])
        self._match_length = match.length
        chances = (self._chances.of(match.length + number) for number in range(most))
        count, speed = self._gain.best(chances)
        if count == 0:
            self._chances.forget(match.length)
        # A copy that reaches the end of the text goes on with what it has copied, as in LZ77.
        copied = list(islice(cycle(tokens[match.place : match.place + count]), count))
        return Proposal(copied, speed, self._chances.of(match.length))

    def verified(self, drafted: int, accepted: int) -> None:
        for number in range(min(drafted, accepted + 1)):
            self._chances.learn(self._match_length + number, right=number < accepted)


class _Chances:
    """How likely the next draft token is right, by how many tokens before it match.

    A draft token that was right makes the match one token longer, so the chances of one long draft are those of short
    drafts in a row. Lengths 1, 2-3, 4-7, 8-15 and 16 share a chance each.

    Where drafting does not pay, nothing is learnt; so each match left unused moves the chance a little back towards its
    prior, until drafting is tried again. If all guesses stay wrong, they take about `RETURN / RATE` of the time.
    """

    PRIOR = (0.33, 0.5, 0.7, 0.85, 0.9)
    """Measured: 160 files in seven languages, prompts of 800 tokens, the next 20 to 60 tokens of the file."""
    RATE = 0.1
    """Weight of the newest token judged: about ten are remembered."""
    RETURN = 0.002
    """Part of the way back to the prior for each match left unused."""

    def __init__(self) -> None:
        self._chances = list(self.PRIOR)

    def of(self, match_length: int) -> float:
        return self._chances[self._class(match_length)]

    def learn(self, match_length: int, right: bool) -> None:
        self._move(match_length, float(right), self.RATE)

    def forget(self, match_length: int) -> None:
        self._move(match_length, self.PRIOR[self._class(match_length)], self.RETURN)

    def _move(self, match_length: int, target: float, share: float) -> None:
        place = self._class(match_length)
        self._chances[place] += share * (target - self._chances[place])

    @staticmethod
    def _class(match_length: int) -> int:
        return min(match_length, LONGEST_MATCH).bit_length() - 1


class _Match(NamedTuple):
    """Where the text goes on after an earlier copy of its last `length` tokens."""

    place: int
    length: int


class _Index:
    """The places after each token, in ascending order; exact for the text last followed."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._places: dict[int, list[int]] = {}

    def follow(self, tokens: list[int]) -> None:
        """Index `tokens` instead of the text before; the time goes with what differs at the end."""
        kept = common_prefix(self._tokens, tokens)
        for token in self._tokens[kept:]:
            self._drop_last_place(token)
        for place, token in enumerate(tokens[kept:], start=kept + 1):
            self._places.setdefault(token, []).append(place)
        self._tokens[kept:] = tokens[kept:]

    def _drop_last_place(self, token: int) -> None:
        places = self._places[token]
        places.pop()
        if not places:
            del self._places[token]

    def longest_match(self) -> _Match | None:
        """The longest match, counted up to `LONGEST_MATCH`; of equals the most recent."""
        tokens, match, length = self._tokens, None, 0
        for place in reversed(self._places[tokens[-1]][:-1]):
            # A slice that would begin before the text is empty: no match.
            while length < LONGEST_MATCH and tokens[place - length - 1 : place] == tokens[-length - 1 :]:
                length += 1
                match = _Match(place, length)
        return match
