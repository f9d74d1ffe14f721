"""One load of a model, shown in a client that can show it (LSP: Work Done Progress)."""

from __future__ import annotations

import uuid
from concurrent.futures import Future
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.capabilities import get_capability

if TYPE_CHECKING:
    from flash_ls.session import FlashServer


class ProgressBar:
    """A bar that may be shown late, or never."""

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
