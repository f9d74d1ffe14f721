#!/usr/bin/env python3
"""Teach a student what stands in the holes of its samples, by low-rank adapters beside its frozen weights.

    models/distill.py SAMPLES.npz --weights FILE.gguf --out adapter.npz --minutes 60 [--held SAMPLES.held.npz …]

The loss is the cross-entropy of the missing tokens and of the end; the prompt is only read. Each thread has a sample of
its own: on a CPU nothing is gained by padding them, and much is lost when threads wait for each other. The learning
rate rises, then falls to nothing as the time runs out. The state is kept beside OUT: the same command goes on where it
was stopped, and `--minutes 0` only scores. Every line of OUT.jsonl is a step, or the score by one of the held files:
which of its samples the student would complete exactly when it takes the likeliest token each time.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from flash_ls.artifact import adapter
from flash_ls.artifact.gguf_file import GgufFile
from models.data import Sample, load
from models.student import Student

WARM_UP = 0.05
"""Of the time, in which the learning rate rises."""
WEIGHT_DECAY = 0.01
LONGEST_STEP = 1.0
"""Norm of the gradient at most."""

Held = Mapping[str, Sequence[Sample]]
"""The samples to score by, by the name of their file."""


@dataclass(slots=True)
class Progress:
    """How far the teaching is."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    """Read, prompts included."""


class Trainer:
    """Runs the steps."""

    def __init__(self, student: Student, samples: Sequence[Sample], held: Held, args: argparse.Namespace):
        self.student, self.samples, self.held, self.args = student, samples, held, args
        self.progress = Progress()
        self.pool = ThreadPoolExecutor(args.threads)
        self.optimiser = torch.optim.AdamW(student.learnt(), lr=args.rate, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98))

    def run(self) -> None:
        """Until the time is over. Writes a state after every `--save` steps."""
        bar = tqdm(total=round(60 * self.args.minutes), initial=round(self.progress.seconds), unit="s", disable=None)
        if not self.progress.step:
            self._score()
        while self.progress.seconds < 60 * self.args.minutes:
            began = time.monotonic()
            record = self._step(self._batch())
            self.progress.seconds += time.monotonic() - began
            self._note(record)
            bar.update(round(self.progress.seconds) - bar.n)
            bar.set_postfix(loss=f"{record['loss']:.3f}", tokens_s=round(self.progress.tokens / self.progress.seconds))
            if self.progress.step % self.args.save == 0:
                self._score()
                self.save()
        self._score()
        self.save()

    def save(self) -> None:
        """What is needed to go on, and the adapter as it is."""
        state = {
            "student": {name: value for name, value in self.student.named_parameters() if value.requires_grad},
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
        }
        torch.save(state, self.args.out.with_suffix(".state"))
        adapter.save(self.args.out, self.student.adapter())

    def resume(self) -> None:
        """Go on from the state, if there is one."""
        path = self.args.out.with_suffix(".state")
        if path.exists():
            state = torch.load(path, map_location=self.args.device)
            self.student.load_state_dict(state["student"], strict=False)
            self.optimiser.load_state_dict(state["optimiser"])
            self.progress = Progress(**state["progress"])

    def _batch(self) -> list[Sample]:
        """The samples of this step; each time around in another order."""
        size, count = self.args.batch, len(self.samples)
        first = self.progress.step * size
        return [self.samples[order(count, place // count)[place % count]] for place in range(first, first + size)]

    def _step(self, batch: list[Sample]) -> dict[str, Any]:
        done = self.progress.seconds / (60 * self.args.minutes)
        for group in self.optimiser.param_groups:
            group["lr"] = self.args.rate * schedule(done)
        weight = sum(weight_of(sample) for sample in batch)
        total = sum(self.pool.map(lambda sample: self._learn(sample, weight_of(sample) / weight), batch))
        norm = torch.nn.utils.clip_grad_norm_(self.student.learnt(), LONGEST_STEP)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.progress.step += 1
        self.progress.tokens += sum(len(sample.tokens) for sample in batch)
        return {"loss": total, "norm": float(norm)}

    def _learn(self, sample: Sample, weight: float) -> float:
        loss = losses(self.student, sample).mean() * weight
        loss.backward()
        return float(loss.item())

    def _score(self) -> None:
        for name, held in self.held.items():
            self._note({"held": name} | score(self.student, held, self.pool))

    def _note(self, record: dict[str, Any]) -> None:
        progress = self.progress
        record = {"step": progress.step, "seconds": round(progress.seconds, 1), "tokens": progress.tokens} | record
        with self.args.out.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
            print(json.dumps(record), file=file)


def schedule(done: float) -> float:
    """The share of the learning rate when this share of the time is over."""
    return min(1.0, done / WARM_UP + 0.05) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def weight_of(sample: Sample) -> float:
    """Long answers count more than short ones, but not by their length."""
    return math.sqrt(len(sample.tokens) - sample.prompt)


@cache
def order(count: int, turn: int) -> list[int]:
    """In which order `count` samples come, when they come for the so manieth time."""
    return Random(turn).sample(range(count), count)


def losses(student: Student, sample: Sample) -> Tensor:
    """Cross-entropy [tokens] of what is missing."""
    logits, target = _logits(student, sample)
    return functional.cross_entropy(logits, target, reduction="none")


def score(student: Student, held: Sequence[Sample], pool: ThreadPoolExecutor) -> dict[str, Any]:
    """Cross-entropy a token, how many of the samples would be exact, and which: 1 or 0 for each."""
    found = list(pool.map(lambda sample: _judged(student, sample), held))
    count = sum(len(sample.tokens) - sample.prompt for sample in held)
    exact = sum(right for _, right in found) / len(held)
    which = "".join(str(int(right)) for _, right in found)
    loss = sum(loss for loss, _ in found) / count
    return {"held_loss": round(loss, 4), "held_exact": round(exact, 4), "exact": which}


def _judged(student: Student, sample: Sample) -> tuple[float, bool]:
    """The cross-entropy of what is missing, and whether greedy decoding would write it."""
    with torch.no_grad():
        logits, target = _logits(student, sample)
    loss = functional.cross_entropy(logits, target, reduction="sum").item()
    return loss, bool((logits.argmax(dim=1) == target).all())


def _logits(student: Student, sample: Sample) -> tuple[Tensor, Tensor]:
    tokens = torch.tensor(sample.tokens, device=student.norm.device)
    states = student(tokens[:-1])[sample.prompt - 1 :]
    return student.logits(states), tokens[sample.prompt :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--held", type=Path, nargs="*", default=[])
    parser.add_argument("--held-samples", type=int, default=120, help="of each file; default: %(default)s")
    parser.add_argument("--begin", metavar="FILE", help="an adapter of `flash_ls.artifact` to go on from")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--rank", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=2e-4, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=16, help="samples a step; default: %(default)s")
    parser.add_argument("--save", type=int, default=20, help="steps between two states; default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="samples at a time; default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    upstream = GgufFile(args.weights)
    student = Student(upstream.model_shape(), upstream, args.rank)
    if args.begin:
        student.take(adapter.load(args.begin))
    student.to(args.device)
    held = {path.stem: load(path)[: args.held_samples] for path in args.held}
    trainer = Trainer(student, load(args.samples), held, args)
    trainer.resume()
    trainer.run()


if __name__ == "__main__":
    main()
