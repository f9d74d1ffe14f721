"""Reports of errors nobody expected, kept on this machine for `flash-ls doctor` and for who wants to report one.

    HOME/crashes/TIME-PID.json      one report: versions, settings, where it happened; no code, no values, no folders
    HOME/crashes/PID.dump           empty while the process runs; what it says as it dies in native code, until the
                                    next process makes a report of it

An error that is logged with its traceback is reported, as is one that ends a thread or the process. Whatever becomes
of the files, nothing here raises.
"""

import contextlib
import faulthandler
import json
import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from flash_ls import __version__, private_file, trace
from flash_ls.errors import FlashLsError

KEPT = 5
PACKAGES = ("onnxruntime", "numpy", "tokenizers", "pygls")

log = logging.getLogger(__name__)


class CrashReports(logging.Handler):
    """Those of this process."""

    def __init__(self, home: Path, role: str, facts: Callable[[], Mapping[str, object]]) -> None:
        """`role`: which process it is; `facts`: what else goes into a report, with nothing of the user's in it."""
        super().__init__(logging.ERROR)
        self._folder, self._role, self._facts = _folder(home), role, facts
        self._told: set[tuple[str, ...]] = set()
        self._dump: TextIOWrapper | None = None

    def start(self) -> None:
        """Report from now on whatever happens in this process."""
        logging.getLogger().addHandler(self)
        sys.excepthook = lambda kind, error, _: _log_end("process", error)
        threading.excepthook = lambda args: _log_end("thread", args.exc_value)
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _collect(self._folder)
            path = self._folder / f"{os.getpid()}.dump"
            self._dump = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
            faulthandler.enable(self._dump)

    def end(self) -> None:
        """The process ends as it should."""
        if self._dump is not None:
            faulthandler.disable()
            self._dump.close()
            with contextlib.suppress(OSError):
                (self._folder / f"{os.getpid()}.dump").unlink()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, Exception) or isinstance(error, FlashLsError):
            return
        steps = trace.steps(error)
        if tuple(steps) in self._told:
            return
        self._told.add(tuple(steps))
        _write(self._folder, {"role": self._role, "error": steps[0], "trace": steps, **self._facts()})


def newest(home: Path) -> tuple[Path, dict[str, Any]] | None:
    """The last report of this version and where it is, if there is any."""
    folder = _folder(home)
    with contextlib.suppress(OSError):
        _collect(folder)
    found = ((path, _read(path)) for path in sorted(folder.glob("*.json"), reverse=True))
    return next(((path, report) for path, report in found if report.get("flash-ls") == __version__), None)


def _folder(home: Path) -> Path:
    return home / "crashes"


def _log_end(what: str, error: BaseException | None) -> None:
    if error is not None and not isinstance(error, SystemExit | KeyboardInterrupt):
        log.critical("A %(what)s ended by an error of its own.", {"what": what}, exc_info=error)


def _write(folder: Path, facts: Mapping[str, object]) -> None:
    """Keep a report in the place of the oldest."""
    seconds, rest = divmod(time.time_ns(), 10**9)
    versions = {"flash-ls": __version__, "python": platform.python_version(), "platform": platform.platform()}
    versions |= {one.name: one.version for one in metadata.distributions() if one.name in PACKAGES}
    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(seconds))}-{rest:09}-{os.getpid()}.json"
    with contextlib.suppress(OSError):
        private_file.write(folder / name, json.dumps({"time": seconds, **versions, **facts}, indent=1))
        for old in sorted(folder.glob("*.json"))[:-KEPT]:
            old.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        report = json.loads(path.read_text(encoding="utf-8"))
        return report if isinstance(report, dict) else {}
    return {}


def _collect(folder: Path) -> None:
    """Make reports of what dead processes have left. Raises `OSError`."""
    for path in folder.glob("*.dump"):
        dump = path.read_text(encoding="utf-8", errors="replace")
        if dump:
            steps = trace.native_steps(dump)
            _write(folder, {"role": "native code", "error": dump.split("\n")[0], "trace": steps})
        if dump or not (path.stem.isdecimal() and _runs(int(path.stem))):
            path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Whether there is such a process, as far as the system tells."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
