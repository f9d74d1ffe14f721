"""How likely it is that a suggestion is what the user was about to write.

A logistic regression over what is known when the text has been decoded, in the manner of full-line completion filters
(arXiv 2405.08704). `models/confidence.py` fits its weights to holes made in source code and writes `confidence.json`.
"""

import json
import math
import re
from dataclasses import astuple, dataclass, fields, replace
from functools import cache
from importlib import resources
from itertools import pairwise

Trace = tuple[tuple[int, float], ...]
"""For each token of a text, in order: the offset where it ends, and how likely it was, in nats."""
MOST_TYPED = 8.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a suggestion and against it. Likelihoods are logarithms of probabilities, in nats."""

    total: float = 0.0
    """Of all tokens together, with the one that ended the text."""
    mean: float = 0.0
    least: float = 0.0
    """Of the least likely token."""
    first: float = 0.0
    """Of the first token."""
    length: float = 0.0
    """Logarithm of the number of characters."""
    typed: float = 0.0
    """Characters of the word that is being typed, up to 8."""
    line_start: float = 0.0
    """1 where nothing stands before the cursor on its line, else 0; so below."""
    block: float = 0.0
    ended: float = 0.0
    """1 if the text ended by itself or by its rule, not at a limit."""
    retried: float = 0.0
    """How many likelier texts did not fit."""
    insisted: float = 0.0
    """1 if a likelier answer was that nothing is to be written here."""
    shortened: float = 0.0
    unknown: float = 0.0
    """Share of its names that are in neither the file nor the project."""

    def of_rest(self, trace: Trace, text: str, typed: int) -> "Evidence":
        """For what is left of `text` when its first `typed` characters have turned out right.

        A token of which some characters are typed is as much likelier as it is shorter.
        """
        likelihoods = [
            log_probability * min(1.0, (end - typed) / max(1, end - start))
            for (start, _), (end, log_probability) in pairwise([(0, 0.0), *trace])
            if end > typed or not typed
        ] or [0.0]
        word = re.search(r"\w*\Z", text[:typed])
        letters = len(word[0]) if word else 0
        return replace(
            self,
            total=sum(likelihoods),
            mean=sum(likelihoods) / len(likelihoods),
            least=min(likelihoods),
            first=likelihoods[0],
            length=math.log1p(len(text) - typed),
            typed=min(MOST_TYPED, letters + (self.typed if letters == typed else 0.0)),
            line_start=self.line_start * (not text[:typed].strip()),
        )


def probability(evidence: Evidence) -> float:
    """Between 0 and 1."""
    weights = _weights()
    score = weights[0] + sum(map(float.__mul__, weights[1:], astuple(evidence)))
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, score))))


@cache
def _weights() -> list[float]:
    """The intercept, and one weight for each field of `Evidence`."""
    raw = json.loads(resources.files(__package__).joinpath("confidence.json").read_text(encoding="utf-8"))
    return [raw["intercept"], *(raw["weights"][field.name] for field in fields(Evidence))]
