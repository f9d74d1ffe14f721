#!/usr/bin/env python3
"""What goes wrong on purpose, and how soon there is a suggestion again.

    scripts/bench_faults.py [--times 50] [--model NAME] [--only FAULT …]

For each fault, so many times: a real server and its engine process are at work, the fault is injected, and somebody
types on until there is a suggestion. The table tells how many requests got none, how many messages the user has seen,
and the time to the next suggestion; at the end, how many processes are left that should not be. The last line of the
output is JSON.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact import store
from flash_ls.config import Config
from scripts.report import table
from scripts.type_along import OPTIONS, PATIENCE_S
from tests.lsp_client import LspProcess, flash_ls
from tests.typist import Typist

SERVER = flash_ls()
EVERYTHING = {"min_confidence": 0.0, "budget_ms": 4000}
LINE = "    total = price_of(item) * amount_of(item"
LONGEST_S = 1.0
"""Of a request: within it, the moment of a fault is chosen at random."""
LONELY_S = 45.0
MOST_TRIES = 200


@dataclass
class Scene:
    """A home folder of its own with the model in it, one server, and somebody who types."""

    home: Path
    model: Path
    chance: random.Random
    files: int = 0
    messages: int = 0
    server: LspProcess = field(init=False)

    def start(self) -> None:
        self.messages = 0
        self.server = LspProcess(SERVER, timeout_s=PATIENCE_S)
        self.server.initialize(options=OPTIONS | EVERYTHING | {"model": str(self.model)})
        self.server.wait_until(lambda: any("load reason=" in line for line in self.server.log))

    def typist(self) -> Typist:
        """In a new file, which has to be read."""
        self.files += 1
        text = "".join(f"name_{self.files}_{number} = {number}\n" for number in range(20)) + f"def f():\n{LINE}"
        return Typist(self.server, f"file:///f{self.files}.py", text, len(text), "python")

    def engines(self) -> list[int]:
        return [pid for pid in pids() if str(self.home).encode() in read(pid, "environ")]

    def boxes(self) -> int:
        """Messages the user has seen since the last call."""
        before, self.messages = self.messages, len(self.server.heard("window/showMessage"))
        return self.messages - before


def pids() -> list[int]:
    """The engine processes of this machine."""
    numbers = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [number for number in numbers if b"\0flash_ls\0engine\0" in read(number, "cmdline")]


def read(pid: int, name: str) -> bytes:
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / name).read_bytes()
    return b""


def kill(scene: Scene, number: int = signal.SIGKILL) -> None:
    for pid in scene.engines():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def killed_idle(scene: Scene) -> None:
    kill(scene)


def killed_at_work(scene: Scene) -> None:
    """While a prompt is read or an answer is decoded."""
    typist = scene.typist()
    place = typist.place(typist.cursor)
    call = scene.server.start_inline(typist.uri, place["line"], place["character"])
    time.sleep(scene.chance.random() * LONGEST_S)
    kill(scene)
    scene.server.wait(call)


def stuck(scene: Scene) -> None:
    kill(scene, signal.SIGSTOP)


def socket_removed(scene: Scene) -> None:
    """And the server started again, which has to find the process."""
    for path in (scene.home / "run").glob("*.sock"):
        path.unlink()
    scene.server.close()
    scene.start()


def server_killed(scene: Scene) -> None:
    """In the middle of a request."""
    typist = scene.typist()
    place = typist.place(typist.cursor)
    scene.server.start_inline(typist.uri, place["line"], place["character"])
    time.sleep(scene.chance.random() * LONGEST_S)
    scene.server.process.kill()
    scene.start()


def both_suspended(scene: Scene) -> None:
    """As by a machine that sleeps for a moment."""
    stopped = [*scene.engines(), scene.server.process.pid]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(0.2)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


def disk_full(scene: Scene) -> None:
    """No file can grow any more, of the server or what it starts; the engine process dies."""
    os.system(f"prlimit --pid {scene.server.process.pid} --fsize=0")
    kill(scene)


def out_of_memory(scene: Scene) -> None:
    """The engine process gets no more address space."""
    for pid in scene.engines():
        os.system(f"prlimit --pid {pid} --as=1000000")


def model_corrupted(scene: Scene) -> None:
    """The process dies, and the model's file is cut while it is not in use; then it is put back."""
    graph = next(scene.model.glob("*.onnx"))
    whole = graph.read_bytes()
    kill(scene)
    graph.write_bytes(whole[: len(whole) // 2])
    scene.typist().ask()
    graph.write_bytes(whole)


FAULTS: dict[str, Callable[[Scene], None]] = {
    "engine killed, idle": killed_idle,
    "engine killed at work": killed_at_work,
    "engine stuck": stuck,
    "socket removed": socket_removed,
    "disk full": disk_full,
    "model file corrupted": model_corrupted,
    "server killed": server_killed,
    "machine suspended": both_suspended,
    "out of memory": out_of_memory,
}


@dataclass
class Outcome:
    """Of all injections of one fault."""

    missed: list[int] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, float]:
        return {
            "times": len(self.seconds),
            "missed_most": max(self.missed),
            "messages_most": max(self.messages),
            "s_p50": round(statistics.median(self.seconds), 2),
            "s_max": round(max(self.seconds), 2),
        }


def until_suggested(scene: Scene) -> tuple[int, float]:
    """How many requests got nothing before one got something, and after what time. Raises `TimeoutError`."""
    began = time.monotonic()
    for missed in range(MOST_TRIES):
        if scene.typist().ask().prompt_tokens:
            return missed, time.monotonic() - began
        time.sleep(0.1)
    raise TimeoutError("no suggestion any more")


def measure(inject: Callable[[Scene], None], scene: Scene, times: int, name: str) -> Outcome:
    outcome = Outcome()
    scene.start()
    until_suggested(scene)
    for _ in tqdm(range(times), name, disable=None):
        scene.boxes()
        inject(scene)
        missed, seconds = until_suggested(scene)
        outcome.missed.append(missed)
        outcome.seconds.append(seconds)
        outcome.messages.append(scene.boxes())
    scene.server.close()
    return outcome


def orphans(scene: Scene) -> int:
    """Engine processes that stay although nobody needs them."""
    end = time.monotonic() + LONELY_S
    while scene.engines() and time.monotonic() < end:
        time.sleep(0.5)
    return len(scene.engines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--model", default=Config().model, help="a name, or an artifact folder (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    args = parser.parse_args()
    folder = store.ensure(args.model, lambda label, done: None)
    with tempfile.TemporaryDirectory() as scratch:
        home, model = Path(scratch).resolve() / "home", Path(scratch).resolve() / "model"
        shutil.copytree(folder, model)
        os.environ["FLASH_LS_HOME"] = str(home)
        scene = Scene(home, model, random.Random(0))
        said = {name: measure(FAULTS[name], scene, args.times, name).as_json() for name in args.only}
        left = orphans(scene)
    print(table([["fault", *next(iter(said.values()))], *([name, *one.values()] for name, one in said.items())]))
    print(f"processes left: {left}")
    print(json.dumps({"faults": said, "orphans": left}))


if __name__ == "__main__":
    main()
