#!/usr/bin/env python3
"""Teach four bits to say what the unrounded model says, by the scales of their groups alone.

    models/rescale.py SAMPLES.npz --artifact FOLDER --weights FILE.gguf --adapter flash.npz --out X.npz --minutes 20

FOLDER is an artifact of these weights without learnt scales. The loss is the divergence (Kullback-Leibler, in nats) of
the rounded model from the unrounded one at the last places of each sample, over the words that are served. `--minutes
0` only scores: the divergence, and how often both find the same word likeliest, on samples that are not taught. Every
line of OUT.jsonl is a step or a score.
"""

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from flash_ls.artifact import adapter, scales
from flash_ls.artifact.adapter import AdaptedWeights
from flash_ls.artifact.gguf_file import GgufFile
from flash_ls.engine.manifest import SHORTLIST_FILE
from models.data import Sample, load
from models.distill import order, schedule
from models.rounded import factors, rounded, served
from models.student import Student

PLACES = 128
"""Of a sample: its end, the answer among them."""


class Rescaler:
    """Runs the steps."""

    def __init__(self, teacher: Student, pupil: Student, words: Tensor, args: argparse.Namespace) -> None:
        self.teacher, self.pupil, self.words, self.args = teacher, pupil, words, args
        self.pool = ThreadPoolExecutor(args.threads)
        self.optimiser = torch.optim.Adam(pupil.learnt(), lr=args.rate, betas=(0.9, 0.98))
        self.seconds, self.step = 0.0, 0

    def run(self, samples: Sequence[Sample], held: Sequence[Sample]) -> None:
        """Until the time is over; scores before and after."""
        self._score(held)
        limit = 60 * self.args.minutes
        bar = tqdm(total=round(limit), unit="s", disable=None)
        while self.seconds < limit:
            began = time.monotonic()
            loss = self._step(samples)
            self.seconds += time.monotonic() - began
            self._note({"loss": loss})
            bar.update(round(self.seconds) - bar.n)
            bar.set_postfix(loss=f"{loss:.4f}")
        if limit:
            scales.save(self.args.out, factors(self.pupil))
            self._score(held)

    def _step(self, samples: Sequence[Sample]) -> float:
        size, count = self.args.batch, len(samples)
        places = range(self.step * size, (self.step + 1) * size)
        batch = [samples[order(count, place // count)[place % count]] for place in places]
        for group in self.optimiser.param_groups:
            group["lr"] = self.args.rate * schedule(self.seconds / (60 * self.args.minutes))
        loss: float = sum(self.pool.map(self._learn, batch)) / size
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        return loss

    def _learn(self, sample: Sample) -> float:
        loss = self.divergence(sample)[0].mean()
        (loss / self.args.batch).backward()
        return float(loss.item())

    def divergence(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """At each of the last places, how far the pupil is from the teacher, and whether both take the same word."""
        tokens = torch.tensor(sample.tokens[:-1], device=self.words.device)
        with torch.no_grad():
            expected = self._log_chances(self.teacher, tokens)
        said = self._log_chances(self.pupil, tokens)
        apart = functional.kl_div(said, expected, reduction="none", log_target=True).sum(dim=1)
        return apart, said.argmax(dim=1) == expected.argmax(dim=1)

    def _log_chances(self, student: Student, tokens: Tensor) -> Tensor:
        return student.logits(student(tokens[None])[0, -PLACES:], self.words).log_softmax(dim=1)

    def _score(self, held: Sequence[Sample]) -> None:
        judged = self.pool.map(torch.no_grad()(self.divergence), held)
        apart, same = (torch.cat(part) for part in zip(*judged, strict=True))
        self._note({"held": len(held), "divergence": round(float(apart.mean()), 5), "same": float(same.float().mean())})

    def _note(self, record: dict[str, Any]) -> None:
        record = {"step": self.step, "seconds": round(self.seconds, 1)} | record
        with self.args.out.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
            print(json.dumps(record), file=file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--adapter", required=True, metavar="FILE", help="of `flash_ls.artifact`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--held-samples", type=int, default=40, help="not taught, to score by; default: %(default)s")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=1e-3, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=8, help="samples a step; default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="samples at a time; default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    upstream = GgufFile(args.weights)
    weights = AdaptedWeights(upstream, adapter.load(args.adapter))
    teacher = Student(upstream.model_shape(), weights, rank=0)
    pupil = rounded(teacher, served(args.artifact))
    words = torch.tensor(np.load(args.artifact / SHORTLIST_FILE), device=args.device)
    rescaler = Rescaler(teacher.to(args.device), pupil.to(args.device), words, args)
    samples = load(args.samples)
    rescaler.run(samples[args.held_samples :], samples[: args.held_samples])


if __name__ == "__main__":
    main()
