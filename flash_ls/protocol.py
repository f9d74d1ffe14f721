"""How messages are read: texts go to our store alone, and clients may differ from the letter of the specification.

With `server` and `progress_bar`, the only module that knows pygls and lsprotocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.protocol import LanguageServerProtocol, default_converter, lsp_method

from flash_ls.config import SECTION
from flash_ls.document import Change, Place

if TYPE_CHECKING:
    from cattrs import Converter

    from flash_ls.server import FlashServer

LARGEST_UINTEGER = 2**31 - 1


class FlashProtocol(LanguageServerProtocol):
    """pygls' protocol, but texts go to our store alone: pygls' own takes a form feed for a line end."""

    _server: FlashServer

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        self._server.close(document.uri)
        self._server.documents.open(document.uri, document.language_id, document.version, document.text)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        document = params.text_document
        self._server.edit(document.uri, document.version, map(_change, params.content_changes))

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._server.close(params.text_document.uri)
        self._server.file_changed(params.text_document.uri)

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


def lenient_converter() -> Converter:
    """pygls' converter, but it reads what clients send against the letter of the specification."""
    converter: Converter = default_converter()  # type: ignore[no-untyped-call]
    converter.register_structure_hook(types.Position, lambda data, _: read_position(data))
    converter.register_structure_hook(types.Range, lambda data, _: _read_range(data))
    converter.register_structure_hook(types.InlineCompletionParams, lambda data, _: _read_inline_params(data))
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


def _change(event: types.TextDocumentContentChangeEvent) -> Change:
    if isinstance(event, types.TextDocumentContentChangeWholeDocument):
        return event.text
    return place(event.range.start), place(event.range.end), event.text


def place(position: types.Position) -> Place:
    return position.line, position.character
