#!/usr/bin/env python3
"""What a team's server gives on this machine: one replica against two, routing against none, and one killed.

    scripts/bench_serve.py FILE [FILE …] [--model NAME] [--precision P] [--prefix 640] [--users 8]
                           [--seconds 20]

Each user types the second half of a file again, four characters at a time, and asks as soon as the last answer is
there, so the server always has all it can do. Each row has other files, as long as there are enough; the server reads
them before the row begins. The users are threads of this process; prompts are made before. A row tells answers and new
tokens a second, the share of the prompts' tokens that a cache had, milliseconds to an answer, and CPU seconds of the
engines, of Ray around them and of the users for each answer. At last a replica is killed after a quarter of the time:
how many requests got no answer, the longest time without any answer to anybody, the longest one request took, and when
there were two replicas again; and a server of one that may have two is asked until it has. The last line of the output
is JSON.
"""

import argparse
import json
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact import store
from flash_ls.completer import DOUBT
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.decode import GenerationParams, GenerationStats
from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import FlashLsError
from flash_ls.prompt import build_prompt
from flash_ls.team.client import TeamEngine
from scripts.replaying.process import cpu_s, proportional_mb
from scripts.report import table
from tests.team.team_process import TeamProcess

CONFIG = Config()
MOST_S = 600.0
GROWS_S = 90.0
"""So long a server may take to start another replica: Serve waits 30 s, lest it is not a passing need."""
STEP = 4
STEPS = 60
LEAST = math.log(CONFIG.min_confidence) - DOUBT
ROWS = ("requests_per_s", "tokens_per_s", "cached_share", "p50_ms", "p95_ms", "p99_ms")
COSTS = ("engine_cpu_s", "ray_cpu_s", "user_cpu_s")

Work = list[tuple[list[int], GenerationParams]]


@dataclass
class Answers:
    """What all users got."""

    at: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    stats: list[GenerationStats] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def figures(self, seconds: float) -> dict[str, Any]:
        p50, p95, p99 = (round(float(np.percentile(self.ms, share)), 1) for share in (50, 95, 99))
        prompt = sum(stats.prompt_tokens for stats in self.stats)
        return {
            "requests": len(self.ms),
            "lost": len(self.errors),
            "requests_per_s": round(len(self.ms) / seconds, 2),
            "tokens_per_s": round(sum(stats.target_steps for stats in self.stats) / seconds, 1),
            "cached_share": round(sum(stats.cached_tokens for stats in self.stats) / prompt, 3),
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
        }


class Users:
    """Threads that ask."""

    def __init__(self, server: TeamProcess, work: Sequence[Work], routed: bool) -> None:
        self.answers = Answers()
        self._server, self._routed = server, routed
        self._end = threading.Event()
        self.ready = threading.Barrier(len(work) + 2)
        self._threads = [threading.Thread(target=self._type, args=(prompts,)) for prompts in work]

    def run(self, seconds: float) -> None:
        """After the first prompts have been read."""
        for thread in self._threads:
            thread.start()
        self.ready.wait()
        time.sleep(seconds)
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _type(self, prompts: Work) -> None:
        engine = self._server.engine()
        self._ask(engine, *prompts[0])
        self.answers = Answers()
        self.ready.wait()
        while not self._end.is_set():
            for prompt, params in prompts:
                if self._end.is_set():
                    return
                if not self._routed:
                    engine._forget()
                self._ask(engine, prompt, params)

    def _ask(self, engine: TeamEngine, prompt: list[int], params: GenerationParams) -> None:
        began = time.perf_counter()
        try:
            answer = engine.generate(prompt, params, Deadline(1000 * MOST_S))
        except FlashLsError as error:
            self.answers.errors.append(str(error))
            return
        self.answers.at.append(time.perf_counter())
        self.answers.ms.append((self.answers.at[-1] - began) * 1e3)
        self.answers.stats.append(answer.stats)


def work_of(path: Path, tokenizer: Tokenizer, described: manifest.ModelManifest, config: Config) -> Work:
    """What is asked while the second half of a file is typed."""
    text = path.read_text(encoding="utf-8")
    middle = text.index("\n", len(text) // 2) + 1
    after = text[middle + STEPS * STEP :]
    found: Work = []
    for cursor in range(middle, middle + STEPS * STEP, STEP):
        prompt = build_prompt(text[:cursor], after, described.prompt, tokenizer, config)
        most = CONFIG.max_line_tokens + prompt.healed_tokens
        stop = frozenset(described.prompt.stop_ids)
        params = GenerationParams(most, stop, prompt.healed, lambda said: "\n" in said, least_likelihood=LEAST)
        found.append((prompt.token_ids, params))
    return found


class Bench:
    """One server after the other."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.model = store.ensure(args.model, lambda label, done: None)
        described = manifest.read(self.model)
        tokenizer = Tokenizer(self.model / TOKENIZER_FILE)
        config = replace(CONFIG, prefix_tokens=args.prefix, suffix_tokens=args.prefix // 4)
        self.work = {path: work_of(path, tokenizer, described, config) for path in args.files}
        self.figures: dict[str, Any] = {}

    def next_work(self, users: int) -> list[Work]:
        """Of the files that were typed least recently."""
        paths = list(self.work)[:users] * users
        self.work = {path: self.work[path] for path in [*list(self.work)[users:], *list(self.work)[:users]]}
        return [self.work[path] for path in paths[:users]]

    @contextmanager
    def server(self, replicas: int, threads: int, most: int = 0) -> Iterator[TeamProcess]:
        options = ["--replicas", str(replicas), "--most-replicas", str(most), "--precision", self.args.precision]
        options += ["--threads", str(threads)]
        options += ["--at-once", str(self.args.users), "--queue", "64", "--cache-mb", str(48 * self.args.users)]
        with tempfile.TemporaryDirectory() as home:
            with suppress(OSError):  # what is known of the machine's speed
                (Path(home) / "tuning").symlink_to(store.home() / "tuning")
            with TeamProcess(Path(home), self.model, options) as server:
                while len(server.replicas()) < replicas:
                    time.sleep(0.2)
                yield server

    def measure(self, name: str, server: TeamProcess, users: int, routed: bool = True) -> None:
        asking = Users(server, self.next_work(users), routed)
        running = threading.Thread(target=asking.run, args=(self.args.seconds,))
        running.start()
        asking.ready.wait()
        before, began = costs(server), time.perf_counter()
        running.join()
        figures = asking.answers.figures(time.perf_counter() - began)
        used = [
            (after - then) / max(1, len(asking.answers.ms)) for after, then in zip(costs(server), before, strict=True)
        ]
        self._note(name, figures | {key: round(value, 4) for key, value in zip(COSTS, used, strict=True)})

    def kill(self, name: str, server: TeamProcess) -> None:
        asking, victim = Users(server, self.next_work(self.args.users), True), min(server.replicas())
        running = threading.Thread(target=asking.run, args=(2 * self.args.seconds,))
        running.start()
        asking.ready.wait()
        time.sleep(self.args.seconds / 2)
        os.kill(victim, signal.SIGKILL)
        killed = time.perf_counter()
        while len(server.replicas() - {victim}) < 2:
            time.sleep(0.1)
        again = time.perf_counter() - killed
        running.join()
        answers = asking.answers
        after = sorted([killed, *(at for at in answers.at if at > killed)])
        figures = answers.figures(2 * self.args.seconds) | {
            "gap_ms": round(max(np.diff(after)) * 1e3),
            "longest_ms": round(max(ms for at, ms in zip(answers.at, answers.ms, strict=True) if at > killed)),
            "two_again_s": round(again, 1),
            "errors": answers.errors[:3],
        }
        self._note(name, figures)

    def grow(self, name: str, server: TeamProcess) -> None:
        asking = Users(server, self.next_work(self.args.users), True)
        running = threading.Thread(target=asking.run, args=(GROWS_S,))
        running.start()
        asking.ready.wait()
        began = time.perf_counter()
        while (alone := len(server.replicas()) < 2) and running.is_alive():
            time.sleep(0.5)
        grown_s = None if alone else round(time.perf_counter() - began, 1)
        running.join()
        self._note(name, asking.answers.figures(GROWS_S) | {"two_after_s": grown_s})

    def _note(self, name: str, figures: dict[str, Any]) -> None:
        self.figures[name] = figures
        print(f"{name}: {json.dumps(figures)}", file=sys.stderr)


def costs(server: TeamProcess) -> tuple[float, float, float]:
    """CPU seconds so far of the engines, of all else of the server, and of this process."""
    engines = ray = 0.0
    for pid in server.processes():
        with suppress(OSError):
            name = Path(f"/proc/{pid}/cmdline").read_text()
            if name.startswith("ray::ServeReplica"):
                engines += cpu_s(pid)
            else:
                ray += cpu_s(pid)
    return engines, ray, time.process_time()


def memory(server: TeamProcess) -> dict[str, int]:
    """Proportional MB of each part."""
    found = {"engines": 0.0, "ray": 0.0}
    for pid in server.processes():
        with suppress(OSError):
            name = Path(f"/proc/{pid}/cmdline").read_text()
            found["engines" if name.startswith("ray::ServeReplica") else "ray"] += proportional_mb(pid)
    return {part: round(mb) for part, mb in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--model", default=CONFIG.model)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--prefix", type=int, default=CONFIG.prefix_tokens, help="tokens before the cursor")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    bench, cores = Bench(args), os.cpu_count() or 1
    with bench.server(1, cores) as server:
        bench.measure("one replica, one user", server, 1)
        bench.measure("one replica", server, args.users)
        bench.figures["memory, one replica"] = memory(server)
    with bench.server(2, max(1, cores // 2)) as server:
        bench.measure("two replicas", server, args.users)
        bench.measure("two replicas, random", server, args.users, routed=False)
        bench.figures["memory, two replicas"] = memory(server)
        bench.kill("two replicas, one killed", server)
    with bench.server(1, max(1, cores // 2), most=2) as server:
        bench.grow("one replica, soon two", server)
    rows = [
        (name, *(row[key] for key in ROWS), *(row.get(key, "") for key in COSTS)) for name, row in shown(bench.figures)
    ]
    print(table([("", *ROWS, *COSTS), *rows]))
    print(json.dumps({"users": args.users, "seconds": args.seconds, "cores": cores} | bench.figures))


def shown(figures: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, row) for name, row in figures.items() if "p50_ms" in row]


if __name__ == "__main__":
    main()
