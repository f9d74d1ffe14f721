"""A server of the OpenAI completions API on this machine: it says what a test wants, and notes what it is asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/v1/completions"


class Asked:
    """One request as it came."""

    def __init__(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self.path = path
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body: dict[str, Any] = json.loads(body)


class CompletionsFake:
    """What it says: `parts` streamed as events, or `raw` as the whole answer."""

    def __init__(self) -> None:
        self.parts: list[str] = ["pass"]
        self.ended = True
        """Whether the model is said to have ended the text."""
        self.part_s = 0.0
        """Between two parts."""
        self.hold_s = 0.0
        """Before anything is said."""
        self.raw: bytes | None = None
        self.status = 200
        self.location = ""
        self.asked: list[Asked] = []
        self.sent = 0
        """Parts that went out."""
        self.hung_up = threading.Event()
        """The client was gone before the end."""
        self.url = ""

    def events(self) -> Iterator[bytes]:
        for number, part in enumerate(self.parts, 1):
            reason = "stop" if self.ended and number == len(self.parts) else None
            yield _event({"choices": [{"index": 0, "text": part, "finish_reason": reason}]})
        yield _event({"choices": []})
        yield b"data: [DONE]\n\n"


def _event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _handler(fake: CompletionsFake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            fake.asked.append(Asked(self.path, dict(self.headers), self.rfile.read(length)))
            with suppress(OSError):
                self._answer()

        def _answer(self) -> None:
            time.sleep(fake.hold_s)
            self.send_response(fake.status)
            if fake.location:
                self.send_header("Location", fake.location)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for piece in fake.events() if fake.raw is None else [fake.raw]:
                    self._chunk(piece)
                    fake.sent += 1
                    time.sleep(fake.part_s)
                self._chunk(b"")
            except OSError:
                fake.hung_up.set()
                raise

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextmanager
def completions_server() -> Iterator[CompletionsFake]:
    """One that listens while the block runs."""
    fake = CompletionsFake()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake)) as server:
        server.daemon_threads = True
        fake.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join(5)
