#!/usr/bin/env python3
"""Read samples with a larger model, as it is served, and keep what it takes for likely: what a student is taught by.

    models/teacher.py SAMPLES.npz --artifact FOLDER --out teacher.npz [--samples 800] [--places 96]

Of the last places of each sample, the answer among them, OUT gets the likeliest words of the teacher's shortlist and
their chances, some 50 bytes a place compressed. `FOLDER` is that of the teacher, which has the student's tokenizer:
`flash-ls model path --model flash-pro`. What OUT has already is not read again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from flash_ls.engine import manifest
from flash_ls.engine.embedding import Embedding, FloatArray
from flash_ls.engine.manifest import SHORTLIST_FILE
from flash_ls.engine.onnx_model import OnnxModel
from models.data import Sample, load
from models.states import read

TOP = 16
"""Words kept of each place."""
SAVE = 50
"""Samples between two savings."""


class Likely(NamedTuple):
    """What comes next after the last places of one sample, by the teacher's opinion."""

    words: NDArray[np.int64]
    """[places, TOP], by their number in the shortlist."""
    logs: NDArray[np.float16]
    """[places, TOP], natural logarithms of their chances among all words of the shortlist."""


class Opinions(NamedTuple):
    """Those of a teacher on the first of some samples."""

    shortlist: NDArray[np.int64]
    """Token ids."""
    likely: list[Likely]


class Teacher:
    """A served model, and its head over the shortlist in float32."""

    def __init__(self, folder: Path, precision: str = "int8") -> None:
        self.shortlist: NDArray[np.int64] = np.load(folder / SHORTLIST_FILE)
        self._model = OnnxModel(folder, manifest.read(folder), precision)
        self._head = Embedding(folder).rows(self.shortlist)

    def opinion(self, sample: Sample, places: int) -> Likely:
        """On the last `places` tokens of a sample, or on all but the first of a shorter one."""
        passes = list(read(self._model, sample.tokens[:-1], int(self.shortlist[0])))
        return likeliest(np.concatenate(passes)[-places:] @ self._head.T)


def likeliest(logits: FloatArray) -> Likely:
    """The first TOP of each row of `logits` [places, words], and their chances."""
    best = np.argpartition(-logits, TOP, axis=1)[:, :TOP].copy()  # of the view, all words would stay in memory
    highest = logits.max(axis=1, keepdims=True)
    total = highest + np.log(np.exp(logits - highest).sum(axis=1, keepdims=True))
    return Likely(best, (np.take_along_axis(logits, best, axis=1) - total).astype(np.float16))


def save(path: Path, opinions: Opinions) -> None:
    """The places one after the other, and where each sample ends. Whoever stops it finds the file of before."""
    scratch = path.with_suffix(".partial.npz")
    np.savez_compressed(
        scratch,
        shortlist=opinions.shortlist,
        words=np.concatenate([likely.words for likely in opinions.likely]).astype(np.uint32),
        logs=np.concatenate([likely.logs for likely in opinions.likely]),
        ends=np.cumsum([len(likely.words) for likely in opinions.likely]),
    )
    scratch.replace(path)


def load_opinions(path: Path) -> Opinions:
    """What `save` wrote."""
    with np.load(path) as stored:
        words, logs = (np.split(stored[name], stored["ends"][:-1]) for name in ("words", "logs"))
        both = zip(words, logs, strict=True)
        return Opinions(stored["shortlist"], [Likely(some.astype(np.int64), chances) for some, chances in both])


def ask(teacher: Teacher, samples: Sequence[Sample], places: int, out: Path) -> None:
    """All opinions into the file `out`, going on from those that it has."""
    known = load_opinions(out).likely if out.exists() else []
    bar = tqdm(samples, "reading", unit="sample", disable=None)
    for number, sample in enumerate(bar, 1):
        if number > len(known):
            known.append(teacher.opinion(sample, places))
            if number % SAVE == 0 or number == len(samples):
                save(out, Opinions(teacher.shortlist, known))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", dest="count", type=int, default=800, help="the first; default: %(default)s")
    parser.add_argument("--places", type=int, default=96, help="the last so many; default: %(default)s")
    args = parser.parse_args()
    ask(Teacher(args.artifact), load(args.samples)[: args.count], args.places, args.out)


if __name__ == "__main__":
    main()
