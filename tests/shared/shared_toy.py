"""The engine process in a thread, and servers' ends of connections to it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.model import BatchModel
from flash_ls.engine.shared_model import SharedModel
from flash_ls.engine.slots import Slots
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.engine.turns import Turns
from flash_ls.shared import messages
from flash_ls.shared.channel import Channel, connect, listen
from flash_ls.shared.engine_process import EngineProcess
from flash_ls.shared.remote import RemoteEngine

NAME = "toy"
CACHE_MB = 64


class SharedToy:
    """An engine process of a model. `model` may be replaced before the first connection."""

    def __init__(self, folder: Path, model: BatchModel, tokenizer: Tokenizer) -> None:
        self.folder, self.model, self.tokenizer = folder, model, tokenizer
        self.turns = Turns()
        self.slots = Slots(model.new_cache, CACHE_MB)
        self.connections = 0
        self.ended = threading.Event()
        """Whether the process would be at its end."""

    def __enter__(self) -> Self:
        listener = self._listener = listen(self.folder, NAME)  # at once, so that it is there to connect to
        self.process = EngineProcess(self._engine, self.turns, self.slots, "fp32")

        def serve() -> None:
            self.process.serve(lambda: listener, lambda: True)
            self.ended.set()

        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        """Its threads end with the test's process."""
        self._listener.close()

    def connect(self, check: Callable[[], object] = lambda: None) -> tuple[Channel[messages.ToServer], messages.Hello]:
        """What `Launch.connect` does."""
        channel = Channel(connect(self.folder, NAME), messages.TO_SERVER)
        hello = channel.receive()
        assert isinstance(hello, messages.Hello)
        self.connections += 1
        return channel, hello

    def engine(self) -> RemoteEngine:
        """One for one server."""
        return RemoteEngine(self.connect, self.tokenizer)

    def beside(self) -> LocalEngine:
        """One with caches of its own, whose passes take turns with those of the process."""
        return LocalEngine(SharedModel(self.model, self.turns), self.tokenizer)

    def _engine(self) -> LocalEngine:
        return LocalEngine(SharedModel(self.model, self.turns), self.tokenizer, slots=self.slots)
