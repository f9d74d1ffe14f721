"""Processes that answer one prompt and then wait: the time to load, the memory, and the CPU time of doing nothing.

Both sides are here: the process that is measured, which tells what it took, and the one that starts it.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

import flash_ls
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.engine.onnx_model import default_threads
from flash_ls.local import load_completer
from scripts.bench.peer import PEER, PEER_CONTEXT, Peer

SETTLE_S = 1.0
"""After which a process that has answered counts as idle."""
PROBE = Path(flash_ls.__file__).with_name("session.py")
"""A file that fills a prompt of the default length."""


class Process(NamedTuple):
    """What one process that answered one prompt took."""

    load_s: float
    rss_mb: float
    idle_cpu_s: float
    """In a minute without requests."""


def probe() -> Snapshot:
    """A cursor late in a long file, behind a `return` whose value is still to be written."""
    text = PROBE.read_text(encoding="utf-8")
    cursor = text.index("return ", 2 * len(text) // 3) + len("return ")
    return Snapshot(PROBE.as_uri(), "python", 0, text[:cursor] + text[text.index("\n", cursor) :], cursor)


def resident_mb() -> float:
    """Memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1024
    import psutil  # an extra

    return float(psutil.Process().memory_info().rss) / 2**20


def measure_itself(name: str, folder: Path, gguf: Path | None, idle_s: float) -> Process:
    """Be the process that is measured, and wait `idle_s` in the end; `name` is a precision or the peer."""
    start = time.perf_counter()
    answer = load_answer(name, folder, gguf)
    load_s = time.perf_counter() - start
    answer()
    rss = resident_mb()
    time.sleep(SETTLE_S)
    busy = time.process_time()
    time.sleep(idle_s)
    idle = (time.process_time() - busy) * 60 / idle_s if idle_s else 0.0
    return Process(round(load_s, 3), round(rss, 1), round(idle, 3))


def load_answer(name: str, folder: Path, gguf: Path | None) -> Callable[[], object]:
    """Load a model; the function answers one prompt."""
    if name == PEER and gguf:
        peer = Peer(gguf, list(range(PEER_CONTEXT)), default_threads())
        return lambda: (peer.prefill(Config().prefix_tokens + Config().suffix_tokens), peer.step(1))
    completer = load_completer(folder, Config(precision=name))
    return lambda: completer.complete(probe(), Deadline())


def measure_processes(command: Sequence[str], names: Sequence[str], repeats: int, idle_s: float) -> dict[str, Process]:
    """Medians of `repeats` processes of each name; only the last of each waits idle.

    `command` followed by `--child NAME --idle SECONDS` measures itself and prints a `Process` as a JSON list.
    """
    plan = [(name, idle_s * (number == repeats - 1)) for number in range(repeats) for name in names]
    runs: dict[str, list[Process]] = {name: [] for name in names}
    for name, idle in tqdm(plan, "processes", unit="process", disable=None):
        runs[name].append(measure_process([*command, "--child", name, "--idle", str(idle)]))
    return {name: median_process(taken) for name, taken in runs.items()}


def measure_process(command: Sequence[str]) -> Process:
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return Process(*json.loads(said))


def median_process(runs: Sequence[Process]) -> Process:
    """Medians, but the idle time of the last."""
    load_s, rss_mb = (statistics.median(column) for column in list(zip(*runs, strict=True))[:2])
    return Process(load_s, rss_mb, runs[-1].idle_cpu_s)
