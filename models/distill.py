#!/usr/bin/env python3
"""Teach a student what stands in the holes of its samples, by low-rank adapters beside its frozen weights.

    models/distill.py SAMPLES.npz --weights FILE.gguf --out adapter.npz --minutes 60 [--held SAMPLES.held.npz …]
        [--teacher FILE.npz]

The loss is the cross-entropy of the missing tokens and of the end; the prompt is only read. With a teacher
(`models/teacher.py`) it is for a share the divergence from what the teacher takes for likely there, and at the end of
the prompt, which counts less (knowledge distillation, arXiv 1503.02531, over the likeliest words and one for all
others). On a CPU each thread has a sample of its own: nothing is gained by padding there, and much is lost when threads
wait for each other. On a GPU `--together` pads samples of like length to one pass. The learning rate rises, then falls
to nothing as the time runs out. The state is kept beside OUT: the same command goes on where it
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
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from flash_ls.artifact import adapter
from flash_ls.artifact.gguf_file import GgufFile
from models.data import Sample, load
from models.student import Student
from models.teacher import Likely, load_opinions

WARM_UP = 0.05
"""Of the time, in which the learning rate rises."""
WEIGHT_DECAY = 0.01
LONGEST_STEP = 1.0
"""Norm of the gradient at most."""
PROMPT_WEIGHT = 0.2
"""Of a place in the prompt, beside one in the answer, where a teacher has an opinion on both."""


class Lesson(NamedTuple):
    """A sample, and what the teacher takes for likely at the last of its places, if there is one."""

    sample: Sample
    likely: Likely | None = None


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

    def __init__(
        self,
        student: Student,
        lessons: Sequence[Lesson],
        held: Held,
        args: argparse.Namespace,
        shortlist: Tensor | None = None,
    ) -> None:
        """`shortlist`: the ids of the words that the teacher's opinions are about."""
        self.student, self.lessons, self.held, self.args = student, lessons, held, args
        self.head = None if shortlist is None else student.embedding[shortlist]
        self.progress = Progress()
        self.pool = ThreadPoolExecutor(args.threads)
        self.optimiser = torch.optim.AdamW(
            student.learnt(), lr=args.rate, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98), fused=True
        )

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

    def _batch(self) -> list[Lesson]:
        """The lessons of this step; each time around in another order."""
        size, count = self.args.batch, len(self.lessons)
        first = self.progress.step * size
        return [self.lessons[order(count, place // count)[place % count]] for place in range(first, first + size)]

    def _step(self, batch: list[Lesson]) -> dict[str, Any]:
        done = self.progress.seconds / (60 * self.args.minutes)
        for group in self.optimiser.param_groups:
            group["lr"] = self.args.rate * schedule(done)
        weight = sum(weight_of(lesson.sample) for lesson in batch)
        total = sum(self.pool.map(lambda some: self._learn(some, weight), alike(batch, self.args.together)))
        norm = torch.nn.utils.clip_grad_norm_(self.student.learnt(), LONGEST_STEP)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.progress.step += 1
        self.progress.tokens += sum(len(lesson.sample.tokens) for lesson in batch)
        return {"loss": total, "norm": float(norm)}

    def _learn(self, lessons: Sequence[Lesson], weight: float) -> float:
        """Add the gradient of some lessons of a step whose weights are `weight` in all; their part of its loss."""
        states = read(self.student, [lesson.sample for lesson in lessons])
        losses = [
            self._loss(of_one, lesson) * (weight_of(lesson.sample) / weight)
            for of_one, lesson in zip(states, lessons, strict=True)
        ]
        loss = torch.stack(losses).sum()
        loss.backward()
        return float(loss.item())

    def _loss(self, states: Tensor, lesson: Lesson) -> Tensor:
        sample, likely = lesson
        loss = losses(self.student, states, sample).mean()
        if likely is None or self.head is None:
            return loss
        apart = divergence(functional.linear(states[-len(likely.words) :], self.head).float(), likely)
        weights = torch.full_like(apart, PROMPT_WEIGHT)
        weights[sample.prompt - len(sample.tokens) :] = 1.0
        return (1 - self.args.share) * loss + self.args.share * (weights @ apart) / weights.sum()

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


def alike(lessons: Sequence[Lesson], most: int) -> list[list[Lesson]]:
    """The lessons by their length, in groups of at most `most` tokens once padded, or of one lesson."""
    groups: list[list[Lesson]] = []
    for lesson in sorted(lessons, key=lambda lesson: -len(lesson.sample.tokens)):
        if groups and (len(groups[-1]) + 1) * len(groups[-1][0].sample.tokens) <= most:
            groups[-1].append(lesson)
        else:
            groups.append([lesson])
    return groups


def read(student: Student, samples: Sequence[Sample]) -> list[Tensor]:
    """The states [tokens - 1, hidden] before each token of each sample but its first, all in one pass."""
    longest = max(len(sample.tokens) for sample in samples)
    padded = [sample.tokens[:-1] + [0] * (longest - len(sample.tokens)) for sample in samples]
    states = student(torch.tensor(padded, device=student.norm.device))
    return [of_one[: len(sample.tokens) - 1] for of_one, sample in zip(states, samples, strict=True)]


def losses(student: Student, states: Tensor, sample: Sample) -> Tensor:
    """Cross-entropy [tokens] of what is missing, by the states of the whole sample."""
    return functional.cross_entropy(*_logits(student, states, sample), reduction="none")


def divergence(logits: Tensor, likely: Likely) -> Tensor:
    """How far `logits` [places, words] are from the teacher's chances at each place, in nats (Kullback-Leibler).

    What the teacher keeps no chance of is one word.
    """
    words, logs = (torch.tensor(part, device=logits.device) for part in likely)
    said = logits.log_softmax(dim=1).gather(1, words)
    expected, found = (torch.cat([part, rest(part)], dim=1) for part in (logs.float(), said))
    return functional.kl_div(found, expected, reduction="none", log_target=True).sum(dim=1)


def rest(logs: Tensor) -> Tensor:
    """The logarithm [places, 1] of the chance of all words but these [places, words]."""
    return torch.log1p(-logs.exp().sum(dim=1, keepdim=True).clamp(max=1 - 1e-4))


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
        (states,) = read(student, [sample])
        logits, target = _logits(student, states, sample)
    loss = functional.cross_entropy(logits, target, reduction="sum").item()
    return loss, bool((logits.argmax(dim=1) == target).all())


def _logits(student: Student, states: Tensor, sample: Sample) -> tuple[Tensor, Tensor]:
    """What is said of the missing tokens, and those."""
    target = torch.tensor(sample.tokens[sample.prompt :], device=states.device)
    return student.logits(states[sample.prompt - 1 :]), target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--held", type=Path, nargs="*", default=[])
    parser.add_argument("--held-samples", type=int, default=120, help="of each file; default: %(default)s")
    parser.add_argument("--teacher", type=Path, metavar="FILE", help="of `models/teacher.py`, on the first samples")
    parser.add_argument("--share", type=float, default=0.7, help="of the loss, the teacher's; default: %(default)s")
    parser.add_argument("--layers", type=json.loads, help="only these of the upstream layers, as a JSON list")
    parser.add_argument("--begin", metavar="FILE", help="an adapter of `flash_ls.artifact` to go on from")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--rank", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=2e-4, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=16, help="samples a step; default: %(default)s")
    parser.add_argument("--together", type=int, default=0, help="tokens of a pass of several; default: one sample each")
    parser.add_argument("--save", type=int, default=20, help="steps between two states; default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="samples at a time; default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    upstream = GgufFile(args.weights)
    student = Student(upstream.model_shape(), upstream, args.rank)
    if args.begin:
        student.take(adapter.load(args.begin))
    if args.layers:
        student = student.shortened(args.layers)
    student.to(args.device)
    held = {path.stem: load(path)[: args.held_samples] for path in args.held}
    lessons, shortlist = [Lesson(sample) for sample in load(args.samples)], None
    if args.teacher:
        opinions = load_opinions(args.teacher)
        lessons = [Lesson(lesson.sample, likely) for lesson, likely in zip(lessons, opinions.likely, strict=False)]
        shortlist = torch.tensor(opinions.shortlist, device=args.device)
    trainer = Trainer(student, lessons, held, args, shortlist)
    trainer.resume()
    trainer.run()


if __name__ == "__main__":
    main()
