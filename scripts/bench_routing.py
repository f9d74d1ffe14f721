#!/usr/bin/env python3
"""What asking the larger model is worth, and how often: the first alone, the larger alone, and routed.

    scripts/bench_routing.py FIRST.jsonl LARGER.jsonl [--fit OTHER.jsonl …] [--share 0.3]

FIRST and LARGER are predictions that `scripts/eval.py --predictions` wrote for the same cases; cases in one alone do
not count. --fit are such files of the first model for other code, one for each code base: the threshold of
`flash_ls.pro.routing` is the highest at which no more than the --share of the requests of the others would be asked,
and is checked on the one left out. Latency is that of the last answer: where the larger model is asked, both. The last
line of the output is JSON.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.errors import FlashLsError
from flash_ls.pro import routing
from scripts import comparison, predictions
from scripts.cases import EvalError
from scripts.predictions import Record

Pair = tuple[Record, Record]
"""What the first model and the larger one said to the same case."""
MEASURES: dict[str, Callable[[Record], float]] = {
    "exact_match": lambda record: record.scores.exact_match,
    "edit_similarity": lambda record: record.scores.edit_similarity,
    "characters_saved": lambda record: record.scores.characters_saved,
}


def is_asked(first: Record) -> bool:
    """Whether the larger model is asked after this answer of the first."""
    return first.evidence is not None and routing.asks(first.probability, False, is_body(first), for_bodies=False)


def is_body(first: Record) -> bool:
    return first.kind == "block"


def routed(pair: Pair) -> Record:
    """The answer that stays."""
    first, larger = pair
    better = bool(larger.completion) and routing.is_better(first.probability, larger.probability)
    return larger if is_asked(first) and better else first


def figures(records: Sequence[Record], milliseconds: Sequence[float]) -> dict[str, float]:
    """Means over the cases."""
    means = {name: round(fmean(map(measure, records)), 4) for name, measure in MEASURES.items()}
    return means | {"latency_ms": round(fmean(milliseconds))}


def compared(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Each way of answering, and what share of the larger model's gain routing has."""
    firsts, largers = map(list, zip(*pairs, strict=True))
    latency = [first.latency_ms + larger.latency_ms * is_asked(first) for first, larger in pairs]
    ways = {
        "first": figures(firsts, [one.latency_ms for one in firsts]),
        "larger": figures(largers, [one.latency_ms for one in largers]),
        "routed": figures([routed(pair) for pair in pairs], latency),
    }
    return {"n": len(pairs), "asked": round(fmean(map(is_asked, firsts)), 4), **ways, "share_of_gain": _shares(ways)}


def _shares(ways: dict[str, dict[str, float]]) -> dict[str, float | None]:
    """None where the larger model is no better."""
    gains = {name: [ways[way][name] - ways["first"][name] for way in ("larger", "routed")] for name in MEASURES}
    return {name: round(ours / all_, 3) if all_ > 0 else None for name, (all_, ours) in gains.items()}


def significance(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Exact match of the larger model and of routing against the first alone, paired."""
    against_routed = [(routed(pair), pair[0]) for pair in pairs]
    sides = {"larger": [(larger, first) for first, larger in pairs], "routed": against_routed}
    return {name: comparison.compare(side)["exact_match"] for name, side in sides.items()}


def threshold(records: Sequence[Record], share: float) -> float:
    """The highest probability below which there are no more than the `share` of the answers, bodies left out."""
    return float(np.quantile(list(map(_unsureness, records)), share, method="lower"))


def _unsureness(record: Record) -> float:
    """The probability, and more than any where it is not asked about."""
    return 2.0 if is_body(record) else record.probability


def fitted(groups: Sequence[Sequence[Record]], share: float) -> dict[str, Any]:
    """The threshold, and which share would be asked of each group by that of the others."""
    rest = [[one for other in groups if other is not group for one in other] for group in groups]
    asked = [
        fmean(_unsureness(one) < threshold(others, share) for one in group)
        for others, group in zip(rest, groups, strict=True)
    ]
    whole = [one for group in groups for one in group]
    return {
        "threshold": round(threshold(whole, share), 3),
        "asked": round(float(np.average(asked, weights=list(map(len, groups)))), 4),
        "asked_of_each": [round(one, 3) for one in asked],
        "wrong_ones_asked": round(_covered(whole, threshold(whole, share)), 3),
    }


def _covered(records: Sequence[Record], below: float) -> float:
    """Of the wrong answers, the share that is less likely."""
    wrong = [_unsureness(one) < below for one in records if not one.scores.exact_match]
    return fmean(wrong) if wrong else 0.0


def table(said: dict[str, Any]) -> str:
    lines = [f"{said['n']} cases, {said['asked']:.1%} asked", "            exact   edit  saved     ms"]
    for way in ("first", "larger", "routed"):
        exact, edit, saved, milliseconds = said[way].values()
        lines.append(f"  {way:8} {exact:7.3f} {edit:6.1f} {saved:6.3f} {milliseconds:6.0f}")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("larger", type=Path)
    parser.add_argument("--fit", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--share", type=float, default=0.3, help="of the requests, at most (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        firsts, largers = (predictions.read(path).records for path in (args.first, args.larger))
        groups = [predictions.read(path).records for path in args.fit]
        pairs = comparison.pairs(firsts, largers)
        if not pairs:
            raise EvalError(f"{args.first} and {args.larger} share no case; give two runs of the same suite.")
    except FlashLsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    kinds = {"all": pairs, "lines": [pair for pair in pairs if not is_body(pair[0])]}
    kinds["bodies"] = [pair for pair in pairs if is_body(pair[0])]
    said: dict[str, Any] = {name: compared(some) for name, some in kinds.items() if some}
    for name, one in said.items():
        print(f"{name}: {table(one)}")
    said["exact_match"] = significance(pairs)
    said["fit"] = fitted(groups, args.share) if len(groups) > 1 else None
    print(json.dumps(said))


if __name__ == "__main__":
    main()
