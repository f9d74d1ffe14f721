"""What a session comes to: how its requests end, what becomes of suggestions, what they cost, and who may read of it.

    HOME/run/               what a server says of itself to `flash-ls status`
    HOME/statistics.json    sums, if they are wanted

Everything runs in the event loop, but files are read and written by a thread of its own, and timers run only while
something waits for them. Whatever becomes of the files, nothing here raises. Knows nothing of the protocol.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from flash_ls.calibration import threshold
from flash_ls.deadline import Spent
from flash_ls.journal import Entry, Journal, Reason, reason_of
from flash_ls.language import language_of
from flash_ls.outcomes import Outcomes, Read, Record, Shown, one_key
from flash_ls.presence import Presence, folder_in
from flash_ls.statistics import Statistics, probability_counts, total
from flash_ls.timer import Timer
from flash_ls.uri import file_name, path_of

if TYPE_CHECKING:
    from pathlib import Path

    from flash_ls.completer import Completion
    from flash_ls.config import Config
    from flash_ls.document import Edit, Snapshot
    from flash_ls.engine.decode import GenerationStats
    from flash_ls.suggester import Answer

FLUSH_S = 180.0
"""For so long numbers may be in memory alone."""
WRITE_S = 1.0
"""How old what other processes read may be."""
LEAST_WAIT_S = 1.0
LEARNT_DAYS = 90
"""How far back the threshold looks."""

log = logging.getLogger(__name__)


class Bookkeeping:
    """The books of one server."""

    def __init__(
        self, home: Path, read: Read, report: Callable[[], dict[str, object]], learnt: Callable[[], object]
    ) -> None:
        """`report`: what to say to other processes; `learnt` is called when `adapted` may have another answer."""
        self.journal = Journal()
        self._statistics = Statistics(home)
        self._presence = Presence(folder_in(home))
        self._outcomes: Outcomes | None = None
        """None while nothing is counted."""
        self._read, self._report, self._learnt = read, report, learnt
        self._used: list[tuple[int, int]] = []
        self._cpu_s = 0.0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="books")
        self._stopped = False
        self._writing, self._flushing, self._looking = Timer(self._write), Timer(self._flush), Timer(self._look)

    def count(self, wanted: bool) -> None:
        """Begin to count and to follow suggestions, or end it and follow none any more."""
        if wanted == (self._outcomes is not None):
            return
        self._outcomes = Outcomes(self._read, self._became) if wanted else None
        if wanted:
            self.loaded()
            self._learn()

    def loaded(self) -> None:
        """What has been spent until now was not spent on suggestions."""
        self._cpu_s = time.process_time()

    def adapted(self, config: Config) -> Config:
        """The settings with the threshold that this user's own suggestions speak for."""
        if not (config.statistics and self._used):
            return config
        return replace(config, min_confidence=threshold(config.min_confidence, self._used))

    def answered(self, snapshot: Snapshot, answer: Answer, milliseconds: float) -> Entry:
        """A request has been answered."""
        best = answer.completions[0] if answer.completions else None
        finish = best.reason if best and best.text else ""
        called = best is not None and best.stats is not None
        reason = reason_of(answer.reason, bool(finish), called)
        entry = _entry(snapshot.uri, snapshot.language_id, snapshot.version, reason)
        entry = replace(entry, finish=finish, milliseconds=milliseconds, called=called)
        return self._add(_with_tokens(entry, best.stats) if best and best.stats else entry)

    def spent(self, spent: Spent) -> None:
        """Work for the user has ended, of a request or ahead of any, wanted or not."""
        if self._outcomes is not None:
            self._statistics.spent(time.time(), spent)
            self._flush_soon()

    def refused(self, uri: str, reason: Reason) -> Entry:
        """A request had no document to be answered from."""
        return self._add(_entry(uri, "", 0, reason))

    def shown(self, snapshot: Snapshot, completion: Completion, milliseconds: float) -> None:
        """A completion that nobody asked for goes out to the user, for the document as it is.

        Nothing can be learnt of one by a larger model that does not tell its chances.
        """
        if self._outcomes is not None and not (completion.pro and completion.evidence is None):
            language = language_of(snapshot.path, snapshot.language_id)
            start, end, text, odds = completion.start, completion.end, completion.text, completion.probability
            shown = Shown(start, end, text, time.time(), language, milliseconds, odds)
            self._outcomes.shown(snapshot.uri, shown)
            self._look_again(self._outcomes)

    def edited(self, uri: str, edits: Sequence[Edit]) -> None:
        """The edits of one notification have been made in an open document."""
        if self._outcomes is None:
            return
        now = time.time()
        if keyed := sum(len(text) for _, _, text in edits if one_key(text)):
            self._statistics.typed(now, keyed)
            self._flush_soon()
        if self._outcomes.follows(uri):
            self._outcomes.changed(uri, edits, now)
            self._look_again(self._outcomes)

    def closed(self, uri: str) -> None:
        """A document will be closed."""
        if self._outcomes is not None:
            self._outcomes.closed(uri)

    def report_soon(self) -> None:
        """There is something new to say to other processes."""
        if not self._stopped:
            self._writing.within(WRITE_S)

    def stop(self) -> None:
        """Close the books; `join` waits until they are."""
        if self._stopped:
            return
        self._stopped = True
        for timer in (self._writing, self._flushing, self._looking):
            timer.cancel()
        if self._outcomes is not None:
            self._outcomes.finish()
            self._count_cpu()
        for job in (self._statistics.flush, self._presence.remove):
            self._worker.submit(job)
        self._worker.shutdown(wait=False)

    def join(self) -> None:
        self._worker.shutdown(wait=True)

    def _add(self, entry: Entry) -> Entry:
        self.journal.add(entry)
        self.report_soon()
        if self._outcomes is not None:
            self._statistics.answered(entry)
            self._flush_soon()
        return entry

    def _flush_soon(self) -> None:
        if not self._stopped:
            self._flushing.within(FLUSH_S)

    def _became(self, record: Record) -> None:
        self._statistics.add(record)
        self._flush_soon()

    def _look_again(self, outcomes: Outcomes) -> None:
        """Whenever the next look at what was taken is due."""
        if (due := outcomes.next_due) is not None:
            self._looking.within(max(LEAST_WAIT_S, due - time.time()))

    def _look(self) -> None:
        if self._outcomes is not None:
            self._outcomes.due(time.time())
            self._look_again(self._outcomes)

    def _count_cpu(self) -> None:
        now = time.process_time()
        self._statistics.spent(time.time(), Spent(cpu_ms=1e3 * (now - self._cpu_s)))
        self._cpu_s = now

    def _flush(self) -> None:
        if self._outcomes is not None:
            self._count_cpu()
        self._learn()

    def _learn(self) -> None:
        """Have the numbers written, and what all say read."""
        if not self._stopped:
            learning = asyncio.get_running_loop().run_in_executor(self._worker, self._flushed)
            learning.add_done_callback(self._take)

    def _flushed(self) -> list[tuple[int, int]]:
        """In the thread: how often suggestions were shown and of use lately, by their probability."""
        self._statistics.flush()
        days = self._statistics.load()
        return probability_counts(total(days, list(days)[-LEARNT_DAYS:]))

    def _take(self, learning: asyncio.Future[list[tuple[int, int]]]) -> None:
        if learning.cancelled() or self._stopped:
            return
        if error := learning.exception():
            log.error("The statistics cannot be used; delete them with `flash-ls stats --delete`.", exc_info=error)
            return
        self._used = learning.result()
        self._learnt()

    def _write(self) -> None:
        asyncio.get_running_loop().run_in_executor(self._worker, partial(self._presence.write, self._report()))


def _with_tokens(entry: Entry, stats: GenerationStats) -> Entry:
    decoded = stats.target_steps + stats.accepted_tokens
    return replace(entry, prompt_tokens=stats.prompt_tokens, cached_tokens=stats.cached_tokens, decoded_tokens=decoded)


def _entry(uri: str, language_id: str, version: int, reason: Reason) -> Entry:
    return Entry(time.time(), file_name(uri), language_of(path_of(uri), language_id), version, reason)
