#!/usr/bin/env python3
"""Which layers a student could do without: what each is worth, and what the loss becomes as more of them go.

    models/importance.py SAMPLES.npz --weights FILE.gguf [--adapter flash.npz] --out importance.json [--count 24]

Of each layer the influence, by how much it turns what enters it (ShortGPT, arXiv 2403.03853: one less the cosine of
what enters and what leaves, on the average), and the loss of the missing tokens without it. Then layers go one after
the other, those of least influence first, or those whose lack alone costs least. `models/distill.py --layers` teaches
what is left.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from flash_ls.artifact import adapter
from flash_ls.artifact.adapter import AdaptedWeights
from flash_ls.artifact.gguf_file import GgufFile
from models.data import Sample, load
from models.distill import read, score
from models.student import Student

GONE = (1, 2, 3, 4, 6, 8, 12)
"""How many layers are left out."""


def influences(student: Student, samples: Sequence[Sample]) -> list[float]:
    """Of each layer, one less the cosine of what enters it and what leaves it, on the average of all tokens."""
    turned = np.zeros(len(student.layers))

    def note(index: int) -> Any:
        def hook(layer: nn.Module, given: tuple[Tensor, ...], leaving: Tensor) -> None:
            turned[index] += float((1 - functional.cosine_similarity(given[0], leaving, dim=-1)).mean())

        return hook

    hooks = [layer.register_forward_hook(note(index)) for index, layer in enumerate(student.layers)]
    with torch.no_grad():
        for sample in samples:
            read(student, [sample])
    for hook in hooks:
        hook.remove()
    return [round(float(sum_of), 4) for sum_of in turned / len(samples)]


def without(
    student: Student, gone: Sequence[int], samples: Sequence[Sample], pool: ThreadPoolExecutor
) -> dict[str, Any]:
    """The score of the student without some of its layers."""
    left = [index for index in range(len(student.layers)) if index not in gone]
    found = score(student.shortened(left), samples, pool)
    return {"gone": sorted(gone), "loss": found["held_loss"], "exact": found["held_exact"]}


def in_order(worth: Sequence[float]) -> Iterator[list[int]]:
    """The layers that go, of least worth first: first one, then more."""
    order = [int(index) for index in np.argsort(worth, kind="stable")]
    yield from (order[:count] for count in GONE if count < len(order))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--adapter", metavar="FILE", help="of `flash_ls.artifact`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24, help="the last so many; default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="samples at a time; default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    upstream, samples = GgufFile(args.weights), load(args.samples)[-args.count :]
    weights = AdaptedWeights(upstream, adapter.load(args.adapter)) if args.adapter else upstream
    student, pool = Student(upstream.model_shape(), weights, rank=0), ThreadPoolExecutor(args.threads)
    turned = influences(student, samples)
    each = [[index] for index in range(len(turned))]
    alone = [without(student, gone, samples, pool) for gone in tqdm(each, "each", disable=None)]
    losses = [of_one["loss"] for of_one in alone]
    orders = {"influence": turned, "loss": losses}
    found = {
        "whole": without(student, [], samples, pool),
        "influence": turned,
        "loss_without": losses,
        "gone_by": {
            name: [without(student, gone, samples, pool) for gone in tqdm(list(in_order(worth)), name, disable=None)]
            for name, worth in orders.items()
        },
    }
    args.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
