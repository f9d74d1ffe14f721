"""A group of processes that may take next to no more memory, as Linux offers it to root (cgroups, versions 1 and 2)."""

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
LIMITS = ("memory/memory.limit_in_bytes", "memory.max")
"""By version, below the root."""
ALLOWED = 1 << 20
"""Bytes that its processes may take after they have joined it: what they had before does not count."""


class MemoryGroup:
    """Raises `OSError` if there can be none here."""

    def __init__(self) -> None:
        limits = [ROOT / name for name in LIMITS]
        parent = next((limit.parent for limit in limits if limit.parent.joinpath("cgroup.procs").exists()), ROOT)
        self._folder = parent / f"flash-ls-{os.getpid()}"
        self._folder.mkdir()
        name = next(limit.name for limit in limits if (self._folder / limit.name).exists())
        (self._folder / name).write_text(str(ALLOWED))

    def add(self, pid: int) -> None:
        (self._folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Once its processes have ended."""
        self._folder.rmdir()
