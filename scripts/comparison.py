"""Two configurations on the same cases: differences, and whether they are more than chance (exact McNemar test)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean
from typing import Any

from scripts.predictions import Record

_RATES = ("characters_saved", "edit_similarity", "identifier_f1", "perfect_lines", "shown")


@dataclass(frozen=True)
class Pairing:
    """Yes or no of each case, by two configurations."""

    ours: Sequence[bool]
    theirs: Sequence[bool]

    @property
    def wins(self) -> int:
        return sum(mine and not other for mine, other in zip(self.ours, self.theirs, strict=True))

    @property
    def losses(self) -> int:
        return sum(other and not mine for mine, other in zip(self.ours, self.theirs, strict=True))

    def summary(self) -> dict[str, Any]:
        wins, losses = self.wins, self.losses
        return _difference(fmean(self.ours), fmean(self.theirs)) | {
            "wins": wins,
            "losses": losses,
            "p": float(f"{mcnemar(wins, losses):.4g}"),
        }


def mcnemar(wins: int, losses: int) -> float:
    """The exact two-sided p-value that wins and losses are equally likely."""
    count = wins + losses
    tail = sum(comb(count, few) for few in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / (1 << count))


def pairs(ours: Sequence[Record], theirs: Sequence[Record]) -> list[tuple[Record, Record]]:
    """The records of the same case in the same buffer."""
    known = {(record.id, record.digest): record for record in theirs}
    return [(mine, other) for mine in ours if (other := known.get((mine.id, mine.digest)))]


def compare(paired: Sequence[tuple[Record, Record]]) -> dict[str, Any]:
    """Figures of both over at least one pair; `passed` is None without tests."""
    exact_match = _pairing(paired, lambda record: record.scores.exact_match)
    said: dict[str, Any] = {"n": len(paired), "exact_match": exact_match.summary()}
    tested = [(mine, other) for mine, other in paired if None not in (mine.passed, other.passed)]
    said["passed"] = _pairing(tested, lambda record: bool(record.passed)).summary() if tested else None
    for rate in _RATES:
        ours, theirs = (fmean(getattr(record.scores, rate) for record in side) for side in zip(*paired, strict=True))
        said[rate] = _difference(ours, theirs)
    return said


def _pairing(paired: Sequence[tuple[Record, Record]], yes: Callable[[Record], bool]) -> Pairing:
    return Pairing([yes(mine) for mine, _ in paired], [yes(other) for _, other in paired])


def _difference(ours: float, theirs: float) -> dict[str, Any]:
    return {"ours": round(ours, 4), "theirs": round(theirs, 4), "difference": round(ours - theirs, 4)}
