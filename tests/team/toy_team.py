"""A team's server without Ray: the gate and the worker behind the standard library's HTTP, with faults on demand."""

import threading
from collections.abc import Callable
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from flash_ls.deadline import Deadline
from flash_ls.engine.costs import StepCosts
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.manifest import ModelManifest
from flash_ls.engine.model import BatchModel
from flash_ls.engine.shared_model import SharedModel
from flash_ls.engine.slots import Slots
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.engine.turns import Turns
from flash_ls.shared.host import Host
from flash_ls.shared.messages import Hello
from flash_ls.team.client import TeamEngine
from flash_ls.team.frames import Request, fingerprint, framed
from flash_ls.team.gate import BUSY, Gate, Refusal
from flash_ls.team.site import site
from flash_ls.team.token import digests
from flash_ls.team.worker import Account, Worker

TOKEN = "correct-horse-battery"
CACHE_MB = 64
AT_ONCE = 4


class ToyTeam:
    """One replica. `model` may be replaced before the first request."""

    def __init__(self, described: ModelManifest, model: BatchModel, tokenizer: Tokenizer) -> None:
        self.described, self.model, self.tokenizer = described, model, tokenizer
        self.turns = Turns()
        self.slots = Slots(model.new_cache, CACHE_MB)
        self.accounts: list[Account] = []
        self.failed = threading.Event()
        self.routes: list[str] = []
        """Of each request."""
        self.cut: list[int] = []
        """After how many frames the next requests are cut off."""
        self.statuses: list[int] = []
        """What the next requests are answered with, without a look at them."""
        self._gate = Gate(described, digests(f"# one\n{TOKEN}\n"))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @cached_property
    def worker(self) -> Worker:
        costs = StepCosts((1,), (1.0,))
        host = Host(SharedModel(self.model, self.turns), self.tokenizer, costs, self.turns, self.slots, None, "fp32")
        return Worker(host, AT_ONCE, self.failed.set, self.accounts.append)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def engine(self) -> TeamEngine:
        """One for one server."""
        return TeamEngine(site(self.url, False), fingerprint(self.described), self.tokenizer)

    def beside(self) -> LocalEngine:
        """One in this process, whose passes take turns with those of the replica."""
        return LocalEngine(SharedModel(self.model, self.turns), self.tokenizer)

    def admit(self, http: BaseHTTPRequestHandler) -> Request | Refusal | None:
        """What a replica does with a request's head and body."""
        headers = {key.lower(): value for key, value in http.headers.items()}
        self.routes.append(headers.get("flash-ls-route", ""))
        if refusal := self._gate.refusal(http.path, headers):
            return refusal
        if http.command == "GET":
            return None
        request = self._gate.read(http.rfile.read(int(headers["content-length"])))
        return request if isinstance(request, Refusal) or self.worker.wants(request) else BUSY

    def answer(self, request: Request, write: Callable[[bytes], object]) -> None:
        deadline = Deadline(request.budget_ms, request.gives_way)
        left = self.cut.pop(0) if self.cut else 1 << 30

        def send(frame: bytes) -> None:
            nonlocal left
            left -= 1
            try:
                write(frame if left >= 0 else frame[:-1])
            except OSError:
                deadline.cancel()
            if left < 0:
                deadline.cancel()

        self.worker.answer(request, deadline, send)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        team = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = team.admit(self)
                if team.statuses:
                    self._refuse(team.statuses.pop(0), "a status")
                elif isinstance(asked, Refusal):
                    self._refuse(asked.status, asked.sentence)
                elif asked is None:
                    self._begin(200)
                    self.wfile.write(framed(Hello("fp32", 0)))
                else:
                    self._begin(200)
                    team.answer(asked, self.wfile.write)

            do_GET = do_POST  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _begin(self, status: int) -> None:
                self.send_response(status)
                self.end_headers()

            def _refuse(self, status: int, sentence: str) -> None:
                self._begin(status)
                self.wfile.write(sentence.encode())

        return Handler
