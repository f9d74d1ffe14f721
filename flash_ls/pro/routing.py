"""When the larger model is worth asking, and when its answer is the better one. Pure.

One threshold for lines and bodies: what kind of text is wanted is among the evidence of the probability
(`flash_ls.confidence`), so that a body is asked about nearly always, as it is seldom right.
"""

ASK_BELOW = 0.06
"""The first model's answer is left as it is if it is right with at least this probability.

One of five requests is below in the code it was fitted to (`scripts/bench_routing.py --fit … --share 0.2`), more in
harder code.
"""
PAUSE_S = 0.3
"""For so long nothing was typed before it is asked by itself: most answers are typed over sooner."""


def asks(probability: float, invoked: bool) -> bool:
    """Whether to ask the larger model, given how likely the first one's answer is right; `invoked`: the user asks."""
    return invoked or probability < ASK_BELOW


def is_better(probability: float, other: float | None) -> bool:
    """Whether an answer of the larger model replaces one of the first that is right with a `probability`.

    `other`: the same of the larger model's answer, if that is known.
    """
    return other is None or other > probability
