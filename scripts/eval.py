#!/usr/bin/env python3
"""Score the real completer on fill-in-the-middle cases. The last line of the output is JSON.

    scripts/eval.py --suite humaneval-single [--limit N]     one line of a HumanEval solution; its tests are run
    scripts/eval.py --suite fresh                            lines from real repositories, newer than the model
    scripts/eval.py --suite fresh-blocks                     whole bodies from the same repositories

Every case is a buffer with the cursor in it, given to `flash_ls.completer` as an editor would give it: the line to be
filled in stands empty, or ends where the typist is. Decoding is greedy and has no deadline. Cases that ask for one line
are scored on the first line of the answer. The cases and `metrics.py` are read from --bench.
"""

import argparse
import gzip
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tqdm import tqdm

from flash_ls.artifact.store import ensure
from flash_ls.completer import Completer, Completion, load_completer
from flash_ls.config import Config, parse
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot

BENCH = Path(__file__).resolve().parents[2] / "shared" / "bench"
TEST_SECONDS = 10
SUITES = ("humaneval-single", "fresh", "fresh-blocks")


@dataclass(frozen=True)
class Case:
    """A buffer with a hole."""

    id: str
    path: str
    before: str
    after: str
    middle: str
    kind: str
    test: str | None = None
    """Python that fails if the program before it is wrong."""


@dataclass(frozen=True)
class Answer:
    """What the completer said for one case."""

    id: str
    completion: str
    latency_ms: float
    reason: str
    passed: bool | None = None


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def humaneval_cases(bench: Path) -> Iterator[Case]:
    """The blank line keeps its line end, which the data set counts as part of the answer."""
    for row in read_jsonl(bench / "HumanEval-SingleLineInfilling.jsonl.gz"):
        middle = row["canonical_solution"].removesuffix("\n")
        test = f"{row['test']}\ncheck({row['entry_point']})\n"
        path, after = f"/{row['entry_point']}.py", "\n" + row["suffix"]
        yield Case(row["task_id"], path, row["prompt"], after, middle, "line", test)


def fresh_cases(bench: Path, blocks: bool) -> Iterator[Case]:
    for row in read_jsonl(bench / "fresh_dev.jsonl.gz"):
        if (row["kind"] == "block") == blocks:
            yield Case(row["id"], "/" + row["path"], row["prefix"], row["suffix"], row["middle"], row["kind"])


def load_cases(suite: str, bench: Path) -> list[Case]:
    if suite == "humaneval-single":
        return list(humaneval_cases(bench))
    return list(fresh_cases(bench, blocks=suite == "fresh-blocks"))


def inserted(case: Case, completion: Completion) -> str:
    """The answer as text between `before` and `after`, whatever of `after` it replaces."""
    replaced = case.after[: completion.end - len(case.before)]
    return completion.text.removesuffix(replaced) if replaced else completion.text


def answer(completer: Completer, case: Case, metrics: ModuleType) -> Answer:
    snapshot = Snapshot(f"file://{case.path}", "", 0, case.before + case.after, len(case.before))
    start = time.perf_counter()
    completion = completer.complete(snapshot, Deadline())
    latency = (time.perf_counter() - start) * 1e3
    text = metrics.cut(inserted(case, completion), {"kind": case.kind, "suffix": case.after, "middle": case.middle})
    return Answer(case.id, text, latency, completion.reason)


def limit_resources() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (TEST_SECONDS, TEST_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def passes(case: Case, completion: str) -> bool:
    """Run the tests on the completed program, in a process of its own with little time and memory."""
    nothing = subprocess.DEVNULL
    program = f"{case.before}{completion}{case.after}\n{case.test}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-I", "-c", program]
        process = subprocess.Popen(
            command, cwd=folder, preexec_fn=limit_resources, stdin=nothing, stdout=nothing, stderr=nothing
        )
        try:
            return process.wait(TEST_SECONDS) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False


def run_tests(cases: list[Case], answers: list[Answer]) -> list[Answer]:
    pairs = list(zip(cases, answers, strict=True))
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda pair: passes(pair[0], pair[1].completion), pairs)
        shown = tqdm(results, "running the tests", len(pairs), unit="case", disable=None)
        return [Answer(**asdict(said) | {"passed": passed}) for said, passed in zip(answers, shown, strict=True)]


def summary(suite: str, cases: list[Case], answers: list[Answer], metrics: ModuleType) -> dict[str, Any]:
    pairs = [(said.completion, case.middle) for case, said in zip(cases, answers, strict=True)]
    latencies = [said.latency_ms for said in answers]
    passed = [said.passed for said in answers if said.passed is not None]
    return {
        "suite": suite,
        "n": len(pairs),
        "exact_match": round(statistics.mean(metrics.em(*pair) for pair in pairs), 4),
        "pass_at_1": round(statistics.mean(passed), 4) if passed else None,
        "characters_saved": round(statistics.mean(metrics.saved(*pair) for pair in pairs), 4),
        "edit_similarity": round(statistics.mean(metrics.es(*pair) for pair in pairs), 2),
        "shown": round(statistics.mean(bool(text) for text, _ in pairs), 4),
        "latency_ms": {f"p{rank}": round(metrics.pct(latencies, rank)) for rank in (50, 95)},
    }


def load_metrics(bench: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("metrics", bench / "metrics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=SUITES, required=True)
    parser.add_argument("--model", default=Config().model, help="default: %(default)s")
    parser.add_argument("--limit", type=int, help="only N cases, spread evenly")
    parser.add_argument("--bench", type=Path, default=BENCH, help="folder of the cases (default: %(default)s)")
    parser.add_argument("--predictions", type=Path, help="also write one JSON line per case to this file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=JSON", help="a setting, e.g. prefix_tokens=900"
    )
    return parser.parse_args()


def spread(cases: list[Case], limit: int | None) -> list[Case]:
    return cases if not limit else [cases[index * len(cases) // limit] for index in range(min(limit, len(cases)))]


def main() -> None:
    args = arguments()
    metrics = load_metrics(args.bench)
    settings = dict(pair.split("=", 1) for pair in args.set)
    config, _ = parse({key: json.loads(value) for key, value in settings.items()}, Config(model=args.model))
    cases = spread(load_cases(args.suite, args.bench), args.limit)
    completer = load_completer(ensure(config.model, lambda label, done: None), config)
    answers = [answer(completer, case, metrics) for case in tqdm(cases, args.suite, unit="case", disable=None)]
    if cases[0].test is not None:
        answers = run_tests(cases, answers)
    if args.predictions:
        args.predictions.write_text("".join(json.dumps(asdict(said)) + "\n" for said in answers), encoding="utf-8")
    print(json.dumps(summary(args.suite, cases, answers, metrics)))


if __name__ == "__main__":
    main()
