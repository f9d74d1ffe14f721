"""A home folder of its own, a server and its engine process at work, and somebody who types into one file."""

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.breaking import processes
from scripts.breaking.wall_clock import WallClock
from tests.lsp_client import INLINE, Call, LspError, LspProcess, flash_ls
from tests.typist import Typist

SERVER = flash_ls()
OPTIONS = {"min_confidence": 0.0, "budget_ms": 30_000, "statistics": False}
"""With time enough, so that the load of other programs is not taken for a fault."""
CAPABILITIES = {**INLINE, "experimental": {"flashLs": {"status": True}}}
LINES = 12
LINE = "    total_{number} = price_of(item) * amount_of(item"
PATIENCE_S = 600.0
BETWEEN_S = 0.05
MOST_TRIES = 3


@dataclass
class Scene:
    """The file's text is the client's; whatever breaks, the server has to have the same."""

    home: Path
    model: Path
    """An artifact that may be broken."""
    chance: random.Random
    clock: WallClock | None = None
    """If it is to be moved."""

    def __post_init__(self) -> None:
        self.undo: Callable[[], object] = lambda: None
        """What is to be done once there is a suggestion again."""
        self.call: Call | None = None
        """A request whose answer nobody has awaited."""
        self.server: LspProcess
        self.typist: Typist
        self._number = 0
        self._text = "".join(self._line(number) for number in range(LINES)) + "def bill(item):\n"
        self._seen = (0, 0)

    def start(self) -> None:
        """Another server, and the file opened in it."""
        moved = self.clock.environment if self.clock else {}
        with processes.environment(FLASH_LS_HOME=str(self.home), **moved):
            self.server = LspProcess(SERVER, timeout_s=PATIENCE_S)
        self.server.initialize(CAPABILITIES, OPTIONS | {"model": str(self.model)})
        self.server.wait_until(lambda: any("load reason=" in line for line in self.server.log))
        self.typist = self._open("kept", self._text)
        self._seen = (0, 0)
        self.call = None

    def type(self, place: int | None = None) -> None:
        """Change a line, and write another at the end."""
        self._number += 1
        place = self.chance.randrange(LINES) if place is None else place
        start = self.typist.text.index(f"name_{place:02}")
        self.typist.replace(start, self.typist.text.index("\n", start) + 1, self._line(place))
        last = self.typist.text.rindex("\n") + 1
        self.typist.replace(last, len(self.typist.text), LINE.format(number=self._number))
        self._text = self.typist.text

    def begin_to_ask(self, **context: int) -> None:
        """With a change in the first line, so that all has to be read."""
        self.type(0)
        place = self.typist.place(self.typist.cursor)
        self.call = self.server.start_inline(self.typist.uri, place["line"], place["character"], **context)

    def finish(self) -> bool:
        """Await what was asked; whether there was something, and nothing came."""
        call, self.call = self.call, None
        with contextlib.suppress(LspError):
            return call is not None and not self.server.wait(call)
        return True

    def ask(self) -> bool:
        """Type and ask; whether the model has answered, be it that it has nothing to suggest."""
        self.type()
        key = self.typist.ask()
        return bool(key.prompt_tokens) and key.reason != "deadline"

    def until_suggested(self) -> tuple[int, float]:
        """How many requests got nothing before one got something, and seconds. Raises `TimeoutError`."""
        began, missed = time.monotonic(), int(self.finish())
        while not self.ask():
            missed += 1
            if time.monotonic() - began > PATIENCE_S:
                raise TimeoutError("there is no suggestion any more")
            time.sleep(BETWEEN_S)
        return missed, time.monotonic() - began

    def is_same(self) -> bool:
        """Whether the server's text is the client's, which is told again if the model was kept from reading it all."""
        self.type()
        return any(self._is_read() for _ in range(MOST_TRIES))

    def _is_read(self) -> bool:
        """Whether the model has read the prompt of the client's text, sent anew, after it was asked about the file."""
        asked = self.typist.ask()
        self.server.notify("workspace/didChangeConfiguration", {"settings": {}})  # it forgets what it suggested
        self._number += 1
        copy = self._open(f"copy{self._number}", self._text)
        again = copy.ask()
        self._close(copy)
        return asked.prompt_tokens == again.prompt_tokens == again.cached_tokens + 1

    def begin_to_ask_elsewhere(self) -> None:
        """About a file that nobody has asked about."""
        self._number += 1
        text = "".join(f"other_{self._number}_{line} = {line}\n" for line in range(5 * LINES)) + LINE
        other = self._open(f"other{self._number}", text)
        place = other.place(other.cursor)
        self.call = self.server.start_inline(other.uri, place["line"], place["character"])

    def heard(self) -> tuple[list[str], list[str]]:
        """The messages, and the reasons of the status, that the user has seen since the last call."""
        boxes, states = self.server.heard("window/showMessage"), self.server.heard("flashLs/status")
        (box, state), self._seen = self._seen, (len(boxes), len(states))
        return [one["message"] for one in boxes[box:]], [one["reason"] or one["state"] for one in states[state:]]

    def engines(self) -> list[int]:
        return [pid for pid in processes.of_home(self.home) if processes.is_engine(pid)]

    def await_engine(self) -> int:
        """The one that runs."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if found := self.engines():
                return found[0]
            time.sleep(0.01)
        raise TimeoutError("there is no engine process")

    def _close(self, typist: Typist) -> None:
        self.server.notify("textDocument/didClose", {"textDocument": {"uri": typist.uri}})

    def _open(self, folder: str, text: str) -> Typist:
        return Typist(self.server, f"file:///{folder}/main.py", text, len(text), "python")

    def _line(self, number: int) -> str:
        return f"name_{number:02} = {self.chance.randrange(1000, 10000)}\n"
