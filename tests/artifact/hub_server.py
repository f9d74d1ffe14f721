"""A model hub on this machine: what its client library asks for when it downloads one file of one repository."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """Serves `content` as `REPO/resolve/REVISION/FILE` for any repository, but only for the file named `file`."""

    def __init__(self, file: str, content: bytes, breaks_off: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.file, self.content, self.breaks_off = file, content, breaks_off
        self.requests: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        if not self._answer():
            return
        if not self.server.breaks_off:
            self.wfile.write(self.server.content)
            return
        self.wfile.write(self.server.content[: len(self.server.content) // 2])
        # Closing with a zero linger resets the connection, as a failing network does.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _answer(self) -> bool:
        self.server.requests.append(f"{self.command} {self.path}")
        found = self.path.endswith(f"/resolve/main/{self.server.file}") or self.path.endswith(
            f"/resolve/{COMMIT}/{self.server.file}"
        )
        self.send_response(200 if found else 404)
        self.send_header("X-Repo-Commit", COMMIT)
        if found:
            self.send_header("ETag", f'"{hash(self.server.content):x}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(self.server.content) if found else 0))
        self.end_headers()
        return found

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@contextmanager
def serving(server: HubServer) -> Iterator[HubServer]:
    """Answer requests while the block runs."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
