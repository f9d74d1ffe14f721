#!/usr/bin/env python3
"""Plot what `models/distill.py` noted: the loss of each step, smoothed, and the score of the held samples.

models/curve.py adapter.jsonl --out curve.png
models/curve.py draft.jsonl --out curve.png      of `models/draft.py`: how many of the drafts are right
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

SMOOTHED = 15
"""Steps that a point of the curve is the mean of."""


def plot(records: list[dict[str, Any]], out: Path) -> None:
    """Loss to the left, the share of held samples that are exact to the right, over the tokens read.

    Of several held files it is the first.
    """
    steps = [record for record in records if "loss" in record]
    scores = [record for record in records if "held_loss" in record]
    held = [record for record in scores if record.get("held") == scores[0].get("held")]
    figure, left = plt.subplots(figsize=(7, 3.5), layout="constrained")
    window = min(SMOOTHED, len(steps))
    loss = np.convolve([record["loss"] for record in steps], np.ones(window) / window, "valid")
    left.plot([record["tokens"] for record in steps][window - 1 :], loss, label=f"loss, mean of {window} steps")
    left.plot([record["tokens"] for record in held], [record["held_loss"] for record in held], "o-", label="held loss")
    left.set(xlabel="tokens read", ylabel="cross-entropy of a missing token", ylim=0)
    right = left.twinx()
    exact = [record["held_exact"] for record in held]
    right.plot([record["tokens"] for record in held], exact, "s--", color="tab:green", label="held exact")
    right.set(ylabel="exact, each token the likeliest", ylim=0)
    figure.legend(loc="outside upper center", ncols=3)
    figure.savefig(out, dpi=110)


def plot_drafts(records: list[dict[str, Any]], out: Path) -> None:
    """A line for the first draft, the second, and so on, over the minutes of teaching."""
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    minutes = [record["seconds"] / 60 for record in records]
    for number, accepted in enumerate(zip(*(record["accepted"] for record in records), strict=True), 1):
        axes.plot(minutes[1:], accepted[1:], label=f"draft {number}")
    axes.set(xlabel="minutes", ylabel="right, where those before were", ylim=0)
    figure.legend(loc="outside upper center", ncols=4)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    records = [json.loads(line) for line in args.notes.read_text(encoding="utf-8").splitlines()]
    (plot_drafts if "accepted" in records[0] else plot)(records, args.out)


if __name__ == "__main__":
    main()
