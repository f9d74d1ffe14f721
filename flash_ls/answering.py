"""Requests from being asked to being answered: what is suggested, the status meanwhile, and the books of it.

Everything here runs in the event loop. Knows nothing of the protocol.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from flash_ls.errors import EngineLost, FlashLsError
from flash_ls.suggester import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_ls.bookkeeping import Bookkeeping
    from flash_ls.completer import Completion
    from flash_ls.document import Snapshot
    from flash_ls.journal import Entry, Reason
    from flash_ls.status import Status
    from flash_ls.suggester import Suggester

log = logging.getLogger(__name__)


class Answering:
    """The requests of one server."""

    def __init__(self, suggester: Suggester, status: Status, books: Bookkeeping, tell: Callable[[str], object]) -> None:
        """`tell` shows the user a sentence about what failed."""
        self._suggester, self._status, self._books, self._tell = suggester, status, books, tell

    async def complete(self, snapshot: Snapshot, asked: int) -> list[Completion]:
        """What to show at the cursor: as many as were `asked` for, or if none was, one sure completion or nothing."""
        began = time.monotonic()
        found = await self.suggestions(snapshot, asked)
        if found and not asked:
            self._books.shown(snapshot, found[0], _ms_since(began))
        return found

    async def suggestions(self, snapshot: Snapshot, asked: int) -> list[Completion]:
        """The same, also for a text that the document only may become."""
        began, answer = time.monotonic(), Answer([], "error")
        with self._status.thinking():
            try:
                answer = await self._answer(snapshot, asked)
            except asyncio.CancelledError:
                answer = Answer([], "cancelled")
                raise
            except EngineLost as error:  # the status says it, and the log where it was lost
                answer = Answer([], error.reason)
            except FlashLsError as error:
                self._tell(str(error))
            finally:
                self._end(self._books.answered(snapshot, answer, _ms_since(began)), answer.reason)
        return [completion for completion in answer.completions if completion.text]

    def refuse(self, uri: str, reason: Reason) -> None:
        """A request had no document to be answered from."""
        self._end(self._books.refused(uri, reason), reason)

    async def _answer(self, snapshot: Snapshot, asked: int) -> Answer:
        if self._suggester.completer is None:
            self._suggester.miss(snapshot)
            return Answer([], self._status.now.reason)
        return await self._suggester.suggest(snapshot, asked)

    def _end(self, entry: Entry, source: str) -> None:
        """A request has ended."""
        fields = {"file": entry.file, "version": entry.version, "reason": source, "ms": round(entry.milliseconds)}
        log.info("complete", fields | {"prompt_tokens": entry.prompt_tokens, "cached_tokens": entry.cached_tokens})
        if self._suggester.completer is not None:
            self._status.answered(entry.reason)


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
