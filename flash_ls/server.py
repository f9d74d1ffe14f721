"""The language server: what an editor asks, turned into calls of its session, and the answers turned back.

Handlers fetch, call and convert.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import uuid
from typing import TYPE_CHECKING, Any, NoReturn

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import JsonRpcException

from flash_ls import log, process
from flash_ls.config import SECTION, Config
from flash_ls.document import Document, Snapshot
from flash_ls.language import EXTENSIONS
from flash_ls.loading import Loader
from flash_ls.pro import place as pro_place
from flash_ls.protocol import extensions, place, read_position
from flash_ls.session import FlashServer
from flash_ls.suggestion import extension, label, whole_word
from flash_ls.uri import local_path

if TYPE_CHECKING:
    from pathlib import Path

    from flash_ls.completer import Completer, Completion

TRIGGER_CHARACTERS = [".", ":", "(", "[", "{", "=", ",", " "]
"""Where a client without inline completion asks for its menu, besides the start of a word."""
WATCHED = f"**/*.{{{','.join(EXTENSIONS)}}}"
"""Files that the client shall tell us of when they change on the disk."""
DID_MOVE_CURSOR = "flashLs/didMoveCursor"
"""Our own notification, of a text document and a position, for clients that can send it."""
SHOW_STATUS = "flashLs.status"
"""Our own command, which tells the same and the last requests."""
MOST_ROOTS = 100
"""Folders of a client that are indexed."""
MOST_ITEMS = 3
"""Completions for somebody who asks for them."""

logger = logging.getLogger(__name__)


def initialize(server: FlashServer, params: types.InitializeParams) -> None:
    encoding = types.PositionEncodingKind(server.workspace.position_encoding)
    server.begin(encoding.value, params.initialization_options, extensions(params.capabilities))
    if get_capability(params.capabilities, "text_document.inline_completion") is None:
        options = types.CompletionOptions(trigger_characters=TRIGGER_CHARACTERS)
        server.feature(types.TEXT_DOCUMENT_COMPLETION, options)(completion)


async def initialized(server: FlashServer, params: types.InitializedParams) -> None:
    server.open_project(_roots(server))
    if get_capability(server.client_capabilities, "workspace.did_change_watched_files.dynamic_registration"):
        options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher(WATCHED)])
        watch = types.Registration(str(uuid.uuid4()), types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        server.client_register_capability(types.RegistrationParams([watch]))
    await server.load_completer()
    await server.load_pro()


def did_change_watched_files(server: FlashServer, params: types.DidChangeWatchedFilesParams) -> None:
    for change in params.changes:
        server.file_changed(change.uri)


def did_move_cursor(server: FlashServer, params: Any) -> None:
    """Our own notification: the cursor is somewhere else, not by typing. One that cannot be read is of no use."""
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError, OverflowError):
        server.moved(str(params["textDocument"]["uri"]), read_position(params["position"]))


def did_change_workspace_folders(server: FlashServer, params: types.DidChangeWorkspaceFoldersParams) -> None:
    server.open_project(_roots(server))


def did_save(server: FlashServer, params: types.DidSaveTextDocumentParams) -> None:
    server.file_changed(params.text_document.uri)


async def did_change_configuration(server: FlashServer, params: types.DidChangeConfigurationParams) -> None:
    settings = params.settings
    if settings is None and get_capability(server.client_capabilities, "workspace.configuration"):
        asked = types.ConfigurationParams([types.ConfigurationItem(section=SECTION)])
        try:
            settings = next(iter(await server.workspace_configuration_async(asked) or []), None)
        except JsonRpcException as error:  # the client does not tell
            logger.warning("The settings stay as they are (%(error)s).", {"error": error})
            return
    await server.reconfigure(settings)


async def inline_completion(
    server: FlashServer, params: types.InlineCompletionParams
) -> list[types.InlineCompletionItem] | None:
    """Items or null; some clients take an empty list or an error badly (LSP: textDocument/inlineCompletion)."""
    uri, selected = params.text_document.uri, params.context.selected_completion_info
    invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
    snapshot = server.requested(uri, params.position)
    if snapshot is None:
        return None
    document = server.documents.get(uri)
    if selected is not None:
        return await _complete_selected(server, document, snapshot, selected)
    found = await server.answering.complete(snapshot, MOST_ITEMS if invoked else 0)
    ranges = [_range(document, completion.start, completion.end) for completion in found]
    items = zip(found, ranges, strict=True)
    return [types.InlineCompletionItem(completion.text, range=span) for completion, span in items] or None


async def completion(server: FlashServer, params: types.CompletionParams) -> types.CompletionList:
    """The same for a client without inline completion, as one item of its menu (LSP: textDocument/completion)."""
    snapshot = server.requested(params.text_document.uri, params.position)
    invoked = params.context is None or params.context.trigger_kind == types.CompletionTriggerKind.Invoked
    found = await server.answering.complete(snapshot, int(invoked)) if snapshot else []
    document = server.documents.get(params.text_document.uri) if found else None
    items = [_menu_item(document, snapshot, found[0])] if document and snapshot else []
    return types.CompletionList(is_incomplete=True, items=items)


def show_status(server: FlashServer, *arguments: object) -> dict[str, object]:
    """Our own command (LSP: workspace/executeCommand)."""
    return server.report()


def shutdown(server: FlashServer, params: None) -> None:
    server.stop()


def create_server(
    load: Loader[Completer], home: Path, config: Config | None = None, load_pro: Loader[Completer] | None = None
) -> FlashServer:
    """A server that has not started; see `serve`. `load` is called in a thread of its own once the client is ready."""
    server = FlashServer(load, home, config or Config(), pro_place.loader(load_pro or load))
    server.feature(types.INITIALIZE)(initialize)
    server.feature(types.INITIALIZED)(initialized)
    server.feature(types.SHUTDOWN)(shutdown)
    server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(did_change_configuration)
    server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)(did_change_watched_files)
    server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)(did_change_workspace_folders)
    server.feature(types.TEXT_DOCUMENT_DID_SAVE)(did_save)
    server.feature(DID_MOVE_CURSOR)(did_move_cursor)
    server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(inline_completion)
    server.command(SHOW_STATUS)(show_status)
    return server


def serve(load: Loader[Completer], home: Path, config: Config, load_pro: Loader[Completer] | None = None) -> NoReturn:
    """Serve on stdin and stdout until the client leaves or a signal tells to end, then end the process.

    With 0 after `shutdown`, 128 and its number after a signal, else 1. `home`: the folder for what is kept of it;
    `config`: the settings over which the client's are laid; `load_pro` brings a larger model of this machine, `load`
    without it.
    """
    log.start(config.log_level)
    process.keep_no_memory()
    server = create_server(load, home, config, load_pro)
    server.crashes.start()
    process.call_on_signal(server.finish_soon)
    server.listen(sys.stdin.buffer, process.reserve_stdout())
    server.finish()


def _roots(server: FlashServer) -> list[str]:
    """The folders the client has open."""
    folders = [folder.uri for folder in server.workspace.folders.values()]
    root = server.workspace.root_uri
    paths = [path for uri in folders or ([root] if root else []) if (path := local_path(uri))]
    if len(paths) > MOST_ROOTS:
        logger.warning(
            "The project has %(folders)d folders, of which %(most)d are read.",
            {"folders": len(paths), "most": MOST_ROOTS},
        )
    return paths[:MOST_ROOTS]


def _range(document: Document, start: int, end: int) -> types.Range:
    return types.Range(types.Position(*document.position(start)), types.Position(*document.position(end)))


async def _complete_selected(
    server: FlashServer, document: Document, snapshot: Snapshot, selected: types.SelectedCompletionInfo
) -> list[types.InlineCompletionItem] | None:
    """Complete what follows the selected item of the menu, as if it had been accepted (LSP: SelectedCompletionInfo)."""
    start, end = (document.offset(*place(position)) for position in (selected.range.start, selected.range.end))
    if not start <= snapshot.cursor <= end:
        return None
    accepted = snapshot.replaced(start, end, selected.text)
    found = await server.answering.suggestions(accepted, 0)
    text = extension(accepted, start, found[0]) if found else None
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
