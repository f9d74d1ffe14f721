"""What the system tells of processes, and how memory goes back to it."""

import mmap
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flash_ls import process
from tests.mapped import resident_kb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells that")
ROOT = Path(__file__).resolve().parents[1]
WAIT_S = 20.0
HUGE = """
import mmap, random, re, sys
from pathlib import Path
from flash_ls import process

def kept_kb(name):
    return int(re.search(rf"^{name}: +(\\d+)", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)[1])

pages, size, share = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), 2 << 20, float(sys.argv[1])
written = random.Random(3).randbytes(int(share * size))
places = range(0, len(pages), size)
for place in places:
    pages[place : place + len(written)] = written
before = kept_kb("Rss")
process.use_huge_pages()
print(kept_kb("AnonHugePages"), kept_kb("Rss") - before)
assert all(pages[place : place + len(written)] == written for place in places)
"""
"""In a process of its own, as what lies side by side counts as one piece."""
CACHES = """
import random, sys, threading
import numpy as np
from pathlib import Path
from flash_ls import process

if sys.argv[1:]:
    process.keep_no_memory()
slots, lock = [], threading.Lock()

def resident_mb():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) >> 10

def work(chance):
    for _ in range(20):
        states, rows = [np.zeros((1, 2, 4096, 64), np.float32) for _ in range(16)], chance.randrange(100, 1000)
        for state in states:
            state[:, :, :rows] = 1
        with lock:
            slots.append((rows, states))
            del slots[: -8 if chance.random() < 0.5 else -6]

before = resident_mb()
threads = [threading.Thread(target=work, args=(random.Random(seed),)) for seed in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print((resident_mb() - before) / (sum(rows for rows, _ in slots) * 16 * 2 * 64 * 4 / 2**20))
"""
"""Caches that are taken and given up by several threads; what all take at the end, as a multiple of what is in use."""


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_process_that_waits_rests() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        until(lambda: process.rests(child.pid))
        child.kill()


def test_a_process_at_work_does_not_rest_until_it_is_stopped() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        assert not any(process.rests(child.pid) for _ in range(20))
        os.kill(child.pid, signal.SIGSTOP)
        until(lambda: process.rests(child.pid))
        child.kill()


def test_a_process_that_is_gone_does_not_rest() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert not process.rests(child.pid)


RUNS = {
    "the engine process": "from flash_ls.shared.main import run; run(home, home, {})",
    "a server": "from flash_ls.config import Config; from flash_ls.server import serve; "
    "serve(lambda config, progress: None, home, Config())",
}


@pytest.mark.parametrize("what", RUNS)
def test_what_has_caches_keeps_no_memory(what: str, tmp_path: Path) -> None:
    code = (
        f"from flash_ls import process; process.keep_no_memory = lambda: print('called', file=sys.stderr); {RUNS[what]}"
    )
    code = f"import sys; from pathlib import Path; home = Path(sys.argv[1]); {code}"
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=WAIT_S)
    assert b"called" in done.stderr


def test_caches_take_what_is_in_use() -> None:
    taken = [
        float(subprocess.run([sys.executable, "-c", CACHES, *mode], cwd=ROOT, capture_output=True, check=True).stdout)
        for mode in ([], ["keep none"])
    ]
    assert taken[1] < 2 < taken[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Of 4 MB, and a name that is a part of another's."""
    for name in ("weights", "weights.old"):
        (tmp_path / name).write_bytes(bytes(range(256)) * (PAGES * 16))
    return tmp_path / "weights"


PAGES = 1024


def mapped(file: Path) -> mmap.mmap:
    """Its pages, read, and one's own as soon as they are written to."""
    with file.open("rb") as stream:
        pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    assert hash(pages[:])
    return pages


def test_a_mapped_file_leaves_memory_and_can_be_read_again(file: Path) -> None:
    with mapped(file) as pages, mapped(file.with_suffix(".old")):
        assert resident_kb(file) == resident_kb(file.with_suffix(".old")) == 4 * PAGES
        process.forget_mapped(file)
        assert resident_kb(file) == 0
        assert resident_kb(file.with_suffix(".old")) == 4 * PAGES
        assert pages[:] == file.read_bytes()


def test_what_was_written_into_a_mapped_file_stays(file: Path) -> None:
    with mapped(file) as pages:
        pages[5000] = 7
        process.forget_mapped(file)
        assert pages[5000] == 7


def test_a_file_that_is_not_mapped_is_none_to_forget(file: Path, tmp_path: Path) -> None:
    with mapped(file):
        process.forget_mapped(tmp_path / "weigh")
        assert resident_kb(file) == 4 * PAGES


def huge_pages(share: float) -> list[int]:
    """How many kB of 64 MB, of each page of which a share was written, are in huge ones then, and how many it took."""
    command = [sys.executable, "-c", HUGE, str(share)]
    return [int(kb) for kb in subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.split()]


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists()
    or tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < (6, 1),
    reason="a system without huge pages, or too old to make them of what is there",
)
def test_what_is_in_use_lies_in_huge_pages_and_is_the_same() -> None:
    huge, more = huge_pages(1.0)
    assert huge > 60 << 10
    assert more < 1 << 10


def test_what_was_not_written_takes_no_memory_for_huge_pages() -> None:
    _, more = huge_pages(0.3)
    assert more < 1 << 10
