"""A server in this process, and the client that speaks to it: each message is handled as if it came from a pipe.

A step is `{"own": MESSAGE}`, which the client means, `{"raw": BODY}`, which may be anything, or `{"stream": BYTES}`,
with headers of its own; bytes are told as Latin-1. `{"encoding": NAME}` is what the client counts in.

After each step the documents are compared, and at the end every request must be answered once and a plain completion
must be right.
"""

import asyncio
import contextlib
import io
import json
import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

from lsprotocol import types

from flash_ls import project, protocol, server, session
from flash_ls.config import Config
from flash_ls.errors import OWN_FAULT, MessageError
from flash_ls.frames import Frames
from flash_ls.workspace import Workspace
from scripts.fuzzing.client import Client, Copy
from scripts.fuzzing.echo import load
from scripts.fuzzing.edits import OWN, note
from scripts.fuzzing.finding import Differs, Fault, Hang, Steps, time_limit
from scripts.fuzzing.mutations import CAPABILITIES

PATIENCE_S = 10.0
"""For an answer."""
STEP_S = 20.0
"""For a step."""
PLAIN = {"enabled": True, "max_file_bytes": Config().max_file_bytes, "context_tokens": 0}
LAST = f"{OWN}last.py"


class _Formatted(logging.Handler):
    """Makes each line of the log, and keeps the last error."""

    error = ""

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno >= logging.ERROR:
            self.error = line


_LOG = _Formatted()


class _Writer:
    """Where the server writes."""

    def __init__(self, take: Callable[[dict[str, Any]], None]) -> None:
        self._take = take

    def write(self, data: bytes) -> None:
        self._take(json.loads(data.partition(b"\r\n\r\n")[2]))

    def close(self) -> None:
        """At `exit`."""


class Session:
    """One server and its client."""

    def __init__(self, home: Path) -> None:
        self.server = server.create_server(load, home)
        self.client = Client()
        self.ended = self._initialized = False
        self.answers: Counter[int | str] = Counter()
        self.requests: Counter[int | str] = Counter()
        self.results: dict[int | str, Any] = {}
        self.faults: list[str] = []
        self.server.protocol.set_writer(_Writer(self._take))

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message:
            if message.get("params", {}).get("message") == OWN_FAULT:
                self.faults.append(_LOG.error)
        elif type(message["id"]) in (int, str):
            self.answers[message["id"]] += 1
            self.results[message["id"]] = message.get("result", message.get("error"))

    async def step(self, step: dict[str, Any]) -> None:
        """Raises what `Fault` there is."""
        try:
            if "encoding" in step:
                self.client.encoding = step["encoding"]
            elif "own" in step:
                await self._own(step["own"])
            elif "raw" in step:
                await self._receive(step["raw"].encode("latin-1"))
            else:
                await self._stream(step["stream"].encode("latin-1"))
        except SystemExit:
            self.ended = True
            return
        await asyncio.sleep(0)
        self.ended = self.server.protocol._shutdown
        self._compare(may_be_lost="own" not in step)

    async def _own(self, message: dict[str, Any]) -> None:
        await self._begin()
        self.client.tell(message)
        await self._receive(json.dumps(message).encode())

    async def _begin(self) -> None:
        """The handshake, if there was none."""
        if not self.server.begun:
            capabilities = CAPABILITIES | {"general": {"positionEncodings": [self.client.encoding]}}
            params = {"processId": None, "rootUri": None, "capabilities": capabilities}
            await self._receive(json.dumps({**note("initialize", params), "id": "begin"}).encode())
        if not self._initialized:
            self._initialized = True
            await self._receive(json.dumps(note("initialized", {})).encode())
        self.client.encoding = types.PositionEncodingKind(self.server.workspace.position_encoding).value

    async def _receive(self, body: bytes) -> None:
        with contextlib.suppress(ValueError, RecursionError):
            told = json.loads(body.decode("utf-8", "replace"))
            if isinstance(told, dict) and "method" in told and type(told.get("id")) in (int, str):
                self.requests[told["id"]] += told["method"] != "exit"
        self.server.protocol.receive(body)

    async def _stream(self, data: bytes) -> None:
        frames = Frames(io.BytesIO(data))
        while True:
            try:
                if (body := frames.read()) is None:
                    return
            except MessageError:
                self.server.lose(None)
                continue
            await self._receive(body)
            await asyncio.sleep(0)

    def _compare(self, may_be_lost: bool) -> None:
        if self.faults:
            raise Fault(self.faults[0])
        for uri, copy in list(self.client.copies.items()):
            found = self.server.documents.get(uri) if uri in self.server.documents else None
            if may_be_lost if found is None else found.too_large and self._is_large(copy, may_be_lost):
                del self.client.copies[uri]
            elif found is None or found.too_large or (found.text, found.version) != (copy.text, copy.version):
                raise Differs(f"{uri}: {found and (found.version, found.text)}, not {(copy.version, copy.text)}")

    def _is_large(self, copy: Copy, may_be_lost: bool) -> bool:
        """Whether a text need not be kept: a setting may just have changed, and changed back."""
        return may_be_lost or len(copy.text.encode()) > self.server.config.max_file_bytes

    async def finish(self) -> None:
        """Check that all is well at the end, and end it."""
        try:
            if not self.ended:
                await self._answers_plainly()
            await self._until(lambda: self.answers >= self.requests, self._unanswered)
            if extra := self.answers - self.requests - Counter({"begin": 1, "plain": 10**9}):
                raise Fault(f"answered too often: {extra}")
            self._compare(may_be_lost=True)
        finally:
            await self.end()

    async def _answers_plainly(self) -> None:
        await self._begin()
        await self._own(note("workspace/didChangeConfiguration", {"settings": PLAIN}))
        await self._until(lambda: self.server.config.max_file_bytes == PLAIN["max_file_bytes"], self._unanswered)
        document = {"uri": LAST, "languageId": "python", "version": 1, "text": "é = 😀x\r\nab"}
        await self._own(note("textDocument/didOpen", {"textDocument": document}))
        wanted = [self.client.echo(LAST, 1, 1)]
        end = time.monotonic() + PATIENCE_S
        while (found := await self._completion()) != wanted:
            if found or time.monotonic() > end:
                raise Hang(f"a plain request is answered with {found}, not {wanted}")
            await asyncio.sleep(0.001)

    async def _completion(self) -> list[str]:
        place = {"line": 1, "character": 1}
        params = {"textDocument": {"uri": LAST}, "position": place, "context": {"triggerKind": 1}}
        self.results.pop("plain", None)
        await self._receive(json.dumps({**note("textDocument/inlineCompletion", params), "id": "plain"}).encode())
        await self._until(lambda: "plain" in self.results, lambda: "a plain request is not answered")
        result = self.results["plain"]
        return [item["insertText"] for item in result] if isinstance(result, list) else []

    async def _until(self, condition: Callable[[], bool], what: Callable[[], str]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise Hang(what())
            await asyncio.sleep(0)

    def _unanswered(self) -> str:
        return f"unanswered: {self.requests - self.answers}"

    async def end(self) -> None:
        self.server.stop()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)


@cache
def _converter() -> Any:
    return protocol.lenient_converter()


class Runner:
    """Runs the steps of one case after the other, each in a session of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._loop = asyncio.new_event_loop()
        self._stray: list[str] = []
        self._loop.set_exception_handler(lambda loop, context: self._strays(context))
        self._patches: list[Any] = [
            patch.object(threading, "excepthook", lambda failure: self._stray.append(repr(failure.exc_value))),
            patch.object(session, "lenient_converter", _converter),
            patch.object(project, "Workspace", partial(Workspace, max_files=20)),
            patch.object(traceback, "format_exc", str),  # most of the time, for a log that nobody reads
        ]
        self._patches += [_logging(name) for name in ("pygls", "flash_ls")]
        for each in self._patches:
            each.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for each in self._patches:
            each.stop()
        self._loop.close()

    def _strays(self, context: dict[str, Any]) -> None:
        """What nobody waits for; what is under way at the end of a session is no matter."""
        if not isinstance(context.get("exception"), asyncio.CancelledError):
            self._stray.append(f"{context.get('message')}: {context.get('exception')!r}")

    def run(self, steps: Steps) -> None:
        """Raises `Fault`, or whatever error came out of the server."""
        self._stray.clear()
        self._loop.run_until_complete(self._run(steps))
        if self._stray:
            raise Fault(self._stray[0])

    async def _run(self, steps: Steps) -> None:
        session = Session(self._home)
        try:
            for step in steps:
                with time_limit(STEP_S):
                    await session.step(step)
                if session.ended:
                    break
        except BaseException:
            await session.end()
            raise
        await session.finish()


def _logging(name: str) -> Any:
    """What is logged is made, and goes nowhere; pygls logs no less than what is critical, as in `serve`."""
    level = logging.CRITICAL if name == "pygls" else logging.INFO
    return patch.multiple(logging.getLogger(name), handlers=[_LOG], propagate=False, level=level)
