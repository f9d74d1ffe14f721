"""The process around a server on stdio: stdout for frames alone, signals to end it, and a prompt end."""

import contextlib
import ctypes
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

NICENESS = 10
GRACE_S = 2.0
"""How long the end waits for threads to notice that they are not wanted any more."""

LARGE_BYTES = 1 << 20
HUGE_PAGE = 2 << 20
MADV_DONTNEED, MADV_COLLAPSE = 4, 25
"""Of sys/mman.h."""
OWN_MEMORY = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\])?\nSize: +(\d+) kB\n(?s:.)*?^Rss: +(\d+) kB$", re.MULTILINE
)
MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ +(/.*)\n((?:\w+: .*\n)+)", re.MULTILINE)
NOTHING_WRITTEN = re.compile(r"^Anonymous: +0 kB$(?s:.*)^Swap: +0 kB$", re.MULTILINE)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of malloc.h."""


def reserve_stdout() -> BinaryIO:
    """Stdout for the caller alone: whatever else prints, C libraries included, prints to stderr from now on."""
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return stdout


def call_on_signal(end: Callable[[int], object]) -> None:
    """Have `end` called with the exit code, in the main thread, when the process is told to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: end(128 + number))


def keep_no_memory() -> None:
    """Have large pieces of memory go back to the system when they are freed.

    The GNU C library raises the size of what it gives back as it meets larger ones, in each thread's arena for itself
    (mallopt(3)).
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
                ctypes.CDLL("libc.so.6").mallopt(parameter, LARGE_BYTES)


def release_memory() -> None:
    """Give memory that was only needed for loading back to the system, where the C library keeps it otherwise."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def forget_mapped(file: Path) -> None:
    """Take a mapped file out of this process's memory until it is read again, but for what was written to.

    See madvise(2).
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # /proc is not there, or another C library than glibc
            advise = ctypes.CDLL("libc.so.6").madvise
            for start, end in _unwritten(file.resolve()):
                advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)


def _unwritten(file: Path) -> list[tuple[int, int]]:
    """Addresses of the mappings of `file` of which no page is a copy of its own (proc_pid_smaps(5))."""
    mappings = MAPPING.findall(Path("/proc/self/smaps").read_text(encoding="utf-8", errors="surrogateescape"))
    return [
        (int(start, 16), int(end, 16))
        for start, end, name, fields in mappings
        if name == str(file) and NOTHING_WRITTEN.search(fields)
    ]


def use_huge_pages() -> None:
    """Have the large pieces of memory that are in use now lie in pages of 2 MB, where the system has such.

    A pass reads all weights: in pages of 4 kB it looks up the address of each anew. See madvise(2), `MADV_COLLAPSE`
    (Linux 6.1). It takes 0.1 to 0.8 s for 400 MB, and no memory besides.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # /proc is not there, or another C library than glibc
            advise = ctypes.CDLL("libc.so.6").madvise
            for start, end in _in_use():
                first, behind = -(-start // HUGE_PAGE) * HUGE_PAGE, end // HUGE_PAGE * HUGE_PAGE
                if first < behind:
                    advise(ctypes.c_void_p(first), ctypes.c_size_t(behind - first), MADV_COLLAPSE)


def _in_use() -> list[tuple[int, int]]:
    """Addresses of the mappings of no file of which nearly every page is in memory."""
    mappings = OWN_MEMORY.findall(Path("/proc/self/smaps").read_text(encoding="utf-8", errors="surrogateescape"))
    return [(int(start, 16), int(end, 16)) for start, end, size, held in mappings if int(held) >= 0.9 * int(size)]


def rests(pid: int) -> bool:
    """Whether no thread of a process runs or waits for the disk, as far as the system tells (proc_pid_stat(5))."""
    states = set()
    with contextlib.suppress(OSError):  # a thread has ended
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            states.add(stat.read_bytes().rpartition(b")")[2].split()[0])
    return bool(states) and not states & {b"R", b"D"}


def give_way() -> None:
    """Let the other processes of the machine go first, where the system knows how."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def end(exit_code: int, join: Callable[[], None]) -> NoReturn:
    """End the process once `join` returns, or soon: a thread inside a model, or blocked on stdin, may never do."""
    joining = threading.Thread(target=join, daemon=True)
    joining.start()
    joining.join(GRACE_S)
    os._exit(exit_code)
