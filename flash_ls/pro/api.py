"""A server of the OpenAI completions API (`POST /completions`, answers streamed as server-sent events).

Spoken by llama.cpp's server, vLLM, Ray Serve and others. No redirect is followed and no proxy used: the code and the
key go to the configured host alone, and the key only encrypted or to this machine. Errors name the host and a status,
never what was sent or received.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Timer
from urllib.parse import urlsplit

from flash_ls.credential import may_be_sent
from flash_ls.deadline import Deadline
from flash_ls.errors import ProFailed

CONNECT_S = 3.0
MOST_BYTES = 1 << 20
"""Of one answer."""
_LOST = (OSError, HTTPException)


@dataclass(frozen=True, slots=True)
class Said:
    """How an answer has come so far."""

    text: str
    finished: bool
    """Whether the model ended it."""


@dataclass(frozen=True)
class CompletionsServer:
    """One server and the model asked for there."""

    url: str
    model: str
    key: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """To be told to people."""
        return urlsplit(self.url).netloc

    def complete(self, request: Mapping[str, object], is_enough: Callable[[str], bool], deadline: Deadline) -> Said:
        """Continue a prompt until the text `is_enough`, the model ends it, or the time is over.

        `request`: parameters of the API. Raises `ProFailed` and `Cancelled`.
        """
        body = json.dumps({"model": self.model, "stream": True, "temperature": 0, **request})
        headers = self._headers()
        said = Said("", False)
        with self._connected(deadline) as connection, self._reading(deadline):
            connection.request("POST", f"{urlsplit(self.url).path.rstrip('/')}/completions", body, headers)
            for said in _answers(self._accepted(connection.getresponse())):
                if said.finished or is_enough(said.text):
                    break
        return said

    def _headers(self) -> dict[str, str]:
        """Raises `ProFailed` if the key cannot or must not be sent."""
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if not self.key:
            return headers
        url = urlsplit(self.url)
        if not may_be_sent(url.scheme, url.hostname or ""):
            raise ProFailed(f"The key is not sent to {self.host} unencrypted; set flashLs.pro_url to an https address.")
        if not (self.key.isascii() and self.key.isprintable()):
            raise ProFailed("The key in FLASH_LS_PRO_KEY has characters that no key has; set it again.")
        return headers | {"Authorization": f"Bearer {self.key}"}

    @contextmanager
    def _connected(self, deadline: Deadline) -> Iterator[HTTPConnection]:
        """A connection that ends when the time is over or nobody waits any more."""
        url = urlsplit(self.url)
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        left_s = max(0.001, deadline.remaining_ms / 1000)
        connection = kind(url.hostname or "", url.port, timeout=min(left_s, CONNECT_S))
        try:
            with self._reading(deadline):
                connection.connect()
            line = connection.sock
            line.settimeout(None)
            overdue = Timer(left_s, _hang_up, [line])
            overdue.daemon = True
            overdue.start()
            try:
                with deadline.interrupting(lambda: _hang_up(line)):
                    yield connection
            finally:
                overdue.cancel()
        finally:
            connection.close()

    @contextmanager
    def _reading(self, deadline: Deadline) -> Iterator[None]:
        """Turns the ways in which a server may fail into sentences."""
        try:
            yield
        except (*_LOST, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            deadline.check()
            if deadline.expired or isinstance(error, TimeoutError):
                raise ProFailed(
                    f"{self.host} took too long to answer; use a faster model there, or raise flashLs.pro_budget_ms."
                ) from None
            if isinstance(error, OSError):
                reason = error.strerror or type(error).__name__
                raise ProFailed(
                    f"{self.host} cannot be reached ({reason}); start the server, or correct flashLs.pro_url."
                ) from None
            raise ProFailed(
                f"{self.host} does not speak the OpenAI completions API; correct flashLs.pro_url."
            ) from None
        deadline.check()

    def _accepted(self, response: HTTPResponse) -> HTTPResponse:
        """Raises `ProFailed` for a refusal."""
        if response.status in (401, 403):
            raise ProFailed(f"{self.host} refuses the key; set FLASH_LS_PRO_KEY to one that it takes.")
        if response.status != 200:
            advice = "correct flashLs.pro_url, flashLs.pro_model or flashLs.pro_prompt"
            raise ProFailed(f"{self.host} refuses requests with status {response.status}; {advice}.")
        return response


def _answers(response: HTTPResponse) -> Iterator[Said]:
    """The answer as far as it has come, again and again. Raises `ValueError`, `LookupError` and `TypeError`."""
    text, read, known = "", 0, False
    while read < MOST_BYTES and (line := response.readline(MOST_BYTES)):
        read += len(line)
        data = line.strip().removeprefix(b"data:").strip()
        if data == b"[DONE]":
            break
        if not data or data.startswith((b":", b"event:", b"id:", b"retry:")):
            continue
        part, finished = _part(data)
        text, known = text + part, True
        yield Said(text, finished)
    if not known:
        raise ValueError("no answer")


def _part(data: bytes) -> tuple[str, bool]:
    """The text in one event, or in an answer that is not streamed, and whether the model ended it there."""
    raw = json.loads(data)
    if not raw["choices"]:
        return "", False  # the counts of tokens that some servers send last
    choice = raw["choices"][0]
    text = choice["text"]
    if not isinstance(text, str):
        raise TypeError("the text is none")
    return text, choice.get("finish_reason") == "stop"


def _hang_up(line: socket.socket) -> None:
    """From any thread: whoever reads from the connection notices."""
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
