#!/usr/bin/env python3
"""Measure the index of a project: how long it takes, its memory, and what it costs somebody who types meanwhile.

    scripts/bench_index.py FOLDER [--files 5000]

A project of so many files is made of the source files in FOLDER, each copied under several names. It is indexed once
alone, and then again and again while the real model answers keys in the same process, as it does in the server.

The keys are those of one line that is typed over and over. While every second line is typed the indexing is held up, so
that each key is answered both alone and beside it. The delay of a key beside the indexing is its time less the median
time of the same key alone. The same difference of the keys alone is printed as the noise: no delay can be told from
less. A key's time begins when it is due, so how long its thread waits for the interpreter counts as well.

A step is what the indexing does between two looks at whether it has to give way; its percentiles are those of the step
that a key at any moment falls into. Times in milliseconds. The last line of the output is JSON.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact.store import ensure
from flash_ls.completer import Completer
from flash_ls.config import Config
from flash_ls.context import Context
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.local import load_completer
from flash_ls.process import release_memory
from flash_ls.project import Project
from flash_ls.workspace import Workspace
from scripts.bench.processes import resident_mb

Times = NDArray[np.float64]
"""Milliseconds."""

KEY_S = 0.15
"""Between two keys."""
TEXT = "import json\n\n\nclass Bag:\n    def ordered(self):\n"
TYPED = "        return sorted(self.values, key=lambda value: value.weight)\n"
LINES = 3
"""Typed beside the indexing; one more is typed alone."""
QUERIES = 20
SLOT_MS, SLOTS = 0.1, 1000
"""Steps are counted by their length, in slots so wide; the last one has the longer ones too."""


class Busy:
    """Whether the indexing has to give way, and for how long it works between asking that."""

    def __init__(self) -> None:
        self.key = False
        """A key is being answered."""
        self.held = False
        """The indexing is held up."""
        self.spent_ms = [0.0] * SLOTS
        """Time in the steps of each length."""
        self._asked = time.perf_counter()

    def __call__(self) -> bool:
        now = time.perf_counter()
        step_ms, self._asked = (now - self._asked) * 1e3, now
        self.spent_ms[min(int(step_ms / SLOT_MS), SLOTS - 1)] += step_ms
        return self.key or self.held

    def steps(self) -> dict[str, float]:
        """Percentiles of the step at any moment, in milliseconds, and the longest."""
        spent = np.array(self.spent_ms)
        places = np.searchsorted(np.cumsum(spent), [0.5 * spent.sum(), 0.95 * spent.sum()])
        ranks = dict(zip(("p50", "p95", "max"), [*places, np.flatnonzero(spent)[-1]], strict=True))
        return {rank: round(SLOT_MS * (int(place) + 1), 1) for rank, place in ranks.items()}


class Indexing:
    """A project that is indexed, and then another."""

    def __init__(self, root: Path, busy: Busy) -> None:
        self._root, self._busy = root, busy
        self._project = self._start()

    def go_on(self) -> None:
        """See to it that there is something to do."""
        if self._project.complete:
            self.stop()
            self._project = self._start()

    def stop(self) -> None:
        self._project.stop()

    def _start(self) -> Project:
        project = Project([str(self._root)], [], self._busy)
        project.start()
        return project


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


def after(end: int) -> Snapshot:
    """The buffer once so many characters of the line are typed."""
    return Snapshot("file:///typed/bag.py", "", 0, TEXT + TYPED[:end], len(TEXT) + end)


def line(completer: Completer, busy: Busy, before_key: Callable[[], None]) -> Times:
    """Type the line once: milliseconds of each key."""
    found = []
    for end in range(1, len(TYPED)):
        before_key()
        due = time.perf_counter() + KEY_S
        time.sleep(KEY_S)
        busy.key = True
        completer.complete(after(end), Deadline())
        found.append((time.perf_counter() - due) * 1e3)
        busy.key = False
    return np.array(found)


def while_indexing(completer: Completer, root: Path) -> tuple[Times, Times]:
    """Milliseconds of each key of the lines typed alone, and of those typed beside the indexing."""
    busy, alone, beside = Busy(), list[Times](), list[Times]()
    busy.held = True
    indexing = Indexing(root, busy)
    line(completer, busy, lambda: None)
    alone.append(line(completer, busy, lambda: None))
    for _ in tqdm(range(LINES), "typing", unit="line", disable=None):
        busy.held = False
        beside.append(line(completer, busy, indexing.go_on))
        busy.held = True
        alone.append(line(completer, busy, lambda: None))
    indexing.stop()
    return np.array(alone), np.array(beside)


def delays(alone: Times, beside: Times) -> dict[str, Any]:
    """How many keys there were, their times, and the differences to the same key alone."""
    usual = np.median(alone, axis=0)
    return {
        "keys": {"alone": alone.size, "beside": beside.size},
        "alone_ms": spread(alone),
        "beside_ms": spread(beside),
        "delay_ms": spread(beside - usual),
        "noise_ms": spread(alone - usual),
    }


def spread(values: Times) -> dict[str, float]:
    """Median and 95th percentile."""
    return {f"p{rank}": round(float(np.percentile(values, rank)), 1) for rank in (50, 95)}


def choices(project: Project) -> Times:
    """Milliseconds that choosing excerpts takes, time after time."""
    times, snapshot = [], after(1)
    for _ in range(QUERIES):
        began = time.perf_counter()
        Context(project, project.index).choose(snapshot, lambda: (0, len(snapshot.text)))
        times.append((time.perf_counter() - began) * 1e3)
    return np.array(times)


def measure(root: Path, model: str) -> dict[str, Any]:
    completer = load_completer(ensure(model, lambda label, done: None), Config(model=model))
    gc.collect()
    release_memory()
    before, busy = resident_mb(), Busy()
    project, seconds = indexed(root, busy)
    release_memory()
    grown = resident_mb() - before
    completer.context = Context(project, project.index)
    said = {"files": len(project.index), "seconds": round(seconds, 1), "mb": round(grown, 1), "step_ms": busy.steps()}
    return said | {"choose_ms": spread(choices(project))} | delays(*while_indexing(completer, root))


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
