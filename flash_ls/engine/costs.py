"""What a forward pass costs by how many tokens it takes: the figures that decide how far it pays to draft."""

import time
from bisect import bisect_left
from dataclasses import dataclass

from flash_ls.deadline import Deadline
from flash_ls.engine.model import Model


@dataclass(frozen=True, slots=True)
class StepCosts:
    """Milliseconds `ms` of one pass of so many tokens `widths`, as measured; the widths ascend from 1."""

    widths: tuple[int, ...]
    ms: tuple[float, ...]

    def __post_init__(self) -> None:
        assert self.widths[0] == 1
        assert len(self.widths) == len(self.ms)
        assert list(self.widths) == sorted(set(self.widths))

    def at(self, width: int) -> float:
        """Milliseconds of a pass of `width` tokens, at least one: on the line through the measured widths around it.

        Past the last width the last line goes on, but never falls; with a single width, cost is in proportion.
        """
        if len(self.widths) == 1:
            return self.ms[0] * width
        right = max(1, min(bisect_left(self.widths, width), len(self.widths) - 1))
        low, high = self.ms[right - 1 : right + 1]
        share = (width - self.widths[right - 1]) / (self.widths[right] - self.widths[right - 1])
        if share > 1:
            return high + max(0.0, high - low) * (share - 1)
        return low + (high - low) * share


WIDTHS = (1, 2, 4, 8, 16, 32)
RUNS = 5
"""Of each width; the fastest counts, as only that is the machine's own and not its other work's."""


@dataclass(frozen=True, slots=True)
class PassCosts:
    """What a model's passes cost here: by the fast path, and by the precise one if it has two."""

    fast: StepCosts
    precise: StepCosts | None = None

    @property
    def precise_from(self) -> int:
        """The width from which on the precise path is no slower; past all widths if it never is."""
        paid = (w for w in self.fast.widths if self.precise and self.precise.at(w) <= self.fast.at(w))
        return next(paid, self.fast.widths[-1] + 1)

    @property
    def best(self) -> StepCosts:
        """The cheaper path at each width."""
        if self.precise is None:
            return self.fast
        return StepCosts(self.fast.widths, tuple(map(min, self.fast.ms, self.precise.ms)))


def faster(one: PassCosts, other: PassCosts) -> PassCosts:
    """Of two measurements of the same model, the lesser cost at each width."""
    pairs = [(one.fast, other.fast), (one.precise, other.precise)]
    fast, *precise = (StepCosts(a.widths, tuple(map(min, a.ms, b.ms))) for a, b in pairs if a and b)
    return PassCosts(fast, *precise)


def measure(model: Model) -> PassCosts:
    """Time `model` on this machine: about a second for half a billion weights."""
    paths = [False, True] if model.recheck_below else [False]
    cache, deadline = model.new_cache(), Deadline()
    tokens = list(range(WIDTHS[-1]))

    def once(width: int, precise: bool) -> float:
        del cache.tokens[:]
        start = time.perf_counter()
        model.forward(tokens[:width], cache, 1, deadline, precise=precise)
        return (time.perf_counter() - start) * 1e3

    # Round by round, so that a burst of other work hits every figure alike.
    rounds = [{(path, width): once(width, path) for path in paths for width in WIDTHS} for _ in range(RUNS)]
    fast, *precise = (
        StepCosts(WIDTHS, tuple(min(r[path, width] for r in rounds) for width in WIDTHS)) for path in paths
    )
    return PassCosts(fast, *precise)
