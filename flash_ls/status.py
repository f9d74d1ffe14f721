"""What a server is doing, in a word and a sentence, for a status bar.

Tells of a change at once, of many not more often than they can be read, and always of the last. Everything here runs in
the event loop. Knows nothing of the protocol.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from flash_ls.journal import Reason, sentence
from flash_ls.timer import Timer

NOTICED_S = 0.1
"""A request that takes no longer is not told of until it is answered."""
INTERVAL_S = 0.1
PASSING = (Reason.SUPERSEDED, Reason.CANCELLED)
"""Ends of requests that another one follows: they would only flicker."""


class Said(NamedTuple):
    """What the user reads."""

    state: Literal["loading", "ready", "thinking", "off", "error"]
    reason: str = ""
    """In what the last request ended, or why none can be answered: a `Reason`, or empty."""
    message: str = ""
    """The same as a sentence."""
    pro: str = ""
    """How often the larger model was asked, and what is wrong with it, as sentences."""


OFF = Said("off", Reason.DISABLED, sentence(Reason.DISABLED))
LOADING = Said("loading", Reason.LOADING, sentence(Reason.LOADING))
READY = Said("ready")
THINKING = Said("thinking")


def failed(message: str) -> Said:
    """The model could not be loaded."""
    return Said("error", Reason.ERROR, message)


class Status:
    """The state of one server. `tell` is called with what is to be read now."""

    def __init__(self, tell: Callable[[Said], object]) -> None:
        self._tell = tell
        self._lasting = LOADING
        self._told: Said | None = None
        self._pro = ""
        self._slow = 0
        """Requests that take long enough to be noticed."""
        self._pause = Timer(self._say)

    @property
    def now(self) -> Said:
        said = THINKING if self._slow and self._lasting.state == "ready" else self._lasting
        return said._replace(pro=self._pro)

    def set(self, said: Said) -> None:
        self._lasting = said
        self._update()

    def pro(self, sentence: str) -> None:
        """There is something to say of the larger model."""
        self._pro = sentence
        self._update()

    def answered(self, reason: Reason) -> None:
        """A request has been answered by the model, or by what is known of it."""
        if reason not in PASSING:
            self.set(Said("error" if reason is Reason.ERROR else "ready", reason, sentence(reason)))

    @contextmanager
    def thinking(self) -> Iterator[None]:
        """While a request is being answered."""
        slow = Timer(self._slow_down)
        slow.within(NOTICED_S)
        try:
            yield
        finally:
            if slow.pending:
                slow.cancel()
            else:
                self._slow -= 1
                self._update()

    def _slow_down(self) -> None:
        self._slow += 1
        self._update()

    def _update(self) -> None:
        if not self._pause.pending:
            self._say()

    def _say(self) -> None:
        if self.now != self._told:
            self._told = self.now
            self._pause.within(INTERVAL_S)
            self._tell(self._told)
