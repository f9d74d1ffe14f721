#!/usr/bin/env python3
"""What goes wrong on purpose, and how soon there is a suggestion again. Linux, as root.

    scripts/bench_faults.py [--times 50] [--model NAME] [--only FAULT …] [--json FILE]

For each fault, so many times: a real server and its engine process are at work, the fault is injected
(scripts/breaking/faults.py), and somebody types on until there is a suggestion. The table tells, of all injections:

missed: requests that got none, at most. messages: how many the user has seen. reasons: what the status said of
requests that got none. s: time from the fault, or from its end where nothing can work before, to the next suggestion.
lost: how often the server's text was not the client's after that. engines: how many processes had the model, at most.

With --json the result is added to those of earlier runs in the file, and the table is of all. In the end, what is left
of processes and files once nobody is connected. The last line of the output is JSON.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact import store
from flash_ls.config import Config
from scripts.breaking import processes
from scripts.breaking.faults import FAULTS, Fault, clock_jumped, disk_full
from scripts.breaking.scene import Scene
from scripts.breaking.wall_clock import WallClock
from scripts.report import table

LONELY_S = 45.0
KEPT = {".lock", ".log"}
"""Empty, or errors alone: for the next process of the name."""


@dataclass
class Outcome:
    """Of all injections of one fault."""

    missed: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    lost: int = 0
    engines: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "times": len(self.seconds),
            "missed": max(self.missed),
            "messages": len(self.messages),
            "reasons": ", ".join(sorted(self.reasons)),
            "s_p50": round(statistics.median(self.seconds), 2),
            "s_max": round(max(self.seconds), 2),
            "lost": self.lost,
            "engines": self.engines,
            "said": sorted(set(self.messages)),
        }


def measure(inject: Fault, scene: Scene, times: int, name: str) -> Outcome:
    """Raises `TimeoutError` if there is no suggestion any more."""
    outcome = Outcome()
    scene.start()
    scene.until_suggested()
    for _ in tqdm(range(times), name, disable=None):
        scene.heard()
        inject(scene)
        missed, seconds = scene.until_suggested()
        scene.undo()
        scene.undo = lambda: None
        messages, reasons = scene.heard()
        outcome.missed.append(missed)
        outcome.seconds.append(seconds)
        outcome.messages += messages
        outcome.reasons |= set(reasons) - {"ready", "thinking", "shown", "typed through", "superseded"}
        outcome.lost += not scene.is_same()
        outcome.engines = max(outcome.engines, len(scene.engines()))
    scene.server.close()
    return outcome


def left(home: Path) -> list[str]:
    """Processes and files that stay although nobody needs them."""
    end = time.monotonic() + LONELY_S
    while processes.of_home(home) and time.monotonic() < end:
        time.sleep(0.5)
    alive = [f"process {pid}" for pid in processes.of_home(home)]
    return alive + [path.name for path in (home / "run").iterdir() if path.suffix not in KEPT]


@contextmanager
def scene_of(fault: Fault, folder: Path, model: Path) -> Iterator[Scene]:
    """A home for one fault. Raises `OSError` and `SubprocessError` if it cannot be had here."""
    home = folder / "home"
    home.mkdir()
    with ExitStack() as stack:
        if fault is disk_full:
            stack.enter_context(small_disk(home))
        shutil.copytree(store.home() / "tuning", home / "tuning", dirs_exist_ok=True)  # measured once on each machine
        stack.callback(lambda: processes.tell(processes.of_home(home), 9))
        yield Scene(home, model, random.Random(0), WallClock(folder) if fault is clock_jumped else None)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own for a folder."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def run(name: str, args: argparse.Namespace, model: Path) -> dict[str, Any]:
    """One fault, in a home of its own."""
    with tempfile.TemporaryDirectory() as folder, scene_of(FAULTS[name], Path(folder).resolve(), model) as scene:
        said = measure(FAULTS[name], scene, args.times, name).as_json()
        return said | {"left": left(scene.home)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--model", default=Config().model, help="a name, or an artifact folder (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    said = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        model = shutil.copytree(store.ensure(args.model, lambda label, done: None), Path(folder).resolve() / "model")
        for name in args.only:
            said[name] = run(name, args, model)
            if args.json:
                args.json.write_text(json.dumps(said, indent=1))
    rows = [{key: str(value) for key, value in one.items() if key not in ("said", "left")} for one in said.values()]
    print(table([["fault", *rows[0]], *([name, *row.values()] for name, row in zip(said, rows, strict=True))]))
    for name, one in said.items():
        print("\n".join(f"{name}: {what}" for what in [*one["said"], *(f"left: {thing}" for thing in one["left"])]))
    print(json.dumps({"faults": said}))


if __name__ == "__main__":
    main()
