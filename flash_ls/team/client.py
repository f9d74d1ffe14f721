"""The engine of a team's server, as if it were in this process."""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ssl import SSLCertVerificationError
from typing import TypeVar

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import common_prefix
from flash_ls.engine.decode import Choice, Generation, GenerationParams, GenerationStats, replay
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import EngineAway, EngineBusy, EngineRefused, ModelError
from flash_ls.shared.messages import Failed, Generate, Hello, Warm
from flash_ls.team.frames import (
    MODEL_HEADER,
    PATH,
    ROUTE_HEADER,
    Begun,
    Chosen,
    Done,
    Frame,
    Request,
    packed,
    unframed,
)
from flash_ls.team.site import Site

CONNECT_S = 2.0
SILENCE_S = 3.0
"""So much longer than its time an answer is waited for."""
LONGEST_S = 60.0
"""So long an answer without a time limit may say nothing."""
PIECE_BYTES = 1 << 16
PROMPTS = 4
"""Which the server is taken to have in its cache still."""
_CUT_OFF = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
    HTTPStatus.REQUEST_TIMEOUT,
)
"""What is answered for a replica that has died, or was not reached."""

log = logging.getLogger(__name__)

T = TypeVar("T")


class TeamEngine:
    """See `Engine`. One thread owns it. What is lost on the way is asked for once more, of whichever replica there is.

    All its methods may raise `EngineLost` too, of the kind that tells why.
    """

    def __init__(self, site: Site, model: str, tokenizer: Tokenizer) -> None:
        """`model`: the fingerprint of the artifact that the tokenizer is of."""
        self.tokenizer = tokenizer
        self._site = site
        self._headers = {"Authorization": f"Bearer {site.token}", MODEL_HEADER: model}
        self._route = secrets.token_hex(8)
        self._sent: deque[list[int]] = deque(maxlen=PROMPTS)

    def hello(self) -> Hello:
        """Who answers there."""
        return self._repeated(Deadline(), self._hello)

    def generate(self, prompt: list[int], params: GenerationParams, deadline: Deadline) -> Generation:
        """See `Engine.generate`."""
        return self._repeated(deadline, partial(self._generate, prompt, params, deadline))

    def warm(self, prompt: list[int], deadline: Deadline) -> None:
        """See `Engine.warm`."""
        self._repeated(deadline, partial(self._warm, prompt, deadline))

    def missing(self, prompt: list[int]) -> int:
        """See `Engine.missing`: as far as this server has sent it. To ask would take as long as to read some tokens."""
        return len(prompt) - max((common_prefix(sent, prompt) for sent in self._sent), default=0)

    def _repeated(self, deadline: Deadline, work: Callable[[], T]) -> T:
        try:
            return work()
        except EngineAway as error:
            if deadline.expired:
                raise
            log.info("again", {"error": error})
            self._forget()
            return work()

    def _forget(self) -> None:
        """Leave the replica that had the caches."""
        self._route = secrets.token_hex(8)
        self._sent.clear()

    def _hello(self) -> Hello:
        with self._asked(None, Deadline(CONNECT_S * 1000)) as frames:
            hello = next(frames)
            if not isinstance(hello, Hello):
                raise self._away("it speaks another language")
            return hello

    def _warm(self, prompt: list[int], deadline: Deadline) -> None:
        with self._asked(Warm(1, prompt, deadline.remaining_ms, deadline.gives_way), deadline) as frames:
            for frame in frames:
                self._check(frame)
        self._sent.append(prompt)

    def _generate(self, prompt: list[int], params: GenerationParams, deadline: Deadline) -> Generation:
        told = {name: getattr(params, name) for name in ("max_tokens", "stop_ids", "healed", "forced")}
        least = params.least_likelihood
        ask = Generate(1, prompt, deadline.remaining_ms, deadline.gives_way, least_likelihood=least, **told)
        began, stats = time.perf_counter(), GenerationStats(len(prompt))
        with self._asked(ask, deadline) as frames:
            answer = replay(self.tokenizer, params, self._choices(frames, stats, began, deadline), stats, deadline)
        self._sent.append([*prompt, *answer.tokens])
        return answer

    def _choices(
        self, frames: Iterator[Frame], stats: GenerationStats, began: float, deadline: Deadline
    ) -> Iterator[Choice]:
        """Those of an answer, which is timed."""
        for frame in frames:
            self._check(frame)
            if isinstance(frame, Begun):
                stats.cached_tokens = frame.cached_tokens
            elif isinstance(frame, Chosen):
                deadline.check()
                elapsed_ms = (time.perf_counter() - began) * 1e3
                stats.target_steps += 1
                stats.prefill_ms = stats.prefill_ms or elapsed_ms
                stats.decode_ms = elapsed_ms - stats.prefill_ms
                yield frame.choice

    def _check(self, frame: Frame) -> None:
        if isinstance(frame, Failed):
            raise ModelError(frame.sentence)

    @contextmanager
    def _asked(self, request: Request | None, deadline: Deadline) -> Iterator[Iterator[Frame]]:
        """The frames of an answer, up to `Done`; the connection ends with the block."""
        with closing(self._site.connection(CONNECT_S)) as connection:
            with self._losing(deadline):
                connection.connect()
            hang_up = partial(_hang_up, connection.sock)
            with deadline.interrupting(hang_up):
                with self._losing(deadline):
                    response = self._response(connection, request, deadline)
                yield self._frames(response, deadline)

    def _response(self, connection: HTTPConnection, request: Request | None, deadline: Deadline) -> HTTPResponse:
        connection.sock.settimeout(min(LONGEST_S, max(0.0, deadline.remaining_ms / 1000)) + SILENCE_S)
        body = packed(request) if request else None
        headers = self._headers | {ROUTE_HEADER: self._route}
        connection.request("POST" if body else "GET", self._site.path + PATH, body, headers)
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            raise self._refused(response)
        return response

    def _frames(self, response: HTTPResponse, deadline: Deadline) -> Iterator[Frame]:
        frames = unframed(partial(response.read1, PIECE_BYTES))
        while True:
            with self._losing(deadline):
                frame = next(frames)
            if isinstance(frame, Done):
                return
            yield frame

    def _refused(self, response: HTTPResponse) -> Exception:
        """What a status means."""
        said = " ".join(response.read(300).decode("utf-8", "replace").split())
        if response.status in _CUT_OFF:
            return self._away(f"status {response.status}")
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return EngineBusy(f"The team's server {self._site.host} is busy; ask again in a moment.")
        return EngineRefused(f"The team's server {self._site.host} refuses ({response.status}): {said}")

    @contextmanager
    def _losing(self, deadline: Deadline) -> Iterator[None]:
        """Turns the ways in which a connection ends into `EngineAway`, or `Cancelled` if that ended it.

        A certificate that is not trusted is `EngineRefused`.
        """
        try:
            yield
        except SSLCertVerificationError as error:
            raise EngineRefused(
                f"The certificate of {self._site.host} is not trusted ({error.verify_message}); set SSL_CERT_FILE to a"
                " file with that of its authority."
            ) from error
        except (OSError, HTTPException, ValueError) as error:
            deadline.check_reading()
            raise self._away(str(error) or type(error).__name__) from error

    def _away(self, fault: str) -> EngineAway:
        where = f"{self._site.host}:{self._site.port}"
        return EngineAway(f"The team's server {where} does not answer ({fault}); see flashLs.engine_url.")


def _hang_up(connection: socket.socket) -> None:
    """From any thread."""
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # an `SSLSocket` would forget its state, which is in use
