#!/usr/bin/env python3
"""Turn cases into samples to score students by, never to learn from.

    models/scored.py --suite fresh-all --artifact FOLDER --out dev.npz
    models/scored.py --cases FILE --files FILE --artifact FOLDER --out tail.npz      those of `models/long_tail.py`
    models/distill.py SAMPLES … --held dev.npz tail.npz                              scores by them

A student's answer counts as exact if the likeliest token is the right one each time. That is sooner done than to serve
it (`scripts/eval.py`), and leaves out what the server does with an answer.
"""

import argparse
from pathlib import Path
from random import Random

from tqdm import tqdm

from flash_ls.engine import manifest
from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.tokenizer import Tokenizer
from models.data import Coder, save
from scripts.cases import BENCH, SUITES, load_files, load_suite
from scripts.project import projects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=SUITES)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--files", type=Path)
    parser.add_argument("--artifact", type=Path, required=True, help="the folder of the model: `flash-ls model path`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bench", type=Path, default=BENCH)
    args = parser.parse_args()
    if bool(args.suite) == bool(args.cases):
        parser.error("say either --suite or --cases")
    suite = load_files(args.cases, args.files) if args.cases else load_suite(args.suite, args.bench)
    coder = Coder(Tokenizer(args.artifact / TOKENIZER_FILE), manifest.read(args.artifact).prompt, Random(0))
    known, cases = projects(suite), tqdm(suite.cases, "samples", unit="sample", disable=None)
    found = [sample for case in cases if (sample := coder.sample(case, known[case.repo]))]
    save(args.out, Random(0).sample(found, len(found)))


if __name__ == "__main__":
    main()
