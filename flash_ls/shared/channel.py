"""Messages over a local connection: a Unix socket, or a named pipe where there are none."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import msgspec

from flash_ls import process
from flash_ls.shared.messages import MOST_BYTES, Message

WINDOWS = sys.platform == "win32"
BACKLOG = 16
SILENCE_S = 0.4
"""So long the process may say nothing before it is asked whether it runs; a thread of its own answers that at once."""
MOST_SILENCES = 50
"""After which it is stuck, though it seems to work: other programs may keep it from the processor or the disk, and
another process would be no better off."""
MOST_RESTS = 2
"""The same for a process that does not even work; one that wakes later than its server after a sleep gets a second."""

In = TypeVar("In")


class Channel(Generic[In]):
    """One end. Any thread may send; one receives."""

    def __init__(self, connection: Connection, decoder: msgspec.msgpack.Decoder[In]) -> None:
        """`decoder`: of what comes in."""
        self._connection = connection
        self._decoder = decoder
        self._encoder = msgspec.msgpack.Encoder()
        self._sending, self._ending = Lock(), Lock()

    def send(self, message: Message) -> None:
        """Raises `OSError` if the other end is gone."""
        data = self._encoder.encode(message)
        with self._sending:
            self._connection.send_bytes(data)

    def receive(self) -> In:
        """The next message. Raises `OSError` or `EOFError` if there is none, `ValueError` if it is not one of ours."""
        try:
            return self._decoder.decode(self._connection.recv_bytes(MOST_BYTES))
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error

    def has_more(self, timeout_s: float) -> bool:
        """Whether `receive` will not block, within the timeout; also if the other end is gone."""
        try:
            return self._connection.poll(timeout_s)
        except OSError:
            return True

    def await_or_kill(self, pid: int) -> None:
        """Have `receive` not block; end the process at the other end if it says nothing, and raise `TimeoutError`.

        Silences are counted, as a clock goes on while this process is stopped.
        """
        rests = 0
        for _ in range(MOST_SILENCES):
            if self.has_more(SILENCE_S):
                return
            rests = rests + 1 if process.rests(pid) else 0
            if rests == MOST_RESTS:
                break
        with contextlib.suppress(OSError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        raise TimeoutError("it does not answer")

    def hang_up(self) -> None:
        """Have both ends notice that it is over. From any thread."""
        with contextlib.suppress(OSError), self._ending:
            if WINDOWS:
                self._connection.close()
            else:
                with socket.socket(fileno=os.dup(self._connection.fileno())) as end:
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """By the thread that receives.

        Not while another one uses the file descriptor: it may be that of another connection from then on.
        """
        self.hang_up()  # ends a message that is being sent
        with contextlib.suppress(OSError), self._sending, self._ending:
            self._connection.close()


def address(folder: Path, name: str) -> str:
    """Where the engine process of this name listens."""
    return rf"\\.\pipe\flash-ls-{name}" if WINDOWS else str(folder / f"{name}.sock")


def listen(folder: Path, name: str) -> Listener:
    """Raises `OSError`. Nobody else may listen there, which the caller sees to. Only this user may connect."""
    where = address(folder, name)
    if WINDOWS:
        return Listener(where, "AF_PIPE", BACKLOG, _new_key(folder, name))
    Path(where).unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        return Listener(where, "AF_UNIX", BACKLOG)
    finally:
        os.umask(before)


def is_known(folder: Path, name: str) -> bool:
    """Whether the address is still there for others to find."""
    return WINDOWS or Path(address(folder, name)).exists()


def withdraw(folder: Path, name: str) -> None:
    """Nobody listens there any more."""
    for suffix in (".sock", ".key"):
        with contextlib.suppress(OSError):
            (folder / f"{name}{suffix}").unlink()


def connect(folder: Path, name: str) -> Connection:
    """Raises `OSError` if none of ours listens there, `EOFError` or `AuthenticationError` if it is not to be for us."""
    key = (folder / f"{name}.key").read_bytes() if WINDOWS else None
    connection = Client(address(folder, name), authkey=key)
    if not is_ours(connection):
        connection.close()
        raise PermissionError("another user's process listens there")
    return connection


def is_ours(connection: Connection) -> bool:
    """Whether the other end is a process of this user, as far as the system tells (SO_PEERCRED, on Linux)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    return _credentials(connection)[1] == os.getuid()


def pid_of(connection: Connection) -> int | None:
    """The process at the other end, as far as the system tells; None also for one that it does not show to us."""
    return _credentials(connection)[0] or None if hasattr(socket, "SO_PEERCRED") else None


def _credentials(connection: Connection) -> tuple[int, int, int]:
    """Process, user, group (unix(7))."""
    with socket.socket(fileno=os.dup(connection.fileno())) as peer:
        said = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", said)


def _new_key(folder: Path, name: str) -> bytes:
    """What a process has to know that connects: only this user can read it."""
    path, key = folder / f"{name}.key", os.urandom(32)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
    return key
