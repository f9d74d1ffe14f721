"""How a server finds the engine process of a model, or starts it, so that there is one for all servers of a user.

    FOLDER/NAME.lock    held by the process as long as it runs
    FOLDER/NAME.sock    where it listens
    FOLDER/NAME.log     what it logs: nothing of anybody's code

Processes of different models, settings or versions have different names.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from flash_ls import __version__, private_file
from flash_ls.config import Config
from flash_ls.errors import ModelError
from flash_ls.shared import messages
from flash_ls.shared.channel import Channel, connect, pid_of

TAKEN = 75
"""The status of a process that ends because another has its name (EX_TEMPFAIL)."""
START_S = 180.0
"""So long a process may take until it listens; a first one measures the machine."""
MOST_STARTS = 3
"""For one request."""
REFUSED = 78
"""The status of a process that has said why it cannot run (EX_CONFIG)."""
LOOK_S = 0.02
LONGEST_PATH = 100
"""Bytes; a socket's may be hardly longer."""
_NOBODY = (OSError, EOFError, ValueError, AuthenticationError)
"""What is raised where no process listens, or one that is about to end."""
_DETACHED: dict[str, Any] = {"creationflags": 0x00000208} if sys.platform == "win32" else {"start_new_session": True}
"""It outlives the server that starts it (DETACHED_PROCESS, CREATE_NEW_PROCESS_GROUP)."""


class Meeting(NamedTuple):
    """Where a process and its servers find each other."""

    folder: Path
    name: str

    @property
    def is_private(self) -> bool:
        """Whether the folder is there, after this, and nobody else may see or put anything in it."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.folder.lstat()  # not of what somebody else's link leads to
        except OSError:
            return False
        private = status.st_uid == os.getuid() and not status.st_mode & 0o077 if hasattr(os, "getuid") else True
        return private and stat.S_ISDIR(status.st_mode) and os.access(self.folder, os.W_OK)


def meeting(home: Path, model: Path, revision: str, config: Config) -> Meeting:
    """Of the servers that want the same model run in the same way."""
    wanted = [__version__, messages.VERSION, str(model.resolve()), revision]
    settings = [config.precision, config.threads, config.cache_mb]
    name = f"engine-{hashlib.sha256(json.dumps([*wanted, *settings]).encode()).hexdigest()[:16]}"
    return Meeting(_folder(home, name), name)


def _folder(home: Path, name: str) -> Path:
    """Of the home folder, or where that is too long for a socket, a private one of the user's."""
    folder = home / "run"
    if len(os.fsencode(folder / f"{name}.sock")) <= LONGEST_PATH:
        return folder
    of_home = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"flash-ls-{_user()}-{of_home}"


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


class Launch:
    """Connects one server, whatever becomes of the processes it connects to."""

    def __init__(self, meeting: Meeting, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """`command` runs the process, with more `environment`; if it cannot, it prints a line that says why."""
        self._meeting = meeting
        self._environment = environment
        self._command = command
        self._process: subprocess.Popen[str] | None = None

    def connect(self, check: Callable[[], object]) -> tuple[Channel[messages.ToServer], messages.Hello]:
        """Raises `ModelError` if the process cannot start, and what `check` raises; it then goes on starting."""
        end, starts = time.monotonic() + START_S, 0
        while time.monotonic() < end and starts <= MOST_STARTS:
            check()
            with contextlib.suppress(*_NOBODY):
                return self._greeted()
            starts += self._ensure_started()
            time.sleep(LOOK_S)
        raise ModelError(f"The model's process does not start; look into its log {self._log}.")

    @property
    def _log(self) -> Path:
        return self._meeting.folder / f"{self._meeting.name}.log"

    def _greeted(self) -> tuple[Channel[messages.ToServer], messages.Hello]:
        connection = connect(*self._meeting)
        channel = Channel(connection, messages.TO_SERVER)
        try:
            if pid := pid_of(connection):
                channel.await_or_kill(pid)  # or it may be stuck for ever
            hello = channel.receive()
            if not isinstance(hello, messages.Hello):
                raise ValueError("no greeting")
            return channel, hello
        except BaseException:
            channel.close()
            raise

    def _ensure_started(self) -> bool:
        """Start a process unless one is starting. Raises `ModelError` if the last one said why it could not."""
        if self._process is not None and self._process.poll() is None:
            return False
        ended, self._process = self._process, None
        if ended is not None and ended.returncode == REFUSED and ended.stdout is not None:
            raise ModelError(ended.stdout.readline().strip())
        if self._is_taken():
            return False
        self._process = self._start()
        return True

    def _is_taken(self) -> bool:
        """Whether a process has the name, which may not listen yet."""
        try:
            with filelock.FileLock(self._meeting.folder / f"{self._meeting.name}.lock", timeout=0, mode=0o600):
                return False
        except filelock.Timeout:
            return True
        except (OSError, NotImplementedError):
            return False  # it is said when the process starts

    def _start(self) -> subprocess.Popen[str]:
        """Raises `ModelError`."""
        out, none = subprocess.PIPE, subprocess.DEVNULL
        try:
            with private_file.begin(self._log) as log:
                return subprocess.Popen(
                    self._command,
                    cwd=self._meeting.folder,
                    env=os.environ | self._environment,
                    stdin=none,
                    stdout=out,
                    stderr=log,
                    text=True,
                    **_DETACHED,
                )
        except OSError as error:
            raise ModelError(
                f"The model's process cannot be started ({error}); try `flash-ls --in-process`."
            ) from error
