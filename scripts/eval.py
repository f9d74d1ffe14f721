#!/usr/bin/env python3
"""Score the real completer on fill-in-the-middle cases. The last line of the output is JSON.

    scripts/eval.py --suite humaneval-single [--limit N]     one line of a HumanEval solution; its tests are run
    scripts/eval.py --suite humaneval-span                   a span that begins and ends within lines; its tests are run
    scripts/eval.py --suite fresh                            lines from real repositories, newer than the model
    scripts/eval.py --suite fresh-blocks | fresh-all         whole bodies from the same repositories, or both
    scripts/eval.py --suite repo PATH [--seed N]             holes in your own code: a git checkout or a folder
    scripts/eval.py --cases FILE [--files FILE]              other cases in the form of the suite `fresh`
    scripts/eval.py --suite … --against OTHER.jsonl          compared with a run that wrote its --predictions there
    scripts/eval.py --report FILE…                           tables and plot of such files, without a model

Every case is a buffer with the cursor in it, given to `flash_ls.completer` as an editor would give it: the line to be
filled in stands empty, or ends where the typist is; the other files of its repository are the project. It is asked for
(`Invoked`) and has no deadline; of a span all that is missing is asked for. A run that finds its own --predictions goes
on where it stopped.

exact (match), saved (characters), edit (similarity), ident(ifier F1) and (perfect) lines are those of metrics.py in
--bench, where cases that ask for one line are scored on the first line of the answer; of a span, all that is shown
counts. syntax: the file parses as before, of the shown where it did; repeat: it ends in what follows; indent: wrongly
indented, of those with a line of their own; unbal(anced): brackets or quotes. A comparison is paired by case; p is that
of the exact McNemar test.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact.store import ensure
from flash_ls.completer import Completer
from flash_ls.config import Config, parse
from flash_ls.engine import manifest
from flash_ls.errors import FlashLsError
from flash_ls.local import load_completer
from scripts import comparison, predictions, report
from scripts.answers import record
from scripts.cases import BENCH, SUITES, EvalError, Suite, check, digest, load_files, load_suite, spread
from scripts.holes import LIMIT, load_repo
from scripts.predictions import Predictions, Record
from scripts.project import projects
from scripts.report import Figures
from scripts.scores import load_metrics

Runs = dict[str, Predictions]
"""By the names that tables and plots have for them."""
BAD_USE = 2
"""Exit code of a run that cannot be made."""


def run(completer: Completer, suite: Suite, bench: Path, path: Path | None, done: Sequence[Record]) -> list[Record]:
    """Records of all cases in order. Those that are not `done` are made, and written to the file if there is one."""
    made = {one.id: one for one in done}
    of_repo = projects(suite)
    for case in tqdm(suite.cases, suite.name, unit="case", disable=None):
        if case.id not in made:
            made[case.id] = record(completer, case, of_repo[case.repo], bench)
            if path:
                predictions.append(path, made[case.id])
    return [made[case.id] for case in suite.cases]


def load(args: argparse.Namespace) -> Suite:
    """The cases that are asked for. Raises `EvalError`."""
    name, *place = args.suite or [""]
    if name == "repo" and len(place) == 1:
        suite = load_repo(Path(place[0]), args.limit or LIMIT, args.seed)
    elif place or bool(name) == bool(args.cases):
        raise EvalError(f"Give one of --cases FILE, --suite repo PATH, or --suite with one of {', '.join(SUITES)}.")
    else:
        suite = load_files(args.cases, args.files) if args.cases else load_suite(name, args.bench)
        suite = suite._replace(cases=spread(suite.cases, args.limit))
    check(suite)
    return suite


def configuration(args: argparse.Namespace) -> Config:
    """The settings of --model and --set. Raises `EvalError`."""
    try:
        settings = {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in args.set)}
    except ValueError as error:
        raise EvalError("--set takes KEY=JSON, as in prefix_tokens=900 or precision='\"int4\"'.") from error
    config, faults = parse(settings, Config(model=args.model))
    if faults:
        raise EvalError(" ".join(faults))
    return config


def settings_of(suite: Suite, config: Config, folder: Path) -> dict[str, Any]:
    """What makes one run differ from another."""
    artifact = manifest.read(folder)
    return {
        "suite": suite.name,
        "cases": digest(suite.cases),
        "n": len(suite.cases),
        "revision": artifact.revision,
        **asdict(config),
        "model": artifact.name,
    }


def evaluate(args: argparse.Namespace, baseline: Runs) -> Runs:
    """Make a run. Raises `EvalError` before it begins, and `ModelError`."""
    load_metrics(args.bench)
    suite, config = load(args), configuration(args)
    require_shared(suite, baseline)
    folder = ensure(config.model, lambda label, done: None)
    settings = settings_of(suite, config, folder)
    done = predictions.begin(args.predictions, settings) if args.predictions else []
    records = run(load_completer(folder, config), suite, args.bench, args.predictions, done)
    name = args.predictions.stem if args.predictions else "this run"
    return {name: Predictions(settings, records)}


def require_shared(suite: Suite, baseline: Runs) -> None:
    """Raises `EvalError` if a run to compare with has none of the cases."""
    known = {(case.id, case.digest) for case in suite.cases}
    for name, theirs in baseline.items():
        if not any((one.id, one.digest) in known for one in theirs.records):
            raise EvalError(f"{name} has predictions of another run: it shares no case with {suite.name}.")


def read_runs(paths: Sequence[Path]) -> Runs:
    """Files of predictions by short names. Raises `EvalError`."""
    stems = [path.stem for path in paths]
    runs = {path.stem if stems.count(path.stem) == 1 else str(path): predictions.read(path) for path in paths}
    for name, found in runs.items():
        if not found.records:
            raise EvalError(f"{name} has no predictions yet; let the run that writes it go on first.")
    return runs


def summaries(runs: Runs, baseline: Runs) -> dict[str, Figures]:
    """The summary of each run, compared with the baseline if there is one. Raises `EvalError`."""
    said = {}
    for name, found in runs.items():
        said[name] = report.summary(found.suite, found.records)
        for other, theirs in baseline.items():
            paired = comparison.pairs(found.records, theirs.records)
            if not paired:
                raise EvalError(f"{other} has predictions of another run: it shares no case with {name}.")
            said[name]["against"] = {"name": other, **comparison.compare(paired)}
    return said


def show(runs: dict[str, Figures]) -> None:
    """Print the tables of each run."""
    for name, said in runs.items():
        print(f"{name}, {said['suite']}\n{report.score_table(said)}")
        if "against" in said:
            print(report.comparison_table(said["against"]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", nargs="+", metavar="NAME", help=f"{', '.join(SUITES)}, or: repo PATH")
    parser.add_argument("--cases", type=Path, metavar="FILE", help="cases in the form of the suite `fresh`")
    parser.add_argument("--files", type=Path, metavar="FILE", help="the files of their repositories")
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="only read these files of predictions")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with these predictions, case by case")
    parser.add_argument("--model", default=Config().model, help="default: %(default)s")
    parser.add_argument("--limit", type=int, help=f"only N cases, spread evenly (default for repo: {LIMIT})")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of holes in a repo (default: %(default)s)")
    parser.add_argument("--bench", type=Path, default=BENCH, help="folder of the cases (default: %(default)s)")
    parser.add_argument("--predictions", type=Path, metavar="FILE", help="write a JSON line per case, or go on there")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw exact match and characters saved")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=JSON", help="a setting, e.g. prefix_tokens=900"
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        if args.plot:
            report.check_plot(args.plot)
        baseline = read_runs([args.against]) if args.against else {}
        runs = summaries(read_runs(args.report) if args.report else evaluate(args, baseline), baseline)
    except FlashLsError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_USE)
    show(runs)
    if args.plot:
        report.plot(summaries(baseline, {}) | runs, args.plot)
    print(json.dumps({"runs": runs} if args.report else next(iter(runs.values()))))


if __name__ == "__main__":
    main()
