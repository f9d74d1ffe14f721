"""What a server says of itself to other processes of its user: one small file as long as it runs.

    FOLDER/PID.json     what it says
    FOLDER/PID.lock     locked while it runs, so that a file left by a killed process is known, whatever its number
                        means by now

A folder that cannot be written is tolerated: then nobody learns of the server.
"""

import contextlib
import json
import logging
import os
from pathlib import Path

import filelock

from flash_ls import private_file

_UNUSABLE = (OSError, NotImplementedError, filelock.Timeout)
"""What a lock raises in a folder that cannot be written, or that has no locks, or if another holds it."""

log = logging.getLogger(__name__)


def folder_in(home: Path) -> Path:
    """Where the servers say it that share a home folder."""
    return home / "run"


class Presence:
    """The file of this process, which counts as running as long as this object is kept.

    May be used from several threads, by one at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}.json"
        self._lock = filelock.FileLock(self._path.with_suffix(".lock"), 0.1, 0o600, thread_local=False)
        self._written = ""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            running(folder)  # so that nothing of dead ones stays
            self._lock.acquire()
        except _UNUSABLE as error:
            log.info("no presence", {"error": error})

    def write(self, report: dict[str, object]) -> None:
        """Say this, and `pid`, from now on; costs next to nothing if it was said already."""
        text = json.dumps(report | {"pid": os.getpid()})
        if text == self._written or not self._lock.is_locked:
            return
        with contextlib.suppress(OSError):
            private_file.write(self._path, text)
            self._written = text

    def remove(self) -> None:
        """Say nothing any more; to be called at the end of the process."""
        if self._lock.is_locked:
            _delete(self._path)
            self._lock.release()


def running(folder: Path) -> list[dict[str, object]]:
    """What the processes that run say, by their number. Deletes what dead ones have left."""
    return [report for path in sorted(folder.glob("*.json"), key=_number) if (report := _read(path)) is not None]


def _read(path: Path) -> dict[str, object] | None:
    """What the file says if its process runs, else None."""
    try:
        with filelock.FileLock(path.with_suffix(".lock"), timeout=0):
            _delete(path)
        return None
    except filelock.Timeout:
        pass  # held by the process that runs
    except _UNUSABLE:
        return None
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def _delete(path: Path) -> None:
    """With its lock, which the caller holds."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        private_file.partial(path).unlink(missing_ok=True)
        path.with_suffix(".lock").unlink(missing_ok=True)


def _number(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else 0
