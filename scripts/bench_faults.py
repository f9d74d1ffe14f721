#!/usr/bin/env python3
"""What goes wrong on purpose, and how soon there is a suggestion again. Linux, as root.

    scripts/bench_faults.py [--times 50] [--model NAME] [--only FAULT …] [--json FILE]

For each fault, so many times: a real server and its engine process are at work, the fault is injected
(scripts/breaking/faults.py), and somebody types on until there is a suggestion. The table tells, of all injections:

missed: requests that got none, at most. messages: how many the user has seen. reasons: what the status said of
requests that got none. s: time from the fault, or from its end where nothing can work before, to the next suggestion.
lost: how often the server's text was not the client's after that. engines: how many processes had the model, at most.

left: processes and files that are there once nobody is connected any more.

With --json the result is added to those of earlier runs in the file, and the table is of all. The last line of the
output is JSON.
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
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact import store
from flash_ls.config import Config
from scripts.breaking import processes
from scripts.breaking.faults import FAULTS, Fault, clock_jumped, disk_full
from scripts.breaking.scene import Scene
from scripts.breaking.wall_clock import WallClock
from scripts.report import table

EXPECTED = {"loading", "ready", "thinking", "shown", "typed through", "superseded", "unsound", "empty", "done"}
LONELY_S = 45.0
KEPT = {".lock", ".log"}
"""Empty, or errors alone: for the next process of the name."""


@dataclass
class Outcome:
    """Of all injections of one fault."""

    missed: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    lost: int = 0
    engines: int = 0
    left: list[str] = field(default_factory=list)

    def row(self) -> dict[str, str]:
        """What the table tells."""
        counts = {"times": len(self.seconds), "missed": max(self.missed), "messages": len(self.messages)}
        times = {"s_p50": f"{statistics.median(self.seconds):.2f}", "s_max": f"{max(self.seconds):.2f}"}
        rest = {"lost": self.lost, "engines": self.engines, "left": len(self.left)}
        told = {"reasons": ", ".join(sorted(set(self.reasons)))}
        return {name: str(value) for name, value in {**counts, **told, **times, **rest}.items()}


def measure(inject: Fault, scene: Scene, times: int, name: str, outcome: Outcome) -> Iterator[None]:
    """After each injection there is something to keep. Raises `TimeoutError` if there is no suggestion any more."""
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
        outcome.seconds.append(round(seconds, 3))
        outcome.messages += messages
        outcome.reasons += set(reasons) - EXPECTED
        outcome.lost += not scene.is_same()
        outcome.engines = max(outcome.engines, len(scene.engines()))
        yield
    scene.server.close()


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
    home.mkdir(parents=True)
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


def run(args: argparse.Namespace, said: dict[str, Outcome]) -> None:
    """All faults, each in a home of its own; what is left is looked for at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        model = shutil.copytree(store.ensure(args.model, lambda label, done: None), folder / "model")
        homes = {}
        for number, name in enumerate(args.only):
            scene = stack.enter_context(scene_of(FAULTS[name], folder / str(number), model))
            homes[name] = scene.home
            outcome = said.setdefault(name, Outcome())
            for _ in measure(FAULTS[name], scene, args.times, name, outcome):
                keep(args.json, said)
        for name, home in homes.items():
            said[name].left += left(home)
        keep(args.json, said)


def keep(path: Path | None, said: dict[str, Outcome]) -> None:
    if path:
        path.write_text(json.dumps({name: asdict(one) for name, one in said.items()}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="0: show the file (default: %(default)s)")
    parser.add_argument("--model", default=Config().model, help="a name, or an artifact folder (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    known = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    said = {name: Outcome(**one) for name, one in known.items()}
    if args.times:
        run(args, said)
    rows = {name: one.row() for name, one in said.items()}
    print(table([["fault", *next(iter(rows.values()))], *([name, *row.values()] for name, row in rows.items())]))
    for name, one in said.items():
        print("\n".join(f"{name}: {what}" for what in {*one.messages, *(f"left: {thing}" for thing in one.left)}))
    print(json.dumps({"faults": rows}))


if __name__ == "__main__":
    main()
