"""A real server process over stdin and stdout, and the same steps as in `scripts.fuzzing.session`."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from flash_ls.errors import OWN_FAULT
from scripts.fuzzing.client import Client
from scripts.fuzzing.edits import OWN, note
from scripts.fuzzing.finding import Differs, Fault, Hang, Steps
from scripts.fuzzing.mutations import CAPABILITIES, frame

PATIENCE_S = 30.0
PADDING = 60
"""Notifications that fill what a wrong length still asks for."""
LAST = f"{OWN}last.py"


class Pipe:
    """One process, from its start to its end."""

    def __init__(self, encoding: str, home: str) -> None:
        environment = {**os.environ, "FLASH_LS_HOME": home}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.fuzzing.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._came: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self._number = 0
        self.client = Client(encoding)
        general = {"general": {"positionEncodings": [encoding]}}
        params = {"processId": None, "rootUri": None, "capabilities": CAPABILITIES | general}
        self.ask("initialize", params)
        self.send(frame(json.dumps(note("initialized", {})).encode()))

    def run(self, steps: Steps) -> None:
        """Raises `Fault`."""
        for step in steps:
            if "encoding" in step:
                continue
            if "own" in step:
                self.client.tell(step["own"])
                self.send(frame(json.dumps(step["own"]).encode()))
            elif "raw" in step:
                self.send(frame(step["raw"].encode("latin-1")))
            else:
                self.send(step["stream"].encode("latin-1"))
                self.send(PADDING * frame(json.dumps(note("fuzz/padding", {"x": "x" * 100})).encode()))
            self.compare(may_be_lost="own" not in step)
        self._answers_plainly()

    def compare(self, may_be_lost: bool) -> None:
        """The document of which the last step was, if one is known; all of them after anything else."""
        for uri, copy in list(self.client.copies.items()):
            match self.ask("fuzz/text", {"uri": uri}):
                case [text, version, False] if (text, version) == (copy.text, copy.version):
                    pass
                case None if may_be_lost:
                    del self.client.copies[uri]
                case [_, _, True] if len(copy.text.encode()) > 1000 or may_be_lost:  # settings are mutated too
                    del self.client.copies[uri]
                case other:
                    raise Differs(f"{uri}: {other!r}, not {copy}")

    def _answers_plainly(self) -> None:
        document = {"uri": LAST, "languageId": "python", "version": 1, "text": "é = 😀x\r\nab"}
        settings = {"enabled": True, "max_file_bytes": 4_000_000, "context_tokens": 0}
        for message in (
            note("workspace/didChangeConfiguration", {"settings": settings}),
            note("textDocument/didOpen", {"textDocument": document}),
        ):
            self.client.tell(message)
            self.send(frame(json.dumps(message).encode()))
        place = {"textDocument": {"uri": LAST}, "position": {"line": 1, "character": 1}, "context": {"triggerKind": 1}}
        wanted = self.client.echo(LAST, 1, 1)
        for _ in range(1000):
            found = self.ask("textDocument/inlineCompletion", place)
            if found:
                if found[0]["insertText"] != wanted:
                    raise Fault(f"a plain request is answered with {found}, not {wanted}")
                return
        raise Hang("a plain request is answered with nothing")

    def ask(self, method: str, params: Any) -> Any:
        """The result. Raises `Hang`, and `EOFError` if the process has ended."""
        self._number += 1
        own = f"pipe {self._number}"
        self.send(frame(json.dumps({**note(method, params), "id": own}).encode()))
        while True:
            try:
                message = self._came.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise Hang(f"{method} is not answered in {PATIENCE_S} s") from None
            if message is None:
                raise EOFError
            if message.get("id") == own and "method" not in message:
                if message.get("error", {}).get("code") == -32600:  # after shutdown
                    raise EOFError
                return message.get("result")

    def send(self, data: bytes) -> None:
        """Raises `EOFError` if the process has ended."""
        assert self._process.stdin
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EOFError from None

    def close(self) -> int:
        """Hang up; how the process ended."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise Hang("the process does not end with its input") from None

    def _read(self) -> None:
        stdout, length = self._process.stdout, 0
        assert stdout
        while header := stdout.readline():
            if header.startswith(b"Content-Length"):
                length = int(header.split(b":")[1])
            elif header == b"\r\n":
                message = json.loads(stdout.read(length))
                if message.get("params", {}).get("message") == OWN_FAULT:
                    message = {"id": f"pipe {self._number}", "result": OWN_FAULT}
                self._came.put(message)
        self._came.put(None)


class Processes:
    """Runs each case in a process that goes on to the next, unless a case ends it."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def run(self, steps: Steps) -> None:
        """Raises `Fault`."""
        encoding = next((step["encoding"] for step in steps if "encoding" in step), "utf-16")
        with tempfile.TemporaryDirectory(dir=self._home) as home:
            pipe = Pipe(encoding, home)
            try:
                pipe.run(steps)
            except EOFError:
                if not any(ends(step) for step in steps):
                    raise Fault("the process has ended unasked") from None
            finally:
                code = pipe.close()
            if code not in (0, 1):
                raise Fault(f"the process ended with {code}")


def ends(step: dict[str, Any]) -> bool:
    """Whether a step may ask the server to end."""
    data = step.get("raw", step.get("stream", ""))
    return "exit" in data or "shutdown" in data
