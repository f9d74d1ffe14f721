"""A language client small enough to send what no library would: a server process, its frames, and nothing in between.

Threads read the server's output and errors; every wait has a limit. Used by the protocol tests and by the demo.
"""

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Self

INLINE: dict[str, object] = {"textDocument": {"inlineCompletion": {}}}
"""The capabilities of a client with inline completion."""


class LspError(RuntimeError):
    """The server answered with an error."""


@dataclass
class Call:
    """A request on its way."""

    id: int
    answer: "Future[Any]" = field(default_factory=Future)


class LspProcess:
    """A language server over stdio, started at once and ended with the `with` block."""

    def __init__(self, command: Sequence[str], timeout_s: float = 20.0) -> None:
        self.timeout_s = timeout_s
        self.notifications: list[dict[str, Any]] = []
        """What the server said unasked, requests of its own among it."""
        self.arrivals: list[int] = []
        """The ids of answered requests, in the order of the answers."""
        self.log: list[str] = []
        """The lines of stderr; those of the server's log as `event name=value …`."""
        self.errors: list[str] = []
        """The same as they came."""
        self.garbage: list[bytes] = []
        """What came on stdout outside of any frame."""
        self.settings: object = None
        """The answer to `workspace/configuration`."""
        self.result: dict[str, Any] = {}
        """The answer to `initialize`."""
        self._calls: dict[int, Call] = {}
        self._ids = itertools.count(1)
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(list(command), stdin=pipe, stdout=pipe, stderr=pipe)
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read_frames, self._read_log)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def initialize(
        self,
        capabilities: Mapping[str, object] | None = None,
        options: object = None,
        encoding: str | None = None,
        root: str | None = None,
    ) -> dict[str, Any]:
        """The handshake. Without other capabilities the client has inline completion; returns the server's."""
        capabilities = dict(INLINE if capabilities is None else capabilities)
        if encoding:
            capabilities["general"] = {"positionEncodings": [encoding]}
        params = {"processId": None, "rootUri": root, "capabilities": capabilities, "initializationOptions": options}
        self.result = self.request("initialize", params)
        self.notify("initialized", {})
        return dict(self.result["capabilities"])

    def open(self, uri: str, language_id: str, text: str) -> None:
        document = {"uri": uri, "languageId": language_id, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, uri: str, version: int, changes: list[dict[str, Any]]) -> None:
        self.notify(
            "textDocument/didChange", {"textDocument": {"uri": uri, "version": version}, "contentChanges": changes}
        )

    def inline(self, uri: str, line: int, character: int, **context: Any) -> Any:
        """The items of an inline completion, or None. Further arguments go into the request's context."""
        return self.wait(self.start_inline(uri, line, character, **context))

    def start_inline(self, uri: str, line: int, character: int, **context: Any) -> Call:
        position = {"line": line, "character": character}
        context = {"triggerKind": 2, **context}
        params = {"textDocument": {"uri": uri}, "position": position, "context": context}
        return self.start("textDocument/inlineCompletion", params)

    def request(self, method: str, params: object = None) -> Any:
        """The result. Raises `LspError` if the server answers with an error, `TimeoutError` if it does not answer."""
        return self.wait(self.start(method, params))

    def start(self, method: str, params: object = None) -> Call:
        """Send a request and go on."""
        call = Call(next(self._ids))
        self._calls[call.id] = call
        self._send({"id": call.id, "method": method, "params": params})
        return call

    def wait(self, call: Call) -> Any:
        return call.answer.result(self.timeout_s)

    def cancel(self, call: Call) -> None:
        self.notify("$/cancelRequest", {"id": call.id})

    def notify(self, method: str, params: object) -> None:
        self._send({"method": method, "params": params})

    def heard(self, method: str) -> list[Any]:
        """The parameters of every message of this kind that the server sent unasked."""
        return [message.get("params") for message in self.notifications if message["method"] == method]

    @property
    def faults(self) -> list[str]:
        """What it logged of errors of its own."""
        return [line for line in self.log if "trace=" in line or "Traceback" in line]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something the server writes makes the condition true. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(condition, self.timeout_s):
                raise TimeoutError(f"nothing came; the server's log ends with {self.log[-5:]}")

    def close(self) -> int:
        """Leave as the protocol says, if the server still listens; its exit code."""
        if self.process.poll() is None:
            try:
                self.request("shutdown")
                self.notify("exit", None)
            except (LspError, TimeoutError, OSError):
                self.process.kill()
        return self.hang_up()

    def hang_up(self) -> int:
        """Close the pipe and wait for the server to end; its exit code. Raises `TimeoutExpired` if it lives on."""
        if self.process.stdin:
            self.process.stdin.close()
        code = self.process.wait(self.timeout_s)
        for thread in self._threads:
            thread.join(self.timeout_s)
        return code

    def _send(self, message: dict[str, object]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        stdin = _pipe(self.process.stdin)
        with self._writing:
            stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            stdin.flush()

    def _read_frames(self) -> None:
        stdout = _pipe(self.process.stdout)
        length = 0
        while header := stdout.readline():
            name, _, value = header.partition(b":")
            if name == b"Content-Length":
                length = int(value)
            elif header == b"\r\n":
                self._receive(json.loads(stdout.read(length)))
            elif name != b"Content-Type":
                self.garbage.append(header)
        for call in list(self._calls.values()):
            call.answer.set_exception(LspError("the server has ended"))

    def _read_log(self) -> None:
        for line in _pipe(self.process.stderr):
            with self._changed:
                self.errors.append(line.decode(errors="replace").rstrip())
                self.log.append(_told(self.errors[-1]))
                self._changed.notify_all()

    def _receive(self, message: dict[str, Any]) -> None:
        with self._changed:
            if "method" in message:
                self.notifications.append(message)
            else:
                self.arrivals.append(message["id"])
            self._changed.notify_all()
        if "method" not in message:
            _settle(self._calls.pop(message["id"]), message)
        elif "id" in message:
            self._answer(message)

    def _answer(self, message: dict[str, Any]) -> None:
        """What an editor would say to the server's own request."""
        asked = message["method"] == "workspace/configuration"
        self._send({"id": message["id"], "result": [self.settings] if asked else None})


def _settle(call: Call, message: dict[str, Any]) -> None:
    if "error" in message:
        call.answer.set_exception(LspError(f"{message['error']['code']}: {message['error']['message']}"))
    else:
        call.answer.set_result(message.get("result"))


def _told(line: str) -> str:
    """A line of a log in fewer characters; any other as it is."""
    try:
        event, fields = read_log(line)
    except ValueError:
        return line
    return " ".join([event, *(f"{name}={value}" for name, value in fields.items())])


def read_log(line: str) -> tuple[str, dict[str, Any]]:
    """The event and the fields of a line of the server's log. Raises `ValueError` if it is none."""
    said = json.loads(line)
    if not isinstance(said, dict) or list(said)[:3] != ["time", "level", "event"]:
        raise ValueError("not of a log")
    return said["event"], {name: value for name, value in said.items() if name not in ("time", "level", "event")}


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def flash_ls(*arguments: str) -> list[str]:
    """The command of a server that logs each request."""
    return python_module("flash_ls", "--log-level", "info", *arguments)


def python_module(*arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", *arguments]
