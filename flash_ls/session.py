"""One client's session: its documents, settings, project and model, and what the user is told of them.

Everything here runs in the event loop. Knows nothing of prompts or models: a loader, which runs in its own thread,
brings the completer, and until then every request is answered with null.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from lsprotocol import types
from pygls.exceptions import FeatureNotificationError, FeatureRequestError, JsonRpcException, JsonRpcInternalError
from pygls.io_ import StdoutWriter
from pygls.lsp.server import LanguageServer

from flash_ls import __version__, log, process, status
from flash_ls.answering import Answering
from flash_ls.bookkeeping import Bookkeeping
from flash_ls.config import Config, parse, plain
from flash_ls.context import Context
from flash_ls.crash import CrashReports
from flash_ls.document import DocumentStore, Encoding, Snapshot
from flash_ls.errors import OWN_FAULT, Cancelled, DocumentError, FlashLsError, MessageError
from flash_ls.frames import Frames
from flash_ls.journal import Reason
from flash_ls.loading import Loader, Loading
from flash_ls.pro import place as pro_place
from flash_ls.pro.pro import Pro
from flash_ls.progress_bar import ProgressBar
from flash_ls.project import Project
from flash_ls.protocol import FlashProtocol, lenient_converter
from flash_ls.requests import Requests
from flash_ls.status import Said, Status
from flash_ls.suggester import Suggester
from flash_ls.uri import file_name, local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import BinaryIO

    from flash_ls.completer import Completer
    from flash_ls.document import Change
    from flash_ls.pro.pro import Answers

LOADED = ("enabled", "model", "precision", "threads", "cache_mb", "engine_url", "engine_unencrypted")
"""Settings that take a new completer."""
PRO = ("enabled", "model", "pro", "pro_url", "pro_model", "pro_prompt", "threads", "cache_mb")
"""Settings that take a new larger model."""
INDEXED = ("enabled", "exclude", "context_tokens")
"""Settings that take a new index."""
REFRESH = "flashLs/refresh"
"""Our own notification, of a document's uri: more is known of what is suggested there, for clients that ask again.

With `better` that is another text, which may stand where nothing was shown.
"""
STATUS = "flashLs/status"
"""Our own notification, of a state, a reason and a message, for clients that can show it."""
MOST_TOLD = 100
"""Sentences that a session shows to its user; the rest are in the log alone."""
PAUSE_S = 0.3
"""Longer than between two keys of somebody who types."""
REST_S = 0.1
"""Longer than between two steps of a cursor that is on its way."""

logger = logging.getLogger(__name__)


class FlashServer(LanguageServer):
    """The state of one client's session. Everything here runs in the event loop."""

    protocol: FlashProtocol

    def __init__(self, load: Loader[Completer], home: Path, config: Config, load_pro: Loader[Answers]) -> None:
        super().__init__("flash-ls", __version__, protocol_cls=FlashProtocol, converter_factory=lenient_converter)
        self.config = config
        self.documents = DocumentStore("utf-16", self.config.max_file_bytes)
        self.books = Bookkeeping(home, self._text, self.report, self._adapt)
        self.requests = Requests(self.books.spent)
        self.pro = Pro(self._tell_pro)
        better = partial(self._refresh, better=True)
        self.suggester = Suggester(self.requests, self._refresh, better, self.pro)
        self.status = Status(self._tell_status)
        self.crashes = CrashReports(home, "server", self._facts)
        self.answering = Answering(self.suggester, self.status, self.books, partial(self.tell, types.MessageType.Error))
        self._initial_config = self.config
        self._loading, self._loading_pro = Loading(load), Loading(load_pro)
        self._roots: list[str] = []
        self._project: Project | None = None
        self._context: Context | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._warming: asyncio.Future[None] | None = None
        self._told: set[str] = set()
        self._since = time.time()
        self._extensions: frozenset[str] = frozenset()
        self._shut_down = False
        self.begun = False
        """Whether the client has sent `initialize`."""

    def listen(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        """Serve until the input ends or the client sends `exit`."""
        self.protocol.set_writer(StdoutWriter(stdout))
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            asyncio.run(self._take_all(Frames(stdin)))

    async def _take_all(self, frames: Frames) -> None:
        while True:
            try:
                body = await asyncio.get_running_loop().run_in_executor(self.thread_pool, frames.read)
            except MessageError as error:
                self.tell(types.MessageType.Warning, str(error))
                self.lose(None)
                continue
            if body is None:
                return
            self.protocol.receive(body)

    def begin(self, encoding: Encoding, options: object, understood: frozenset[str]) -> None:
        """Take the negotiated encoding, the initializationOptions, and what of our own the client understands."""
        self._extensions, self.begun = understood, True
        self.documents = DocumentStore(encoding, self.config.max_file_bytes)
        self._initial_config = self._parsed(options)
        self._adopt(self._initial_config)

    def open_project(self, roots: list[str]) -> None:
        """Index these folders instead of any others, if the settings want it."""
        self.close_project()
        self._roots = roots
        if roots and self.config.enabled and self.config.context_tokens:
            self._project = Project(roots, self.config.exclude, lambda: not self.requests.idle)
            self._context = Context(self._project, self._project.index)
            self._project.start()
        self._adopt(self.config)

    def close_project(self) -> None:
        if self._project is not None:
            self._project.stop()
        self._project = self._context = None

    def file_changed(self, uri: str, text: str | None = None) -> None:
        """Have a file of the project read again: from `text` if it is open and changed, else from the disk."""
        if self._project is not None and (path := local_path(uri)):
            self._project.changed(path, text)

    async def reconfigure(self, settings: object) -> None:
        """Lay settings over the initial ones; loads the model again if it is to be another or to run otherwise."""
        before, after = self.config, self._parsed(settings)
        self._adopt(after)
        if any(getattr(before, key) != getattr(after, key) for key in INDEXED):
            self.open_project(self._roots)
        if any(getattr(before, key) != getattr(after, key) for key in LOADED):
            await self.load_completer()
        if any(getattr(before, key) != getattr(after, key) for key in PRO):
            await self.load_pro()

    async def load_pro(self) -> None:
        """Make the larger model of the present configuration ready, if it names one, instead of any other."""
        self._loading_pro.cancel()
        self.pro.begin(pro_place.name_of(self.config), for_bodies=bool(self.config.pro_url))
        if not self.pro.name:
            return
        try:
            self.pro.ready(await self._loading_pro.run(self.config, lambda label, done: None))
            self._adopt(self.config)
        except Cancelled:
            logger.info("load pro reason=cancelled")
        except FlashLsError as error:
            self.pro.fail(str(error))

    async def load_completer(self) -> None:
        """Load the model of the present configuration, instead of any other that is loaded or loading."""
        self.suggester.completer = None
        self._loading.cancel()
        if not self.config.enabled:
            self.status.set(status.OFF)
            return
        self.status.set(status.LOADING)
        bar = ProgressBar(self)
        try:
            self.suggester.serve(await self._loading.run(self.config, bar.show))
            self._adopt(self.config)
            self.books.loaded()
            self.status.set(status.READY)
            logger.info("load", {"reason": "ready", "model": self.config.model})
        except Cancelled:
            logger.info("load", {"reason": "cancelled"})
        except FlashLsError as error:
            self.status.set(status.failed(str(error)))
            self.tell(types.MessageType.Error, str(error))
        except Exception:
            self.status.set(status.failed(OWN_FAULT))
            raise
        finally:
            bar.end()

    def open(self, uri: str, language_id: str, version: int, text: str) -> None:
        """Keep a document, if there are not too many."""
        self.close(uri)
        try:
            self.documents.open(uri, language_id, version, text)
        except DocumentError as error:
            self.tell(types.MessageType.Warning, str(error))

    def lose(self, uri: str | None) -> None:
        """A message could not be read: forget the document whose text is not known any more, or all of them."""
        name = "your open files" if uri is None else file_name(uri)
        self.tell(types.MessageType.Warning, f"A message of your editor cannot be read; close {name} and open again.")
        for lost in [uri] if uri is not None else self.documents.uris:
            self.close(lost)

    def edit(self, uri: str, version: int, changes: Iterable[Change]) -> None:
        """Change a document, if it is open."""
        try:
            edits = self.documents.change(uri, version, changes)
            self.books.edited(self.documents.get(uri).uri, edits)
        except DocumentError as error:
            logger.warning(str(error))
        self.changed(uri)

    def close(self, uri: str) -> None:
        """Forget a document, if it is open."""
        if uri in self.documents:
            self.books.closed(self.documents.get(uri).uri)
        self.documents.close(uri)
        self.books.report_soon()
        self.suggester.changed(uri, None)

    def requested(self, uri: str, position: types.Position) -> Snapshot | None:
        """The document for which completions are requested, or None, which is noted as well."""
        snapshot = self.snapshot(uri, position)
        if snapshot is None:
            self.answering.refuse(uri, Reason.TOO_LARGE if uri in self.documents else Reason.NOT_OPEN)
        return snapshot

    def snapshot(self, uri: str, position: types.Position) -> Snapshot | None:
        """The document now, or None, with the reason in the log, if it is not open or too large."""
        try:
            document = self.documents.get(uri)
        except DocumentError as error:
            logger.warning(str(error))
            return None
        try:
            return document.snapshot(position.line, position.character)
        except DocumentError as error:
            self.tell(types.MessageType.Warning, str(error))
            return None

    def report(self) -> dict[str, object]:
        """What this server is, what it does, and how the last requests ended. No code is in it."""
        said = self.status.now._asdict()
        precision = self.suggester.completer.precision if self.suggester.completer else self.config.precision
        facts = {"version": __version__, "model": self.config.model, "precision": precision}
        pro = {"pro_requests": self.pro.report()}
        held = {"since": self._since, "documents": len(self.documents)}
        return {**said, **facts, **pro, **held, **self.books.journal.as_dict()}

    def _facts(self) -> dict[str, object]:
        """What the report of a crash says of this server."""
        return {"settings": plain(self.config), "reasons": self.books.journal.reasons()}

    def changed(self, uri: str) -> None:
        """Stop what runs for the document, and read it ahead once its user pauses without asking for a completion."""
        self.suggester.changed(uri, self._at_edit(uri))
        self._wait(PAUSE_S, lambda: self._paused(uri))

    def moved(self, uri: str, position: types.Position) -> None:
        """Read a document ahead where its user may type next."""
        self.suggester.moved(self.snapshot(uri, position))
        self._wait(REST_S, lambda: self._warm(self.snapshot(uri, position)))

    def _wait(self, pause_s: float, do: Callable[[], None]) -> None:
        """Do something unless there is something else to wait for before that."""
        if self._pause is not None:
            self._pause.cancel()
        self._pause = asyncio.get_running_loop().call_later(pause_s, do)

    def _paused(self, uri: str) -> None:
        with contextlib.suppress(DocumentError):  # closed meanwhile
            self.file_changed(uri, self.documents.get(uri).text)
        self._warm(self._at_edit(uri))

    def _at_edit(self, uri: str) -> Snapshot | None:
        """The document where it was edited last, if it is open."""
        with contextlib.suppress(DocumentError):
            return self.documents.get(uri).snapshot_at_edit()
        return None

    def _warm(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None and not self._shut_down:
            self._warming = asyncio.ensure_future(self._read_ahead(snapshot))

    async def _read_ahead(self, snapshot: Snapshot) -> None:
        with contextlib.suppress(FlashLsError):  # a request would tell it as well
            await self.suggester.warm(snapshot)

    def _text(self, uri: str, start: int, end: int) -> str:
        """A part of a document, if it is open."""
        return self.documents.get(uri).text[start:end] if uri in self.documents else ""

    def _refresh(self, uri: str, better: bool = False) -> None:
        if "refresh" in self._extensions:
            self.protocol.notify(REFRESH, {"uri": uri} | ({"better": True} if better else {}))

    def _tell_pro(self) -> None:
        self.status.pro(self.pro.sentence)

    def _tell_status(self, said: Said) -> None:
        self.books.report_soon()
        if "status" in self._extensions:
            self.protocol.notify(STATUS, said._asdict())

    def tell(self, kind: types.MessageType, sentence: str, fault: BaseException | None = None) -> None:
        """Log a sentence, with the fault of ours that it is about, and show it to the user who has not seen it yet."""
        logger.log(logging.ERROR if kind is types.MessageType.Error else logging.WARNING, sentence, exc_info=fault)
        if sentence not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(sentence)
            self.window_show_message(types.ShowMessageParams(kind, sentence))

    def stop(self) -> None:
        """Cancel all work and take no more (LSP: shutdown)."""
        self._shut_down = True
        self.books.stop()
        self.close_project()
        self._loading.stop()
        self._loading_pro.stop()
        self.pro.stop()
        self.requests.stop()

    def finish(self, exit_code: int = 1) -> NoReturn:
        """End the process, with 0 if the client has asked for it, or with `exit_code` (LSP: exit)."""
        exit_code = 0 if self._shut_down else exit_code
        self.stop()
        process.end(exit_code, self._join)

    def finish_soon(self, exit_code: int) -> None:
        """The same from a signal handler, which may have interrupted anything."""
        try:
            asyncio.get_running_loop().call_soon_threadsafe(self.finish, exit_code)
        except RuntimeError:  # nothing runs yet
            self.finish(exit_code)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Called by pygls for what it cannot read, and for what no handler caught: only that is told to the user."""
        of_a_handler = source in (FeatureRequestError, FeatureNotificationError)
        if of_a_handler and (isinstance(error, JsonRpcInternalError) or not isinstance(error, JsonRpcException)):
            self.tell(types.MessageType.Error, OWN_FAULT, sys.exc_info()[1])
        else:
            logger.warning("A message of the editor cannot be used (%(error)s).", {"error": error})

    def _parsed(self, settings: object) -> Config:
        """The settings laid over the initial ones, and a message for whatever cannot be used."""
        config, faults = parse(settings, self._initial_config, self.config)
        for sentence in faults:
            self.tell(types.MessageType.Warning, sentence)
        return config

    def _adopt(self, config: Config) -> None:
        self.config = config
        log.set_level(config.log_level)
        self.documents.limit(config.max_file_bytes)
        self.suggester.forget()
        self.suggester.budget_ms = config.budget_ms
        self.pro.budget_ms, self.pro.budget.per_hour = config.pro_budget_ms, config.pro_per_hour
        self.books.count(config.statistics)
        self._adapt()
        if self.suggester.completer is not None:
            self.suggester.completer.context = self._context
        if self.pro.answers is not None:
            self.pro.answers.config = config
            self.pro.answers.context = Context(self._project, self._project.index) if self._project else None

    def _adapt(self) -> None:
        """Have the completer show what this user has use for. The settings themselves stay."""
        if self.suggester.completer is not None:
            self.suggester.completer.config = self.books.adapted(self.config)

    def _join(self) -> None:
        self.books.join()
        self.crashes.end()  # before what may never end
        self.requests.join()
        self.pro.join()
        self._loading.join()
        self._loading_pro.join()
