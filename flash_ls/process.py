"""The process around a server on stdio: stdout for frames alone, the log on stderr, and a prompt end."""

import contextlib
import ctypes
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO, NoReturn

NICENESS = 10
GRACE_S = 2.0
"""How long the end waits for threads to notice that they are not wanted any more."""


def reserve_stdout() -> BinaryIO:
    """Stdout for the caller alone: whatever else prints, C libraries included, prints to stderr from now on."""
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return stdout


def log_to_stderr() -> None:
    """Unless the caller has set up logging already."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def release_memory() -> None:
    """Give memory that was only needed for loading back to the system, where the C library keeps it otherwise."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


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
