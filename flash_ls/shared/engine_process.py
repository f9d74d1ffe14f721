"""The process that has the model: the work of all servers that are connected.

It ends when nobody has been connected for a while, or when nobody has asked for anything for long.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection, Listener
from queue import Empty, SimpleQueue

from flash_ls import __version__
from flash_ls.deadline import Deadline
from flash_ls.engine.engine import Engine
from flash_ls.engine.slots import Slots
from flash_ls.engine.turns import Turns
from flash_ls.errors import OWN_FAULT, Cancelled, FlashLsError, ModelFailed
from flash_ls.shared import messages
from flash_ls.shared.channel import Channel, is_ours
from flash_ls.shared.watchdog import Watchdog

LONELY_S = 30.0
"""So long the process stays without any server: windows are reloaded."""
UNUSED_S = 1800.0
"""So long it stays without any request."""
SILENT_S = 10.0
"""So long a server may take for a verdict."""
MOST_CONNECTIONS = 64
MOST_WAITING = 16
"""Requests of one connection that have no answer yet, and verdicts that nobody has asked for: a server sends one."""
LOOK_S = 1.0
BREATH_S = 0.1
"""Between a connection that could not be accepted and the next: what is wrong may last."""
MOST_SHARES = 4
"""Times the memory of one server's prompts: more of them are not typed in at once."""

log = logging.getLogger(__name__)

NewEngine = Callable[[], Engine]
Say = Callable[[dict[str, object]], object]


class EngineProcess:
    """Connections, and when the last of them has been of use."""

    def __init__(self, new_engine: NewEngine, turns: Turns, slots: Slots, precision: str, pass_s: float = 0.0) -> None:
        """`new_engine` makes one for each connection; all share the model and its slots, which get a cap for each.

        `pass_s`: what the longest pass takes.
        """
        self._watchdog = Watchdog(turns, pass_s)
        self._new_engine = new_engine
        self._slots, self._share_mb = slots, slots.cap_mb
        self._turns = turns
        self._hello = messages.Hello(precision, os.getpid())
        self._since = time.time()
        self._connections = 0
        self._used = time.monotonic()
        self._lock = threading.Lock()
        self._failed = threading.Event()

    def serve(
        self, listen: Callable[[], Listener], is_known: Callable[[], bool], say: Say = lambda report: None
    ) -> None:
        """Accept connections until the process is to end. Raises `OSError` if it cannot.

        `is_known` tells whether others still find it; if somebody has removed its socket, it listens anew. `say` is
        called again and again with what is to be known of it.
        """
        self._accept(listen())
        while not self._failed.wait(LOOK_S) and not self._is_over():
            say(self.report())
            if not is_known():
                self._accept(listen())

    def report(self) -> dict[str, object]:
        """What this process is and holds. No code is in it."""
        held = {"connections": self._connections, "slots": len(self._slots), "slots_mb": self._slots.bytes >> 20}
        facts = {"version": __version__, "precision": self._hello.precision, "since": self._since}
        return {"state": "ready", **facts, **held}

    def _accept(self, listener: Listener) -> None:
        threading.Thread(target=self._accept_all, args=(listener,), daemon=True, name="accept").start()

    def used(self) -> None:
        """Somebody has just asked for something."""
        self._used = time.monotonic()

    def _is_over(self) -> bool:
        with self._lock:
            patience_s = UNUSED_S if self._connections else LONELY_S
        if stuck := self._watchdog.is_stuck(LOOK_S):
            log.error("A pass of the model does not end, so the process does.")
        return stuck or time.monotonic() - self._used > patience_s

    def _accept_all(self, listener: Listener) -> None:
        while True:
            try:
                connection = listener.accept()
            except OSError as error:  # who wanted to connect is gone again, or there are no more files to be had
                log.info("accept", {"error": error})
                if self._failed.wait(BREATH_S):
                    return
                continue
            threading.Thread(target=self._talk, args=(connection,), daemon=True, name="connection").start()

    def _talk(self, connection: Connection) -> None:
        if not is_ours(connection) or self._connections >= MOST_CONNECTIONS:
            connection.close()
            return
        self._count(1)
        channel = Channel(connection, messages.TO_ENGINE)
        session = Session(channel, self._new_engine(), self._turns, self.used, self._failed.set)
        try:
            channel.send(self._hello)
            while True:
                session.take(channel.receive())
        except (OSError, EOFError):
            pass  # the server is gone
        except ValueError as error:
            log.warning("A server's message cannot be read (%(error)s); its connection ends.", {"error": error})
        finally:
            session.end()
            channel.close()
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._connections += change
            self._slots.cap_mb = self._share_mb * max(1, min(self._connections, MOST_SHARES))
        self.used()


class Session:
    """The work of one connection: one request at a time, in a thread of its own.

    The thread that receives calls `take` and `end`; the server asks for nothing more before it has its answer.
    """

    def __init__(
        self,
        channel: Channel[messages.ToEngine],
        engine: Engine,
        turns: Turns,
        used: Callable[[], None],
        fail: Callable[[], None],
    ) -> None:
        """`used` is called whenever something is asked; `fail` if the process is of no use any more."""
        self._fail = fail
        self._channel = channel
        self._engine = engine
        self._turns = turns
        self._used = used
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="session")
        self._number = 0
        self._waiting: SimpleQueue[int] = SimpleQueue()
        """The numbers of the requests that have no answer yet."""
        self._deadline = Deadline()
        self._unwanted = 0
        """The number of a request that was not wanted any more before it came."""
        self._verdicts: SimpleQueue[bool] = SimpleQueue()

    def take(self, message: messages.ToEngine) -> None:
        """Do what a message says. Never blocks.

        Raises `OSError` if the server is gone, `ValueError` if it says more than it is asked for.
        """
        if self._waiting.qsize() > MOST_WAITING or self._verdicts.qsize() > MOST_WAITING:
            raise ValueError(f"more than {MOST_WAITING} requests or verdicts wait")
        match message:
            case messages.Ping():
                self._channel.send(messages.Pong())
            case messages.Enough():
                self._verdicts.put(message.enough)
            case messages.Cancel() | messages.Release() if message.number != self._number:
                self._unwanted = message.number
            case messages.Cancel():
                self._cancel()
            case messages.Release():
                self._deadline.release()
            case _:
                self._begin(message)

    def end(self) -> None:
        """The server is gone."""
        self._cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _begin(self, request: messages.Request) -> None:
        self._number, self._deadline = request.number, Deadline(request.budget_ms, request.gives_way)
        if self._unwanted == self._number:
            self._deadline.cancel()
        self._used()
        self._verdicts = SimpleQueue()
        self._waiting.put(request.number)
        self._worker.submit(self._answer, request, self._deadline, self._verdicts)

    def _cancel(self) -> None:
        self._deadline.cancel()
        self._verdicts.put(True)  # for who waits for one

    def _answer(self, request: messages.Request, deadline: Deadline, verdicts: SimpleQueue[bool]) -> None:
        try:
            answer = self._answered(request, deadline, verdicts)
            self._channel.send(messages.Cost(deadline.spent))
            self._channel.send(answer)
        except OSError:  # one of both ends is of no use any more
            self._channel.hang_up()
        self._waiting.get()
        self._used()

    def _answered(self, request: messages.Request, deadline: Deadline, verdicts: SimpleQueue[bool]) -> messages.Answer:
        try:
            with self._turns.work(deadline):
                return self._done(request, deadline, partial(self._is_enough, deadline, verdicts))
        except Cancelled:
            return messages.Cancelled()
        except (ModelFailed, MemoryError) as error:
            log.error("The model failed, and the process ends: %(error)s", {"error": error})
            self._fail()
            raise ConnectionAbortedError from error
        except FlashLsError as error:
            return messages.Failed(str(error))
        except Exception:
            log.exception("A request failed by an error of our own.")
            return messages.Failed(OWN_FAULT)

    def _done(self, request: messages.Request, deadline: Deadline, is_enough: Callable[[str], bool]) -> messages.Answer:
        if isinstance(request, messages.Generate):
            return messages.Generated(self._engine.generate(request.prompt, request.params(is_enough), deadline))
        if isinstance(request, messages.Missing):
            return messages.Counted(self._engine.missing(request.prompt))
        self._engine.warm(request.prompt, deadline)
        return messages.Warmed()

    def _is_enough(self, deadline: Deadline, verdicts: SimpleQueue[bool], text: str) -> bool:
        """Have the server judge, which alone knows what it is about. Raises `Cancelled`."""
        self._channel.send(messages.Text(text))
        try:
            enough = verdicts.get(timeout=min(max(0.0, deadline.remaining_ms / 1000), SILENT_S))
        except Empty:
            enough = True  # the server's process is stopped; nobody else shall wait for it
        deadline.check()
        return enough
