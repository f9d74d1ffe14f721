"""The team's server: engines as replicas of a Ray Serve deployment.

The only module that knows Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from flash_ls.team.frames import MOST_BYTES, ROUTE_HEADER, Request, framed, weight

# Ray reads these when it is imported; its processes get them from this one.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_SERVE_SESSION_ID_HEADER_KEY"] = ROUTE_HEADER
os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "120")  # a machine may have much else to do
os.environ.setdefault("RAY_worker_niceness", "0")  # by default engines give way to all else
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, HTTPOptions, RequestRouterConfig
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica
from ray.serve.schema import LoggingConfig
from ray.util.metrics import Counter, Gauge, Histogram
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.errors import FlashLsError
from flash_ls.shared.host import load
from flash_ls.shared.messages import Hello
from flash_ls.shared.watchdog import Watchdog
from flash_ls.team.gate import BUSY, MOST_BUDGET_MS, TOO_LONG, Gate, Refusal
from flash_ls.team.plan import Plan
from flash_ls.team.worker import Account, Worker

APPLICATION = "flash-ls"
SLOTS = 64
"""Prompts of one replica, if they fit into its memory."""
HEALTH_S = 2.0
LONGEST_S = 90.0
"""Of a request, from its first byte to its last."""
SECONDS = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
MEDIA_TYPE = "application/octet-stream"

log = logging.getLogger(__name__)


class Metrics:
    """Of one replica, for Prometheus."""

    def __init__(self, under_way: Callable[[], int]) -> None:
        self._requests = Counter("flash_ls_requests", "Requests answered.", ("outcome",))
        self._tokens = Counter("flash_ls_tokens", "Tokens of prompts, those of them in a cache, decoded.", ("kind",))
        self._seconds = Histogram("flash_ls_seconds", "Of an answer.", boundaries=SECONDS)
        self._gauge = Gauge("flash_ls_under_way", "Requests under way.")
        self._under_way = under_way

    def book(self, account: Account) -> None:
        """A request has ended."""
        self._gauge.set(self._under_way())
        self._requests.inc(1, {"outcome": account.outcome})
        self._seconds.observe(max(account.seconds, 1e-6))
        for kind in ("prompt", "cached", "decoded"):
            if tokens := getattr(account, f"{kind}_tokens"):
                self._tokens.inc(tokens, {"kind": kind})


class Router(RequestRouter):
    """Sends a user's requests to one replica, where the caches are, and to the next of the user's own order if that
    has no room: rendezvous hashing (Thaler and Ravishankar 1998).
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """See `RequestRouter`: the first one that has room is taken."""
        if pending_request is None:
            return [candidate_replicas]
        rank = partial(weight, pending_request.metadata.session_id)
        ranked = sorted(candidate_replicas, key=lambda replica: rank(replica.replica_id.unique_id), reverse=True)
        return [[replica] for replica in ranked]


class Replica:
    """One engine."""

    def __init__(self, plan: Plan) -> None:
        described = manifest.read(plan.folder)
        config = Config(precision=plan.precision, threads=plan.threads, cache_mb=plan.cache_mb)
        self._host = load(plan.folder, described, config, SLOTS)
        self._watchdog = Watchdog(self._host.turns, self._host.pass_s)
        self._gate = Gate(described, plan.digests)
        metrics = Metrics(lambda: self._worker.under_way)
        self._worker = Worker(self._host, plan.at_once, fail=partial(os._exit, 1), book=metrics.book)
        self._threads = ThreadPoolExecutor(plan.at_once, thread_name_prefix="answer")

    async def __call__(self, http: HttpRequest) -> Response:
        """Answer one HTTP request."""
        request = self._gate.refusal(http.url.path, http.headers) or await self._read(http)
        if isinstance(request, Refusal):
            return PlainTextResponse(request.sentence, request.status)
        if request is None:
            return Response(framed(Hello(self._host.precision, os.getpid())), media_type=MEDIA_TYPE)
        if not self._worker.wants(request):
            return PlainTextResponse(BUSY.sentence, BUSY.status)
        return StreamingResponse(self._frames(request), media_type=MEDIA_TYPE)

    def check_health(self) -> None:
        """Raises `RuntimeError` if a pass does not end; Serve then starts another replica."""
        if self._watchdog.is_stuck(HEALTH_S):
            raise RuntimeError("a pass of the model does not end")

    async def _read(self, http: HttpRequest) -> Request | Refusal | None:
        """None for a `GET`, which asks who is here."""
        if http.method == "GET":
            return None
        body = bytearray()
        async for piece in http.stream():
            body += piece
            if len(body) > MOST_BYTES:
                return TOO_LONG
        return self._gate.read(bytes(body))

    async def _frames(self, request: Request) -> AsyncIterator[bytes]:
        """Whoever hangs up ends the work."""
        loop = asyncio.get_running_loop()
        frames: asyncio.Queue[bytes] = asyncio.Queue()
        deadline = Deadline(min(request.budget_ms, MOST_BUDGET_MS), request.gives_way)

        def send(frame: bytes) -> None:
            loop.call_soon_threadsafe(frames.put_nowait, frame)

        work = loop.run_in_executor(self._threads, self._worker.answer, request, deadline, send)
        work.add_done_callback(lambda ended: frames.put_nowait(b""))
        try:
            while piece := await frames.get():
                yield piece
        finally:
            deadline.cancel()


def run(plan: Plan) -> None:
    """Serve until this process is told to end. Raises `FlashLsError`."""
    ended = threading.Event()
    try:
        start(plan)
        for number in (signal.SIGINT, signal.SIGTERM):  # Ray has set its own
            signal.signal(number, lambda *_: ended.set())
        scheme = "https" if plan.certificate else "http"
        print(f"Serving {manifest.read(plan.folder).name} at {scheme}://{plan.host}:{plan.port}", flush=True)
        ended.wait()
    finally:
        stop()


def start(plan: Plan) -> None:
    """Have replicas of the plan running. Raises `FlashLsError`."""
    ray.init(
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _metrics_export_port=plan.metrics_port,
    )
    options = HTTPOptions(
        host=plan.host,
        port=plan.port,
        ssl_certfile=plan.certificate,
        ssl_keyfile=plan.key,
        request_timeout_s=LONGEST_S,
    )
    quiet = LoggingConfig(enable_access_log=False)
    try:
        serve.start(http_options=options, logging_config=quiet)
        serve.run(deployment(plan).bind(plan), name=APPLICATION, logging_config=quiet)
    except (RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise FlashLsError(f"The server cannot start: {error}") from error


def deployment(plan: Plan) -> serve.Deployment:
    """What Serve is told of the replicas."""
    scaling = AutoscalingConfig(
        min_replicas=plan.replicas,
        max_replicas=max(plan.replicas, plan.most_replicas),
        target_ongoing_requests=plan.target,
    )
    return serve.deployment(
        Replica,
        name="engine",
        autoscaling_config=scaling,
        max_ongoing_requests=plan.at_once,
        max_queued_requests=plan.queue,
        request_router_config=RequestRouterConfig(request_router_class=Router),
        health_check_period_s=HEALTH_S,
        graceful_shutdown_timeout_s=5.0,
        ray_actor_options={"num_cpus": 0},
    )


def stop() -> None:
    """End all of it."""
    with contextlib.suppress(Exception):
        serve.shutdown()
    ray.shutdown()
