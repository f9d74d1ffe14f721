"""Something to be done later in the event loop: once, however often it is asked for."""

import asyncio
from collections.abc import Callable


class Timer:
    """Costs nothing while nothing waits for it."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._do = do
        self._handle: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> bool:
        return self._handle is not None

    def within(self, seconds: float) -> None:
        """Do it then, or when it is to be done already if that is sooner."""
        loop = asyncio.get_running_loop()
        if self._handle is not None:
            if self._handle.when() <= loop.time() + seconds:
                return
            self._handle.cancel()
        self._handle = loop.call_later(seconds, self._run)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None

    def _run(self) -> None:
        self._handle = None
        self._do()
