"""How messages are read: texts go to our store alone, and clients may differ from the letter of the specification.

With `server` and `progress_bar`, the only module that knows pygls and lsprotocol.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.protocol import LanguageServerProtocol, default_converter, lsp_method
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage

from flash_ls.config import SECTION
from flash_ls.document import Change, Place

if TYPE_CHECKING:
    from cattrs import Converter

    from flash_ls.session import FlashServer

LARGEST_UINTEGER = 2**31 - 1
MOST_PENDING = 256
"""Requests and changes of settings that are under way, from either end."""

logger = logging.getLogger(__name__)


class FlashProtocol(LanguageServerProtocol):
    """pygls' protocol, but texts go to our store alone: pygls' own takes a form feed for a line end."""

    _server: FlashServer

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        self._server.open(document.uri, document.language_id, document.version, document.text)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        document = params.text_document
        self._server.edit(document.uri, document.version, map(_change, params.content_changes))

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._server.close(params.text_document.uri)
        self._server.file_changed(params.text_document.uri)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def lsp_notebook_document__did_open(self, params: types.DidOpenNotebookDocumentParams) -> None:
        """Not offered: cells come as documents of their own. pygls would keep their texts."""

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def lsp_notebook_document__did_change(self, params: types.DidChangeNotebookDocumentParams) -> None:
        """Not offered."""

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def lsp_notebook_document__did_close(self, params: types.DidCloseNotebookDocumentParams) -> None:
        """Not offered."""

    @lsp_method(types.WINDOW_WORK_DONE_PROGRESS_CANCEL)
    def lsp_work_done_progress_cancel(self, params: types.WorkDoneProgressCancelParams) -> None:
        """Not offered: a load is ended by the settings."""

    def receive(self, body: bytes) -> None:
        """Handle one message. What cannot be read is logged, answered if it is a request, and costs no other."""
        try:
            data = json.loads(body.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            self._server.lose(None)
            return
        if not isinstance(data, dict):
            logger.warning("A message of the editor is no object and is left out.")
        elif refusal := self._refusal(data):
            self._refuse(data, refusal)
        else:
            self._take(data)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Also answers a request that cannot be read, and gives up a document whose change cannot be."""
        try:
            return super().structure_message(data | {"jsonrpc": self.VERSION})
        except JsonRpcException as error:
            self._refuse(data, error.to_response_error())
            if data.get("method") == types.TEXT_DOCUMENT_DID_CHANGE:
                self._server.lose(_uri_in(data.get("params")))
            raise

    def _take(self, data: dict[str, Any]) -> None:
        try:
            message = self.structure_message(data)
            self.handle_message(message)
        except Exception as error:
            self._server.report_server_error(error, JsonRpcException)
            return
        if "method" in data and "id" in data and not hasattr(message, "id"):
            self._send_response(data["id"])  # a notification that came as a request

    def _refusal(self, data: dict[str, Any]) -> types.ResponseError | None:
        """Why a message is not to be handled now, or None (LSP: Lifecycle Messages)."""
        method, codes = data.get("method"), types.LSPErrorCodes
        answers = "method" not in data and "id" in data
        if not (answers or isinstance(method, str)) or ("id" in data and type(data["id"]) not in (int, str)):
            return types.ResponseError(types.ErrorCodes.InvalidRequest, "A message needs a method and a number as id.")
        if method in (None, types.EXIT):
            return None
        if (method == types.INITIALIZE) == self._server.begun or self._shutdown:
            code = types.ErrorCodes.InvalidRequest if self._server.begun else types.ErrorCodes.ServerNotInitialized
            return types.ResponseError(code, "A client sends initialize first and once, and only exit after shutdown.")
        if len(self._request_futures) >= MOST_PENDING and (
            "id" in data or method == types.WORKSPACE_DID_CHANGE_CONFIGURATION
        ):
            return types.ResponseError(codes.RequestFailed, f"{MOST_PENDING} requests are under way; wait for answers.")
        return None

    def _refuse(self, data: dict[str, Any], error: types.ResponseError) -> None:
        """Answer a request with an error. An answer that cannot be read is one for who waits for it."""
        logger.warning("A message of the editor is refused (%(error)s).", {"error": error.message})
        msg_id = data.get("id")
        if not isinstance(msg_id, int | str | float):
            return  # nobody could tell what it answers
        if "method" in data:
            self._send_response(msg_id, error=error)  # type: ignore[arg-type]
        else:
            self._handle_response(msg_id, error=error)

    def _handle_response(self, msg_id: Any, result: Any = None, error: types.ResponseError | None = None) -> None:
        """Only what is waited for: a client's own request may have the same id."""
        if isinstance(self._request_futures.get(msg_id), Future):
            super()._handle_response(msg_id, result, error)

    def _check_handler_result(self, future: Any) -> None:
        """pygls keeps what handled a notification for ever."""
        under_way = {key: other for key, other in self._request_futures.items() if not other.done()}
        self._request_futures = under_way
        super()._check_handler_result(future)

    def _send_data(self, data: Any) -> None:
        try:
            super()._send_data(data)
        except BrokenPipeError:
            self._server.finish()


def lenient_converter() -> Converter:
    """pygls' converter, but it reads what clients send against the letter of the specification."""
    converter: Converter = default_converter()  # type: ignore[no-untyped-call]
    converter.register_structure_hook(types.Position, lambda data, _: read_position(data))
    converter.register_structure_hook(types.Range, lambda data, _: _read_range(data))
    converter.register_structure_hook(types.InlineCompletionParams, lambda data, _: _read_inline_params(data))
    converter.register_structure_hook(types.TextDocumentItem, lambda data, _: _read_document(data))
    converter.register_structure_hook(types.VersionedTextDocumentIdentifier, lambda data, _: _read_identifier(data))
    for kind in (JsonRPCNotification, JsonRPCRequestMessage):  # pygls' own makes a class for each object in them
        converter.register_structure_hook(kind, _read_unknown)
    return converter


def extensions(capabilities: types.ClientCapabilities) -> frozenset[str]:
    """Which notifications of our own the client understands: what is true in its `experimental.flashLs`."""
    told = capabilities.experimental
    ours = told.get(SECTION) if isinstance(told, dict) else None
    return frozenset(name for name, yes in ours.items() if yes is True) if isinstance(ours, dict) else frozenset()


def read_position(data: Mapping[str, Any]) -> types.Position:
    """A number outside the protocol's uinteger becomes the nearest inside. Raises `KeyError` and `ValueError`."""
    line, character = (min(max(int(data[key]), 0), LARGEST_UINTEGER) for key in ("line", "character"))
    return types.Position(line, character)


def _read_range(data: Any) -> types.Range:
    """Either `{start, end}` or, as VS Code writes its own ranges, `[start, end]`."""
    start, end = data if isinstance(data, list) else (data["start"], data["end"])
    return types.Range(read_position(start), read_position(end))


def _read_document(data: Mapping[str, Any]) -> types.TextDocumentItem:
    """The version may be missing, or null, as in old clients, or too large."""
    return types.TextDocumentItem(
        _text(data["uri"]), str(data.get("languageId", "")), _version(data), _text(data["text"])
    )


def _read_identifier(data: Mapping[str, Any]) -> types.VersionedTextDocumentIdentifier:
    """The same holds here."""
    return types.VersionedTextDocumentIdentifier(_version(data), _text(data["uri"]))


def _read_inline_params(data: Mapping[str, Any]) -> types.InlineCompletionParams:
    """The context may be missing, and its trigger kind missing or 0 (VS Code's own number for Invoked)."""
    context = data.get("context") or {}
    automatic = context.get("triggerKind") == types.InlineCompletionTriggerKind.Automatic
    kind = types.InlineCompletionTriggerKind.Automatic if automatic else types.InlineCompletionTriggerKind.Invoked
    info = context.get("selectedCompletionInfo")
    selected = types.SelectedCompletionInfo(_read_range(info["range"]), info["text"]) if info else None
    document = types.TextDocumentIdentifier(data["textDocument"]["uri"])
    return types.InlineCompletionParams(
        types.InlineCompletionContext(kind, selected), document, read_position(data["position"])
    )


def _version(data: Mapping[str, Any]) -> int:
    return min(max(int(data.get("version") or 0), -LARGEST_UINTEGER - 1), LARGEST_UINTEGER)


def _text(value: object) -> str:
    """Raises `TypeError` for anything else: a text that is none must not become one."""
    if not isinstance(value, str):
        raise TypeError(f"a text must be a string, not {type(value).__name__}")
    return value


def _read_unknown(data: Mapping[str, Any], kind: type) -> Any:
    """A message that the specification does not have."""
    names = ("id", "method", "jsonrpc") if "id" in data else ("method", "jsonrpc")
    return kind(**{name: data[name] for name in names}, params=data.get("params"))


def _uri_in(params: Any) -> str | None:
    """Of the document that a message is about, as far as can be told."""
    document = params.get("textDocument") if isinstance(params, dict) else None
    uri = document.get("uri") if isinstance(document, dict) else None
    return uri if isinstance(uri, str) else None


def _change(event: types.TextDocumentContentChangeEvent) -> Change:
    if isinstance(event, types.TextDocumentContentChangeWholeDocument):
        return event.text
    return place(event.range.start), place(event.range.end), event.text


def place(position: types.Position) -> Place:
    return position.line, position.character
