"""The one thread that loads a model, and how to stop it. Knows nothing of models or the protocol."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from flash_ls.config import Config
from flash_ls.deadline import Deadline, Progress

T = TypeVar("T")
Loader = Callable[[Config, Progress], T]

SHOW_INTERVAL_S = 0.1


class Loading(Generic[T]):
    """At most one load that is wanted at a time."""

    def __init__(self, load: Loader[T]) -> None:
        self._load = load
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader")
        self._wanted = Deadline()

    async def run(self, config: Config, show: Progress) -> T:
        """Load a model instead of any other that is loading; `show` is called in the event loop, not too often.

        Raises what the loader raises, and `Cancelled` if it was cancelled or another load came.
        """
        self.cancel()
        wanted = self._wanted = Deadline()
        progress = _throttled(show, wanted, asyncio.get_running_loop())
        try:
            loaded = await asyncio.get_running_loop().run_in_executor(self._thread, self._load, config, progress)
            wanted.check()
            return loaded
        finally:
            wanted.cancel()  # the event loop may end first; the loader must notice

    def cancel(self) -> None:
        self._wanted.cancel()

    def stop(self) -> None:
        """Cancel and load nothing more."""
        self.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait until the loader has noticed `stop`."""
        self._thread.shutdown(wait=True)


def _throttled(show: Progress, wanted: Deadline, loop: asyncio.AbstractEventLoop) -> Progress:
    """What the loader's thread calls: stops it when it is not wanted, and passes some of what it says to the loop."""
    shown = -math.inf

    def progress(label: str, fraction: float) -> None:
        nonlocal shown
        wanted.check()
        if time.monotonic() - shown >= SHOW_INTERVAL_S:
            shown = time.monotonic()
            loop.call_soon_threadsafe(show, label, fraction)

    return progress
