#!/usr/bin/env python3
"""Fit the weights by which a suggestion's chance of being right is told, and show what a threshold on it does.

    models/confidence.py --fit A.jsonl B.jsonl … [--check DEV.jsonl] [--plot FILE.png] [--out FILE.json]

The files are predictions of `scripts/eval.py --predictions`. Each file of --fit is a group (one repository, say): the
curve printed for them is cross-validated, every group scored by weights fitted to the others. --check is only scored.
A suggestion is right if its first line is. The last line of the output is JSON.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flash_ls.confidence import Evidence
from scripts import predictions

Floats = NDArray[np.float64]

NAMES = [field.name for field in fields(Evidence)]
RIDGE = 1.0
"""Strength of the pull towards equal odds, per weight of a feature with unit variance."""
ROUNDS = 30
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
DIGITS = 4


class Sample(NamedTuple):
    """Shown suggestions: their evidence [n, features], and whether they were right [n]."""

    evidence: Floats
    right: Floats


class Weights(NamedTuple):
    intercept: float
    weights: Floats

    def probabilities(self, evidence: Floats) -> Floats:
        score: Floats = self.intercept + evidence @ self.weights
        return 1 / (1 + np.exp(-score))


def read(path: Path) -> Sample:
    """The suggestions of a run that are not empty, and for which nobody insisted on an answer."""
    told = [(one.evidence, one) for one in predictions.read(path).records if one.completion.strip() and one.evidence]
    shown = [one for evidence, one in told if not evidence.get("insisted")]
    evidence = [[float((one.evidence or {}).get(name, 0.0)) for name in NAMES] for one in shown]
    return Sample(
        np.array(evidence).reshape(-1, len(NAMES)), np.array([float(one.scores.exact_match) for one in shown])
    )


def joined(samples: list[Sample]) -> Sample:
    return Sample(np.concatenate([one.evidence for one in samples]), np.concatenate([one.right for one in samples]))


def fit(sample: Sample) -> Weights:
    """Ridge logistic regression by Newton's method."""
    mean, spread = sample.evidence.mean(0), sample.evidence.std(0) + 1e-9
    inputs = np.column_stack([np.ones(len(sample.right)), (sample.evidence - mean) / spread])
    penalty = RIDGE * np.diag([0.0] + [1.0] * len(NAMES))
    weights = np.zeros(inputs.shape[1])
    for _ in range(ROUNDS):
        chances = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (sample.right - chances) - penalty @ weights
        curvature = (inputs * (chances * (1 - chances))[:, None]).T @ inputs + penalty
        weights += np.linalg.solve(curvature, slope)
    scaled = weights[1:] / spread
    return Weights(float(weights[0] - scaled @ mean), scaled)


def cross_validated(groups: list[Sample]) -> Floats:
    """The chance of each suggestion by weights fitted to the other groups."""
    rest = [[other for other in groups if other is not one] for one in groups]
    return np.concatenate([fit(joined(o)).probabilities(one.evidence) for o, one in zip(rest, groups, strict=True)])


def curve(chances: Floats, right: Floats) -> list[dict[str, float]]:
    """For shares of the suggestions shown, the likeliest first: threshold, precision, and share of the right ones."""
    order = np.argsort(-chances, kind="stable")
    rows = []
    for share in SHARES:
        shown = order[: max(1, round(share * len(order)))]
        rows.append(
            {
                "shown": share,
                "threshold": float(chances[shown[-1]]),
                "precision": float(right[shown].mean()),
                "kept": float(right[shown].sum() / max(1.0, right.sum())),
            }
        )
    return rows


def at(threshold: float, chances: Floats, right: Floats) -> dict[str, float]:
    """What is shown at a threshold, and by how much its precision is above that of showing all."""
    shown = chances >= threshold
    precision = float(right[shown].mean()) if shown.any() else 0.0
    return {
        "threshold": threshold,
        "shown": float(shown.mean()),
        "precision": precision,
        "gain": precision / max(1e-9, float(right.mean())),
        "kept": float(right[shown].sum() / max(1.0, right.sum())),
    }


def calibration_error(chances: Floats, right: Floats, bins: int = 10) -> float:
    """Mean distance between what is promised and what is kept, over equal shares of the suggestions."""
    parts = np.array_split(np.argsort(chances), bins)
    return float(np.mean([abs(chances[part].mean() - right[part].mean()) for part in parts if len(part)]))


def table(name: str, chances: Floats, right: Floats) -> None:
    error = calibration_error(chances, right)
    print(f"{name}: {len(right)} suggestions, {right.mean():.3f} right, calibrated to {error:.3f}")
    print("  shown  threshold  precision   kept")
    for row in curve(chances, right):
        print(f"  {row['shown']:5.1f}  {row['threshold']:9.3f}  {row['precision']:9.3f}  {row['kept']:5.3f}")


def plot(curves: dict[str, list[dict[str, float]]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, rows in curves.items():
        axes.plot([row["shown"] for row in rows], [row["precision"] for row in rows], "o-", label=name)
    axes.set(xlabel="share of the suggestions shown", ylabel="share of those that are right", ylim=(0, 1))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    parser.add_argument("--threshold", type=float, default=0.3)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    groups = [read(path) for path in args.fit]
    whole, weights = joined(groups), fit(joined(groups))
    scored: dict[str, tuple[Floats, Floats]] = {"cross-validated": (cross_validated(groups), whole.right)}
    if args.check:
        dev = read(args.check)
        scored[args.check.stem] = weights.probabilities(dev.evidence), dev.right
    for name, pair in scored.items():
        table(name, *pair)
    if args.plot:
        plot({name: curve(*pair) for name, pair in scored.items()}, args.plot)
    if args.out:
        named = {name: round(float(weight), DIGITS) for name, weight in zip(NAMES, weights.weights, strict=True)}
        raw: dict[str, Any] = {"intercept": round(weights.intercept, DIGITS), "weights": named}
        args.out.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: at(args.threshold, *pair) for name, pair in scored.items()}))


if __name__ == "__main__":
    main()
