"""The language server: what an editor asks, turned into calls of the completer, and its answers turned back.

The only module that knows pygls and lsprotocol. Handlers fetch, call and convert. Knows nothing of prompts or models:
a loader, which runs in its own thread, brings the completer, and until then every request is answered with null.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import FeatureNotificationError, FeatureRequestError, JsonRpcException, JsonRpcInternalError
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, default_converter, lsp_method

from flash_ls import __version__, process
from flash_ls.config import SECTION, Config, parse, section_of
from flash_ls.document import Change, Document, DocumentStore, Encoding, Place, Snapshot
from flash_ls.errors import Cancelled, ConfigError, DocumentError, FlashLsError
from flash_ls.loading import Loader, Loading
from flash_ls.requests import Requests
from flash_ls.suggestion import extension, label, whole_word
from flash_ls.uri import file_name, normalise

if TYPE_CHECKING:
    from cattrs import Converter

    from flash_ls.completer import Completer, Completion
    from flash_ls.engine.decode import GenerationStats

LARGEST_UINTEGER = 2**31 - 1
TRIGGER_CHARACTERS = [".", ":", "(", "[", "{", "=", ",", " "]
"""Where a client without inline completion asks for its menu, besides the start of a word."""

logger = logging.getLogger(__name__)


class FlashServer(LanguageServer):
    """The state of one client's session. Everything here runs in the event loop."""

    def __init__(self, load: Loader) -> None:
        super().__init__("flash-ls", __version__, protocol_cls=FlashProtocol, converter_factory=lenient_converter)
        self.config = Config()
        self.documents = DocumentStore("utf-16", self.config.max_file_bytes)
        self.requests = Requests()
        self._initial_config = self.config
        self._loading = Loading(load)
        self._completer: Completer | None = None
        self._told: set[str] = set()
        self._shut_down = False

    def begin(self, encoding: Encoding, options: object) -> None:
        """Take the negotiated encoding and the initializationOptions."""
        self.documents = DocumentStore(encoding, self.config.max_file_bytes)
        self._initial_config = self._parsed(options)
        self._adopt(self._initial_config)

    async def reconfigure(self, settings: object) -> None:
        """Lay settings over the initial ones; loads the model again if it is another or has other threads."""
        before, after = self.config, self._parsed(settings)
        self._adopt(after)
        if (before.enabled, before.model, before.threads) != (after.enabled, after.model, after.threads):
            await self.load_completer()

    async def load_completer(self) -> None:
        """Load the model of the present configuration, instead of any other that is loaded or loading."""
        self._completer = None
        self._loading.cancel()
        if not self.config.enabled:
            return
        bar = ProgressBar(self)
        try:
            self._completer = await self._loading.run(self.config, bar.show)
            self._completer.config = self.config
            logger.info("load reason=ready model=%s", self.config.model)
        except Cancelled:
            logger.info("load reason=cancelled")
        except FlashLsError as error:
            self.tell(types.MessageType.Error, str(error))
        finally:
            bar.end()

    def snapshot(self, uri: str, position: types.Position) -> Snapshot | None:
        """The document now, or None, with the reason in the log, if it is not open or too large."""
        try:
            document = self.documents.get(uri)
        except DocumentError as error:
            logger.warning("%s", error)
            return None
        try:
            return document.snapshot(position.line, position.character)
        except DocumentError as error:
            self.tell(types.MessageType.Warning, str(error))
            return None

    async def complete(self, snapshot: Snapshot) -> Completion | None:
        """What to show at the cursor, or None. Replaces the request of the same document that runs or waits."""
        if self._completer is None:
            return None
        began, reason, completion = time.monotonic(), "cancelled", None
        key, work = normalise(snapshot.uri), partial(self._completer.complete, snapshot)
        try:
            completion = await self.requests.run(key, self.config.budget_ms, work)
            reason = completion.reason if completion else "superseded"
        except FlashLsError as error:
            reason = "error"
            self.tell(types.MessageType.Error, str(error))
        finally:
            _log_request(snapshot, reason, began, completion.stats if completion else None)
        return completion if completion and completion.text else None

    def tell(self, kind: types.MessageType, sentence: str) -> None:
        """Log a sentence, and show it to the user who has not seen it yet."""
        logger.warning("%s", sentence)
        if sentence not in self._told:
            self._told.add(sentence)
            self.window_show_message(types.ShowMessageParams(kind, sentence))

    def stop(self) -> None:
        """Cancel all work and take no more (LSP: shutdown)."""
        self._shut_down = True
        self._loading.stop()
        self.requests.stop()

    def shutdown(self) -> None:
        """Called by pygls at the end; its own waits for a reader that may be blocked on stdin for ever."""
        self.thread_pool.shutdown(wait=False)

    def finish(self) -> NoReturn:
        """End the process, whether the client has asked for it or is gone (LSP: exit)."""
        exit_code = 0 if self._shut_down else 1
        self.stop()
        process.end(exit_code, self._join)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Called by pygls for what it cannot read, and for what no handler caught: only that is told to the user."""
        logger.error("%s: %s", type(error).__name__, error)
        if isinstance(error, JsonRpcInternalError) and source in (FeatureRequestError, FeatureNotificationError):
            logger.error("%s", "".join((error.data or {}).get("traceback", [])))
            self.tell(types.MessageType.Error, "flash-ls met an error of its own; please report it with its log.")

    def _parsed(self, settings: object) -> Config:
        """The settings laid over the initial ones, or those in force, and a message, if one cannot be used."""
        try:
            config, unknown = parse(section_of(settings), self._initial_config)
        except ConfigError as error:
            self.tell(types.MessageType.Error, str(error))
            return self.config
        if unknown:
            names = ", ".join(f"{SECTION}.{key}" for key in unknown)
            self.tell(types.MessageType.Warning, f"flash-ls has no setting {names}; correct your editor's settings.")
        return config

    def _adopt(self, config: Config) -> None:
        self.config = config
        self.documents.limit(config.max_file_bytes)
        if self._completer is not None:
            self._completer.config = config

    def _join(self) -> None:
        self.requests.join()
        self._loading.join()


class FlashProtocol(LanguageServerProtocol):
    """pygls' protocol, but texts go to our store alone: pygls' own takes a form feed for a line end."""

    _server: FlashServer

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        self._server.requests.cancel(normalise(document.uri))
        self._server.documents.open(document.uri, document.language_id, document.version, document.text)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        document = params.text_document
        self._server.requests.cancel(normalise(document.uri))
        try:
            self._server.documents.change(document.uri, document.version, map(_change, params.content_changes))
        except DocumentError as error:
            logger.warning("%s", error)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._server.requests.cancel(normalise(params.text_document.uri))
        self._server.documents.close(params.text_document.uri)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Also answers a request that cannot be read: pygls only logs it, and the client would wait for ever."""
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if "id" in data and "method" in data:
                self._send_response(data["id"], error=error.to_response_error())
            raise

    def _send_data(self, data: Any) -> None:
        try:
            super()._send_data(data)
        except BrokenPipeError:
            self._server.finish()


class ProgressBar:
    """One load shown in a client that can show it (LSP: Work Done Progress)."""

    def __init__(self, server: FlashServer) -> None:
        self._bars = server.work_done_progress
        self._token = str(uuid.uuid4())
        self._shown = False
        self._ended = False
        if get_capability(server.client_capabilities, "window.work_done_progress"):
            created = server.window_work_done_progress_create(types.WorkDoneProgressCreateParams(self._token))
            created.add_done_callback(self._begin)

    def show(self, label: str, fraction: float) -> None:
        if self._shown:
            report = types.WorkDoneProgressReport(message=label, percentage=round(100 * fraction))
            self._bars.report(self._token, report)

    def end(self) -> None:
        self._ended = True
        if self._shown:
            self._shown = False
            self._bars.end(self._token, types.WorkDoneProgressEnd())

    def _begin(self, created: Future[None]) -> None:
        if not (self._ended or created.cancelled() or created.exception()):
            self._shown = True
            self._bars.begin(self._token, types.WorkDoneProgressBegin("flash-ls", percentage=0))


def initialize(server: FlashServer, params: types.InitializeParams) -> None:
    encoding = types.PositionEncodingKind(server.workspace.position_encoding)
    server.begin(encoding.value, params.initialization_options)
    if get_capability(params.capabilities, "text_document.inline_completion") is None:
        options = types.CompletionOptions(trigger_characters=TRIGGER_CHARACTERS)
        server.feature(types.TEXT_DOCUMENT_COMPLETION, options)(completion)


async def initialized(server: FlashServer, params: types.InitializedParams) -> None:
    await server.load_completer()


async def did_change_configuration(server: FlashServer, params: types.DidChangeConfigurationParams) -> None:
    settings = params.settings
    if settings is None and get_capability(server.client_capabilities, "workspace.configuration"):
        asked = types.ConfigurationParams([types.ConfigurationItem(section=SECTION)])
        settings = next(iter(await server.workspace_configuration_async(asked)), None)
    await server.reconfigure(settings)


async def inline_completion(
    server: FlashServer, params: types.InlineCompletionParams
) -> list[types.InlineCompletionItem] | None:
    """One item or null; some clients take an empty list or an error badly (LSP: textDocument/inlineCompletion)."""
    uri, selected = params.text_document.uri, params.context.selected_completion_info
    snapshot = server.snapshot(uri, params.position)
    if snapshot is None:
        return None
    document = server.documents.get(uri)
    if selected is not None:
        return await _complete_selected(server, document, snapshot, selected)
    answer = await server.complete(snapshot)
    if answer is None:
        return None
    return [types.InlineCompletionItem(answer.text, range=_range(document, answer.start, answer.end))]


async def completion(server: FlashServer, params: types.CompletionParams) -> types.CompletionList:
    """The same for a client without inline completion, as one item of its menu (LSP: textDocument/completion)."""
    snapshot = server.snapshot(params.text_document.uri, params.position)
    answer = await server.complete(snapshot) if snapshot else None
    document = server.documents.get(params.text_document.uri) if answer else None
    items = [_menu_item(document, snapshot, answer)] if document and snapshot and answer else []
    return types.CompletionList(is_incomplete=True, items=items)


def shutdown(server: FlashServer, params: None) -> None:
    server.stop()


def create_server(load: Loader) -> FlashServer:
    """A server that has not started. `load` is called in a thread of its own once the client is ready."""
    server = FlashServer(load)
    server.feature(types.INITIALIZE)(initialize)
    server.feature(types.INITIALIZED)(initialized)
    server.feature(types.SHUTDOWN)(shutdown)
    server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(did_change_configuration)
    server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(inline_completion)
    return server


def serve(load: Loader) -> NoReturn:
    """Serve on stdin and stdout until the client leaves, then end the process: with 0 after `shutdown`, else with 1."""
    process.log_to_stderr()
    logging.getLogger("pygls").setLevel(logging.CRITICAL)  # it logs whole messages, and the user's code with them
    server = create_server(load)
    server.start_io(stdout=process.reserve_stdout())
    server.finish()


def lenient_converter() -> Converter:
    """pygls' converter, but it reads what clients send against the letter of the specification."""
    converter: Converter = default_converter()  # type: ignore[no-untyped-call]
    converter.register_structure_hook(types.Position, lambda data, _: _read_position(data))
    converter.register_structure_hook(types.Range, lambda data, _: _read_range(data))
    converter.register_structure_hook(types.InlineCompletionParams, lambda data, _: _read_inline_params(data))
    return converter


def _read_position(data: Mapping[str, Any]) -> types.Position:
    """A number outside the protocol's uinteger becomes the nearest inside."""
    line, character = (min(max(int(data[key]), 0), LARGEST_UINTEGER) for key in ("line", "character"))
    return types.Position(line, character)


def _read_range(data: Any) -> types.Range:
    """Either `{start, end}` or, as VS Code writes its own ranges, `[start, end]`."""
    start, end = data if isinstance(data, list) else (data["start"], data["end"])
    return types.Range(_read_position(start), _read_position(end))


def _read_inline_params(data: Mapping[str, Any]) -> types.InlineCompletionParams:
    """The context may be missing, and its trigger kind missing or 0 (VS Code's own number for Invoked)."""
    context = data.get("context") or {}
    automatic = context.get("triggerKind") == types.InlineCompletionTriggerKind.Automatic
    kind = types.InlineCompletionTriggerKind.Automatic if automatic else types.InlineCompletionTriggerKind.Invoked
    info = context.get("selectedCompletionInfo")
    selected = types.SelectedCompletionInfo(_read_range(info["range"]), info["text"]) if info else None
    document = types.TextDocumentIdentifier(data["textDocument"]["uri"])
    return types.InlineCompletionParams(
        types.InlineCompletionContext(kind, selected), document, _read_position(data["position"])
    )


def _change(event: types.TextDocumentContentChangeEvent) -> Change:
    if isinstance(event, types.TextDocumentContentChangeWholeDocument):
        return event.text
    return _place(event.range.start), _place(event.range.end), event.text


def _place(position: types.Position) -> Place:
    return position.line, position.character


def _range(document: Document, start: int, end: int) -> types.Range:
    return types.Range(types.Position(*document.position(start)), types.Position(*document.position(end)))


async def _complete_selected(
    server: FlashServer, document: Document, snapshot: Snapshot, selected: types.SelectedCompletionInfo
) -> list[types.InlineCompletionItem] | None:
    """Complete what follows the selected item of the menu, as if it had been accepted (LSP: SelectedCompletionInfo)."""
    start, end = (document.offset(*_place(position)) for position in (selected.range.start, selected.range.end))
    if not start <= snapshot.cursor <= end:
        return None
    accepted = snapshot.replaced(start, end, selected.text)
    answer = await server.complete(accepted)
    text = answer and extension(accepted, start, answer)
    return [types.InlineCompletionItem(text, range=selected.range)] if text else None


def _menu_item(document: Document, snapshot: Snapshot, completion: Completion) -> types.CompletionItem:
    """An item that replaces the word before the cursor too: menus compare their items with that word."""
    start, text = whole_word(snapshot, completion)
    return types.CompletionItem(
        label=label(text),
        kind=types.CompletionItemKind.Text,
        sort_text="!",  # before every letter and digit
        filter_text=text,
        insert_text_mode=types.InsertTextMode.AsIs,
        text_edit=types.TextEdit(_range(document, start, completion.end), text),
    )


def _log_request(snapshot: Snapshot, reason: str, began: float, stats: GenerationStats | None) -> None:
    """One line, with nothing of the user's code in it but the file's name."""
    logger.info(
        "complete file=%s version=%d reason=%s ms=%.0f prompt_tokens=%d cached_tokens=%d",
        file_name(snapshot.uri),
        snapshot.version,
        reason,
        (time.monotonic() - began) * 1000,
        stats.prompt_tokens if stats else 0,
        stats.cached_tokens if stats else 0,
    )
