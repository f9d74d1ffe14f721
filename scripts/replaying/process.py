"""What a process takes: CPU time and memory, from /proc or by psutil."""

import os
from pathlib import Path


def cpu_s(pid: int) -> float:
    """User and system time so far."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    import psutil  # an extra

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident now, and at most so far; where that is not known, now."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        text = status.read_text()
        now, peak = (int(text.partition(f"{name}:")[2].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return now, peak
    import psutil  # an extra

    resident = float(psutil.Process(pid).memory_info().rss) / 2**20
    return resident, resident


def open_files(pid: int) -> int:
    """Linux alone tells that."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads(pid: int) -> int:
    """Linux alone tells that."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def proportional_mb(pid: int) -> float:
    """Resident, with what is shared divided among those who share it. Linux alone tells that."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.partition("Pss:")[2].split()[0]) / 1024
