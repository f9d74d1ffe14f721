#!/usr/bin/env python3
"""Measure the index of a project: how long it takes, its memory, and what it costs somebody who types meanwhile.

    scripts/bench_index.py FOLDER [--files 5000]

A project of so many files is made of the source files in FOLDER, each copied under several names. It is indexed once
alone, and once while the real model answers one key after the other in the same process, as it does in the server.
Before and after that keys are answered without: a delay is a difference within one run. Times in milliseconds, medians
and 95th percentiles. The last line of the output is JSON.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact.store import ensure
from flash_ls.completer import Completer, load_completer
from flash_ls.config import Config
from flash_ls.context import Context
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.process import release_memory
from flash_ls.project import Project
from flash_ls.workspace import Workspace
from scripts.bench_engine import resident_mb

KEY_S = 0.15
"""Between two keys."""
TYPED = "        return sorted(self.values, key=lambda value: value.weight)\n"
WARM_UP, KEYS = 5, 60
QUERIES = 20


class Busy:
    """Whether a key is being answered."""

    now = False

    def __call__(self) -> bool:
        return self.now


def copy_files(source: Path, root: Path, count: int) -> None:
    """Make a project of `count` files."""
    workspace = Workspace([str(source)])
    texts = [text for file in workspace.files() if (text := workspace.read(file.path)) and file.size > 200]
    for number, text in enumerate(tqdm(islice(cycle(texts), count), "copying", count, unit="file", disable=None)):
        folder = root / f"part{number // 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"file{number}.py").write_text(text, encoding="utf-8")


def indexed(root: Path, busy: Busy) -> tuple[Project, float]:
    """A project whose index is complete, and how many seconds that took."""
    project, began = Project([str(root)], [], busy), time.perf_counter()
    project.start()
    project.wait()
    return project, time.perf_counter() - began


def keys() -> Iterator[Snapshot]:
    """A buffer as it is after each key of a line that is typed again and again."""
    text = "import json\n\n\nclass Bag:\n    def ordered(self):\n"
    for end in cycle(range(1, len(TYPED))):
        yield Snapshot("file:///typed/bag.py", "", 0, text + TYPED[:end], len(text) + end)


def latencies(completer: Completer, typed: Iterator[Snapshot], busy: Busy, count: int) -> list[float]:
    """Milliseconds of so many keys."""
    found = []
    for snapshot in islice(typed, count):
        time.sleep(KEY_S)
        busy.now, began = True, time.perf_counter()
        completer.complete(snapshot, Deadline())
        found.append((time.perf_counter() - began) * 1e3)
        busy.now = False
    return found


def while_indexing(completer: Completer, root: Path) -> tuple[list[float], list[float]]:
    """Latencies of keys without an index being made, half of them before and half after, and with one."""
    typed, busy, alone, beside = keys(), Busy(), list[float](), list[float]()
    latencies(completer, typed, busy, WARM_UP)
    alone += latencies(completer, typed, busy, KEYS)
    project = Project([str(root)], [], busy)
    project.start()
    while not project.complete:
        beside += latencies(completer, typed, busy, 1)
    alone += latencies(completer, typed, busy, KEYS)
    project.stop()
    return alone, beside


def spread(values: list[float]) -> dict[str, float]:
    return {f"p{rank}": round(float(np.percentile(values, rank)), 1) for rank in (50, 95)}


def measure(root: Path, model: str) -> dict[str, Any]:
    completer = load_completer(ensure(model, lambda label, done: None), Config(model=model))
    gc.collect()
    release_memory()
    before = resident_mb()
    project, seconds = indexed(root, Busy())
    release_memory()
    grown = resident_mb() - before
    context, snapshot = Context(project, project.index), next(keys())
    times = []
    for _ in range(QUERIES):
        began = time.perf_counter()
        Context(project, project.index).choose(snapshot, lambda: (0, len(snapshot.text)))
        times.append((time.perf_counter() - began) * 1e3)
    completer.context = context
    alone, beside = while_indexing(completer, root)
    delay = {rank: round(spread(beside)[rank] - value, 1) for rank, value in spread(alone).items()}
    said = {"files": len(project.index), "seconds": round(seconds, 1), "mb": round(grown, 1)}
    return said | {
        "choose_ms": spread(times),
        "alone_ms": spread(alone),
        "beside_ms": spread(beside),
        "delay_ms": delay,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="source files to make the project of")
    parser.add_argument("--files", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--model", default=Config().model, help="default: %(default)s")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        copy_files(args.folder, Path(scratch), args.files)
        print(json.dumps(measure(Path(scratch), args.model)))


if __name__ == "__main__":
    main()
