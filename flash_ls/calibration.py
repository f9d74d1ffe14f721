"""How the threshold of what is shown unasked follows what its user has made of suggestions so far.

Pure arithmetic. Knows nothing of suggestions, files or time.
"""

import math
from collections.abc import Sequence

PRIOR_SUGGESTIONS = 50
"""What the belief that the probabilities are right as they are weighs, in suggestions."""
HIGHEST = 0.9
"""The threshold goes no higher, unless the base is."""
_INFORMATION = 0.2
"""What one suggestion tells of the offset: p (1 - p), as it is for p between 0.28 and 0.72."""
_FARTHEST = 10.0
_ROUNDS = 50


def threshold(base: float, counts: Sequence[tuple[float, float]]) -> float:
    """From which probability suggestions are to be shown, so that the least likely are of use in `base` of all cases.

    `counts`: of equal intervals of the probability from 0 to 1, how many suggestions were shown and of how many the
    user made use. Platt's scaling (Advances in Large Margin Classifiers, 1999) with its slope held at 1: for this user
    a suggestion of probability p is of use with sigmoid(logit(p) + d). The offset d is the most likely one after the
    counts, when a normal distribution around 0 that weighs as much as `PRIOR_SUGGESTIONS` is believed before. The
    threshold t solves sigmoid(logit(t) + d) = base. It is kept between base / 2 and the lesser of 2 base and
    `HIGHEST`, and a base that shows all (0) or nothing (1) stays.
    """
    if not 0 < base < 1:
        return base
    wanted = _sigmoid(_logit(base) - offset(counts))
    return min(max(wanted, base / 2), max(base, min(HIGHEST, 2 * base)))


def offset(counts: Sequence[tuple[float, float]]) -> float:
    """By how much the logits of the probabilities are too low for this user, between -10 and 10.

    The root of the slope of the logarithm of the posterior, which falls all the way: found by bisection.
    """
    logits = [_logit((bucket + 0.5) / len(counts)) for bucket in range(len(counts))]
    low, high = -_FARTHEST, _FARTHEST
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        expected = sum(shown * _sigmoid(logit + middle) for logit, (shown, _) in zip(logits, counts, strict=True))
        used = sum(used for _, used in counts)
        if used - expected - PRIOR_SUGGESTIONS * _INFORMATION * middle > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
