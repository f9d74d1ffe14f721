#!/usr/bin/env python3
"""Read samples with the served model, and keep the state before each next token: what a draft model learns from.

    models/states.py SAMPLES.npz … --artifact FOLDER --out FOLDER [--tokens 400000]

OUT gets `states.npy` float16 [tokens, hidden], what the head reads after each token; `tokens.npy`; and `places.npy`,
how many tokens stand before each in its own sample. Samples are read in turns from the files named. `FOLDER` is that of
the model: `flash-ls model path`.
"""

import argparse
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.onnx_model import OnnxModel
from models.data import Sample, load

PASS = 256
"""Tokens of one pass."""


def read(model: OnnxModel, tokens: list[int], word: int) -> Iterator[FloatArray]:
    """The states [tokens, hidden] of a text, pass by pass; the likelihood of only one `word` is asked for."""
    cache, asked = model.new_cache(), np.array([word])
    for start in range(0, len(tokens), PASS):
        piece = tokens[start : start + PASS]
        states = model.forward(piece, cache, len(piece), Deadline(), asked).states
        assert states is not None
        yield states


def by_turns(paths: list[Path]) -> Iterator[Sample]:
    """The first sample of each file, the second of each, and so on."""
    return (sample for sample in chain.from_iterable(zip_longest(*map(load, paths))) if sample)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, nargs="+")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=400_000, help="default: %(default)s")
    parser.add_argument("--precision", default="int8", help="default: %(default)s")
    args = parser.parse_args()
    described = manifest.read(args.artifact)
    model = OnnxModel(args.artifact, described, args.precision)
    word = int(np.load(args.artifact / manifest.SHORTLIST_FILE)[0])
    args.out.mkdir(parents=True, exist_ok=True)
    size = (args.tokens, described.shape.hidden)
    kept = open_memmap(args.out / "states.npy", mode="w+", dtype=np.float16, shape=size)
    tokens, places = (np.zeros(args.tokens, np.uint32) for _ in range(2))
    done, bar = 0, tqdm(total=args.tokens, unit="token", disable=None)
    for sample in by_turns(args.samples):
        first = done
        for states in read(model, sample.tokens, word):
            states = states[: args.tokens - done]
            kept[done : done + len(states)] = states
            done += len(states)
        tokens[first:done], places[first:done] = sample.tokens[: done - first], np.arange(done - first)
        bar.update(done - first)
        if done == args.tokens:
            break
    np.save(args.out / "tokens.npy", tokens[:done])
    np.save(args.out / "places.npy", places[:done])
    print(f'{{"tokens": {done}}}')


if __name__ == "__main__":
    main()
