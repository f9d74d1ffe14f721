#!/usr/bin/env python3
"""Sends the server what no client should send, and what any client may, and holds its documents against a client's.

    scripts/fuzz.py [--messages 100000] [--seed 0] [--minutes M] [--only KIND …] [--replay FILE]

Of the messages, most are edit sequences and mutated messages to a server in this process, some go to real processes
over stdio, some are drawn by Hypothesis and some by Atheris, which is guided by coverage (extra `fuzz`). Frames to the
engine process and inputs of parsers come on top. The first case of a kind that fails ends that kind; it is made small
and written to a file, which --replay runs. The last line of the output is JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.fuzzing import cases, channel, drawn, finding, parsers
from scripts.fuzzing.finding import Finding, Steps, fault_of, smallest
from scripts.fuzzing.pipe import Processes
from scripts.fuzzing.session import Runner

SHARES = {"processes": 0.01, "guided": 0.04, "hypothesis": 0.03, "streams": 0.15, "messages": 0.25, "edits": 0.52}
"""Of the messages."""
EXTRA = {"channel": 0.02, "parsers": 0.01}
"""Frames and inputs, for each message."""
EXAMPLE = 35
"""Messages of one that Hypothesis draws, about."""
GUIDED_TOGETHER = 9
"""Messages of one input of Atheris, about."""


class Runs(Protocol):
    """Who runs the steps of a case."""

    def run(self, steps: Steps) -> None:
        """Raises what is wrong."""


@dataclass
class Tally:
    """How one kind went."""

    messages: int = 0
    cases: int = 0
    seconds: float = 0.0
    crashes: int = 0
    hangs: int = 0
    differing: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, error: BaseException, path: Path) -> None:
        kind = getattr(error, "kind", "crashes")
        setattr(self, kind, getattr(self, kind) + 1)
        self.findings.append(str(path))


@dataclass
class Fuzz:
    """One run of all kinds."""

    seed: int
    end: float
    folder: Path
    """Where findings are written."""
    home: Path

    def kind(self, name: str, messages: int) -> Tally:
        tally, began = Tally(), time.monotonic()
        if name == "hypothesis":
            self._drawn(tally, messages)
        elif name == "guided":
            self._guided(tally, messages)
        else:
            self._random(name, tally, messages)
        tally.seconds = round(time.monotonic() - began, 1)
        return tally

    def _random(self, name: str, tally: Tally, messages: int) -> None:
        make, new = KINDS[name]
        runner = new(self.home)
        with tqdm(total=messages, desc=name, unit=" messages", mininterval=5) as bar:
            while tally.messages < messages and time.monotonic() < self.end:
                steps = make(Random(f"{self.seed} {name} {tally.cases}"))
                count = cases.messages_in(steps)
                tally.cases += 1
                tally.messages += count
                bar.update(count)
                if error := fault_of(runner.run, steps):
                    self._found(name, tally, runner, steps, error)
                    return

    def _found(self, name: str, tally: Tally, runner: Runs, steps: Steps, error: BaseException) -> None:
        small = smallest(runner.run, steps) if name != "processes" else steps
        found = Finding(name, type(error).__name__, str(fault_of(runner.run, small) or error), small)
        path = found.write(self.folder)
        tally.add(error, path)
        print(f"\n{name}: {found.fault}: {found.text}\n{json.dumps(small)[:2000]}\nscripts/fuzz.py --replay {path}")

    def _drawn(self, tally: Tally, messages: int) -> None:
        runner, last = Runner(self.home), Steps()

        def run(steps: Steps) -> None:
            nonlocal last
            last = steps
            tally.cases += 1
            tally.messages += cases.messages_in(steps)
            bar.update(cases.messages_in(steps))
            runner.run(steps)

        with tqdm(total=messages, desc="hypothesis", unit=" messages", mininterval=5) as bar:
            while tally.messages < messages and time.monotonic() < self.end:
                examples = max(1, (messages - tally.messages) // EXAMPLE)
                try:
                    drawn.search(run, min(examples, 500), self.seed + tally.cases)
                except Exception as error:
                    self._found("hypothesis", tally, runner, last, error)
                    return

    def _guided(self, tally: Tally, messages: int) -> None:
        """In a process of its own, which libFuzzer ends."""
        runs, result = messages // GUIDED_TOGETHER, self.home / "guided.json"
        (self.home / "corpus").mkdir(exist_ok=True)
        arguments = [str(result), str(runs), str(self.seed + 1), str(self.home / "corpus")]
        limit = max(1.0, self.end - time.monotonic())
        try:
            done = subprocess.run(
                [sys.executable, "-m", "scripts.fuzzing.guided", *arguments],
                cwd=ROOT,
                capture_output=True,
                timeout=limit,
            )
            tail = done.stderr.decode(errors="replace")[-2000:]
        except subprocess.TimeoutExpired:
            done, tail = None, ""
        told: dict[str, Any] = (
            json.loads(result.read_text()) if result.exists() else {"messages": 0, "inputs": 0, "finding": None}
        )
        tally.messages, tally.cases = told["messages"], told["inputs"]
        if told["finding"]:
            path = Finding(**told["finding"]).write(self.folder)
            tally.add(finding.Fault(told["finding"]["text"]), path)
            print(f"\nguided: {told['finding']['text']}\nscripts/fuzz.py --replay {path}")
        elif done and done.returncode:
            print(tail)
            tally.findings.append(tail[-300:])
            tally.crashes += "No module named" not in tail


KINDS: dict[str, tuple[Callable[[Random], Steps], Callable[[Path], Runs]]] = {
    "edits": (cases.edit_case, Runner),
    "messages": (cases.message_case, Runner),
    "streams": (cases.stream_case, Runner),
    "processes": (cases.stream_case, Processes),
    "channel": (channel.case, channel.Engines),
    "parsers": (parsers.case, parsers.Parsers),
    "hypothesis": (cases.edit_case, Runner),
}


def replay(path: Path, home: Path) -> int:
    """Run a finding again; whether it still is one."""
    found = finding.read(path)
    error = fault_of(KINDS[found.kind][1](home).run, found.steps)
    print(f"{type(error).__name__}: {error}" if error else "nothing is wrong any more")
    return int(error is not None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", nargs="+", choices=(*SHARES, *EXTRA), default=(*SHARES, *EXTRA))
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--replay", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        if args.replay:
            return replay(args.replay, Path(home))
        shares = {name: share for name, share in (EXTRA | SHARES).items() if name in args.only}
        fuzz = Fuzz(args.seed, time.monotonic() + 60 * args.minutes, args.findings, Path(home))
        tallies = {name: fuzz.kind(name, max(1, round(args.messages * share))) for name, share in shares.items()}
    print(json.dumps(summary(tallies, args.seed)))
    return int(any(tally.findings for tally in tallies.values()))


def summary(tallies: dict[str, Tally], seed: int) -> dict[str, object]:
    """The sums over the kinds of messages, and each kind."""
    sums = {key: sum(getattr(tally, key) for tally in tallies.values()) for key in ("crashes", "hangs", "differing")}
    sent = [tally for name, tally in tallies.items() if name in SHARES]
    messages, seconds = sum(tally.messages for tally in sent), sum(tally.seconds for tally in sent)
    kinds = {name: asdict(tally) for name, tally in tallies.items()}
    rate = round(messages / max(seconds, 0.1))
    return {"seed": seed, "messages": messages, "messages_per_s": rate, **sums, "kinds": kinds}


if __name__ == "__main__":
    sys.exit(main())
