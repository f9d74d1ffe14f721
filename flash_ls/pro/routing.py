"""When the larger model is worth asking, and when its answer is the better one. Pure.

A body is seldom right, and would be asked about nearly always. A model of this machine takes longer for one than
anybody waits, and is no better at it (models/LOG.md), so it is asked for lines alone unless the user asks; a server for
both.
"""

ASK_BELOW = 0.28
"""The first model's answer is left as it is if it is right with at least this probability.

One of five requests is for a line and below in the code it was fitted to, more in harder code
(`scripts/bench_routing.py --fit … --share 0.2`).
"""
PAUSE_S = 0.3
"""For so long nothing was typed before it is asked by itself: most answers are typed over sooner."""


def asks(probability: float, invoked: bool, is_body: bool, for_bodies: bool) -> bool:
    """Whether to ask the larger model, given how likely the first one's answer is right.

    `invoked`: the user asks; `is_body`: a whole body is wanted; `for_bodies`: the larger model is there for those too.
    """
    return invoked or (probability < ASK_BELOW and (for_bodies or not is_body))


def is_better(probability: float, other: float | None) -> bool:
    """Whether an answer of the larger model replaces one of the first that is right with a `probability`.

    `other`: the same of the larger model's answer, if that is known.
    """
    return other is None or other > probability
