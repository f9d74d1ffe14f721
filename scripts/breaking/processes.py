"""What /proc tells of the processes of a home folder, and how to find the moment for a fault. Linux alone."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_S = 0.002


def of_home(home: Path) -> list[int]:
    """Servers and engine processes, whoever has started them."""
    wanted = f"FLASH_LS_HOME={home}".encode()
    found = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [pid for pid in found if pid != os.getpid() and wanted in read(pid, "environ").split(b"\0")]


def is_engine(pid: int) -> bool:
    return b"\0flash_ls\0engine\0" in read(pid, "cmdline")


def read(pid: int, name: str) -> bytes:
    """Nothing if the process is gone."""
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / name).read_bytes()
    return b""


def ran_ticks(pid: int) -> int:
    """CPU time of all its threads, in clock ticks."""
    fields = read(pid, "stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:13]))


def writes(pid: int) -> int:
    """How often it has written anything: a message for each word that it decodes, none while it reads a prompt."""
    return int(read(pid, "io").partition(b"syscw:")[2].split()[0] or 0)


def address_space(pid: int) -> int:
    """Bytes."""
    return int(read(pid, "statm").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def tell(pids: list[int], number: int) -> None:
    """Send a signal to those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stopped_when(pid: int, is_moment: Callable[[], bool], patience_s: float) -> bool:
    """Stop the process at the moment that is waited for; False, and it runs on, if that does not come."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if is_moment():
            tell([pid], signal.SIGSTOP)
            if is_moment():
                return True
            tell([pid], signal.SIGCONT)
        time.sleep(POLL_S)
    return False


def gone(pids: list[int], patience_s: float) -> bool:
    """Whether they end in time. What a dead parent has not awaited counts as ended."""
    end = time.monotonic() + patience_s
    while any(_lives(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(_lives(pid) for pid in pids)


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """For what is started in the block."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _lives(pid: int) -> bool:
    return read(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"])
