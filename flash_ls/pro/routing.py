"""When the larger model is worth asking, and when its answer is the better one. Pure.

The thresholds are fitted by `scripts/bench_routing.py --fit` (models/LOG.md).
"""

ASK_BELOW = 0.55
"""A line of the first model that is right with at least this probability is left as it is."""
PAUSE_S = 0.3
"""For so long nothing was typed before it is asked by itself: most answers are typed over sooner."""


def asks(probability: float, is_body: bool, invoked: bool) -> bool:
    """Whether to ask the larger model, given how likely the first one's answer is right.

    `is_body`: many lines are wanted, of which the first model seldom gets all right. `invoked`: the user asks.
    """
    return invoked or is_body or probability < ASK_BELOW


def is_better(probability: float, other: float | None) -> bool:
    """Whether an answer of the larger model replaces one of the first that is right with a `probability`.

    `other`: the same of the larger model's answer, if that is known.
    """
    return other is None or other > probability
