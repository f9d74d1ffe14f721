"""From what somebody types to what is suggested: out of what is known already, of work under way, or by new work.

Each request of a document supersedes the one before. The model's work does not end with the request that began it: as
long as what is typed agrees with what has been decoded, the next requests wait for the same answer, and get the rest
of it. So nothing is decoded twice for somebody who types along, and an answer is always one for the text as it is.

Everything here runs in the event loop. Knows nothing of the protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from flash_ls.completer import Completion, Watch
from flash_ls.completion_cache import CompletionCache
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.pace import Pace
from flash_ls.pro import routing
from flash_ls.pro.pro import Pro
from flash_ls.requests import Requests
from flash_ls.uri import normalise

if TYPE_CHECKING:
    from flash_ls.completer import Completer

AHEAD = "(ahead)"
"""The key of work that no request asked for: any that needs the model ends it."""
FORGETS = 8
"""One part in so many of what is known of the model's speed is the last answer's."""
ORPHAN_S = 0.5
"""How much longer work goes on that no request waits for."""


class Answer(NamedTuple):
    """What to show, if anything, and where it comes from or why there is nothing."""

    completions: list[Completion]
    """Those with a text come first; one without may say what it cost to find none."""
    reason: str


SUPERSEDED = Answer([], "superseded")


class Work:
    """An answer on its way, begun for one snapshot."""

    def __init__(self, completer: Completer, snapshot: Snapshot, asked: int, patience_s: float) -> None:
        self.snapshot = snapshot
        self.began = asyncio.get_running_loop().time()
        self.first: asyncio.Future[list[Completion] | None] = asyncio.get_running_loop().create_future()
        """The answer, or only its whole lines if it takes long; None if the work was cancelled."""
        self._loop = asyncio.get_running_loop()
        self._completer = completer
        self._asked = asked
        self._watch = Watch(1000 * patience_s, self._offer)

    def run(self, deadline: Deadline) -> list[Completion]:
        """In the engine's thread."""
        if self._asked:
            return self._completer.candidates(self.snapshot, deadline, self._asked)
        return [self._completer.unasked(self.snapshot, deadline, self._watch)]

    def settle(self, answer: list[Completion] | None) -> None:
        if not self.first.done():
            self.first.set_result(answer)

    def is_sure(self, completion: Completion) -> bool:
        return bool(self._completer.sure(completion).text)

    def is_followed_by(self, whole: Completion) -> bool:
        """Whether it is sure, and what was offered first is its beginning."""
        offered = self.first.result() or []
        return self.is_sure(whole) and whole.text.startswith(tuple(one.text for one in offered))

    @property
    def has_begun(self) -> bool:
        """Whether anything is decoded: before that, to begin again costs nothing."""
        return bool(self._watch.text)

    def leads_to(self, now: Snapshot) -> bool:
        """Whether nothing was done since it began but typing at its cursor."""
        then = self.snapshot
        below = then.after[len(then.line_suffix) :] == now.after[len(now.line_suffix) :]
        return below and now.cursor >= then.cursor and now.text.startswith(then.before)

    def may_serve(self, now: Snapshot) -> bool:
        """Whether what was typed since it began agrees with what it has decoded."""
        said, typed = self._watch.text, now.text[self.snapshot.cursor : now.cursor]
        return self.has_begun and (said.startswith(typed) or typed.startswith(said)) and self.leads_to(now)

    def _offer(self, lines: Completion) -> None:
        """Called in the engine's thread."""
        if self.is_sure(lines):
            self._loop.call_soon_threadsafe(self.settle, [lines])


class Suggester:
    """What becomes of the requests of all documents."""

    def __init__(
        self,
        requests: Requests,
        grown: Callable[[str], object] = lambda uri: None,
        bettered: Callable[[str], object] = lambda uri: None,
        pro: Pro | None = None,
    ) -> None:
        """`grown` is called with a document's uri when more is known than the whole lines that were answered.

        `bettered` is called with it when something better is known, by the larger model or because there was none.
        """
        self._grown, self._bettered = grown, bettered
        self.pro = pro or Pro()
        self._here: Snapshot | None = None
        """What was asked about last, until the user moves on."""
        self._answered: tuple[Snapshot, int, Completion] | None = None
        """What was answered there, with what was asked, until the larger model is."""
        self.completer: Completer | None = None
        self.budget_ms: float = 0
        self._requests = requests
        self._known = CompletionCache()
        self._work: dict[str, Work] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._pace = Pace()
        self._takes_s = 0.0
        """How long the model takes, of late."""

    async def suggest(self, snapshot: Snapshot, asked: int) -> Answer:
        """As many completions as were `asked` for, or if none was, one that is likely enough not to disturb.

        Raises what the completer raises but `Cancelled`.
        """
        if self.completer is None:
            self.miss(snapshot)
            return Answer([], "loading")
        key = normalise(snapshot.uri)
        self._supersede(key)
        self.moved(snapshot)
        self._here = snapshot
        superseded = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._answer(self.completer, snapshot, asked, superseded)
            if answer.completions and self._here is snapshot:
                self._answered = snapshot, asked, answer.completions[0]
                self._consult()
            return answer
        finally:
            if self._waiting.get(key) is superseded:
                del self._waiting[key]

    def miss(self, snapshot: Snapshot) -> None:
        """There is no model yet: who stays there until there is one is told to ask again."""
        self.moved(snapshot)
        self._here = snapshot

    def serve(self, completer: Completer) -> None:
        """Answer with this model from now on."""
        self.completer = completer
        if self._here is not None:
            self._bettered(self._here.uri)

    def changed(self, uri: str, now: Snapshot | None) -> None:
        """Answer who waits, for a text that is none any more, and stop the work unless it may serve the new one too."""
        key = normalise(uri)
        self.moved(None)
        self._pace.key(asyncio.get_running_loop().time())
        self._supersede(key)
        work = self._work.get(key)
        if work and now and not work.has_begun and work.leads_to(now):
            self._requests.release(key)
        elif work and not (now and work.may_serve(now)):
            self._requests.cancel(key)

    def moved(self, now: Snapshot | None) -> None:
        """The user is at a place, or has changed something: the larger model is not to speak of another place."""
        if now is None or not self.pro.is_about(now):
            self.pro.drop()
        if now is None or self._here != now:
            self._here = self._answered = None

    def forget(self) -> None:
        """Drop what is known: it was made by another model, or with other settings."""
        self.moved(None)
        self._known.clear()

    async def warm(self, snapshot: Snapshot) -> None:
        """Read the text at a cursor ahead. Any request stops this, and keeps what was read. Raises `ModelError`."""
        if self.completer is not None and self._requests.idle:
            await self._requests.run(AHEAD, self.budget_ms, partial(self.completer.warm, snapshot), gives_way=True)

    async def _answer(
        self, completer: Completer, snapshot: Snapshot, asked: int, superseded: asyncio.Future[None]
    ) -> Answer:
        if not asked and (known := self._settled(completer, snapshot)):
            return _judged(completer, known, "typed through")
        key = normalise(snapshot.uri)
        work = self._work.get(key)
        if work and not asked and work.may_serve(snapshot):
            found = await self._first(key, work, superseded)
            if found is None or superseded.done():
                return SUPERSEDED
            if known := self._settled(completer, snapshot):
                return _judged(completer, replace(known, stats=found[0].stats), "joined")
        if not asked and await self._is_overtaken(superseded):
            return SUPERSEDED
        work = self._begin(completer, key, snapshot, asked)
        found = await self._first(key, work, superseded)
        if found is None or superseded.done():
            return SUPERSEDED
        if asked:
            return Answer(self._with_pro(snapshot, found)[:asked], found[0].reason)
        return _judged(completer, found[0], found[0].reason)

    async def _is_overtaken(self, superseded: asyncio.Future[None]) -> bool:
        """Wait for the next key if it is due before an answer could be of use; whether it came."""
        if hold_s := self._pace.hold_s(self._takes_s, asyncio.get_running_loop().time()):
            await asyncio.wait([superseded], timeout=hold_s)
        return superseded.done()

    def _settled(self, completer: Completer, snapshot: Snapshot) -> Completion | None:
        known = self._known.find(snapshot)
        return known if known and completer.settles(known) else None

    async def _first(self, key: str, work: Work, superseded: asyncio.Future[None]) -> list[Completion] | None:
        """What the work says first; None if there is a later request before that."""
        either: list[asyncio.Future[Any]] = [work.first, superseded]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._abandon(key, work)
            raise
        return work.first.result() if work.first.done() else None

    def _begin(self, completer: Completer, key: str, snapshot: Snapshot, asked: int) -> Work:
        self._requests.cancel(AHEAD)
        self.pro.give_way()
        work = Work(completer, snapshot, asked, self._pace.patience_s)
        answer = self._requests.start(key, self.budget_ms, work.run).answer
        self._work[key] = work
        work.first.add_done_callback(partial(self._learn, snapshot))
        answer.add_done_callback(partial(self._ended, key, work))
        return work

    def _ended(self, key: str, work: Work, answer: asyncio.Future[list[Completion] | None]) -> None:
        if self._work.get(key) is work:
            del self._work[key]
        self._consult()
        if not answer.exception() and answer.result():
            self._takes_s += (asyncio.get_running_loop().time() - work.began - self._takes_s) / FORGETS
        if work.first.done():
            self._complete(work, answer)
        elif error := answer.exception():
            work.first.set_exception(error)
        else:
            work.settle(answer.result())

    def _complete(self, work: Work, answer: asyncio.Future[list[Completion] | None]) -> None:
        """The rest of an answer of which whole lines were shown; if that is unsure or another text, they stay."""
        if answer.exception() is None and (found := answer.result()) and work.is_followed_by(found[0]):
            self._learn(work.snapshot, answer)
            self._grown(work.snapshot.uri)

    def _consult(self) -> None:
        """Ask the larger model about the last answer, once the first has nothing to do."""
        if self._answered is None or self._work:
            return
        snapshot, asked, first = self._answered
        silent = first.evidence is None and not first.text
        self._answered = None
        if silent or first.reason == "done" or first.pro or self.pro.is_about(snapshot):
            return
        is_body = first.evidence is not None and bool(first.evidence.block)
        if routing.asks(first.probability, bool(asked), is_body, self.pro.for_bodies):
            pause_s = 0.0 if asked else routing.PAUSE_S
            self.pro.ask(snapshot, pause_s, partial(self._take, snapshot, first, bool(asked)))

    def _take(self, snapshot: Snapshot, first: Completion, invoked: bool, other: Completion) -> bool:
        """The larger model's answer, for a user who has not moved on: known from now on if it is the better one."""
        if self.completer is None or not other.text or other.text == first.text or not _is_better(other, first):
            return False
        if not invoked and other.evidence is not None and not self.completer.sure(other).text:
            return False
        self._known.add(snapshot, other)
        self._bettered(snapshot.uri)
        return True

    def _with_pro(self, snapshot: Snapshot, found: list[Completion]) -> list[Completion]:
        """Answers for somebody who asked, with what the larger model said here before, if it did."""
        said = self.pro.said if self.pro.is_about(snapshot) else None
        if said is None or not said.text or any(said.text == one.text for one in found):
            return found
        if not _is_better(said, found[0]):
            return [found[0], said, *found[1:]]
        self._known.add(snapshot, said)
        return [said, *found]

    def _learn(self, snapshot: Snapshot, answer: asyncio.Future[list[Completion] | None]) -> None:
        for completion in () if answer.exception() else reversed(answer.result() or ()):
            self._known.add(snapshot, completion)

    def _supersede(self, key: str) -> None:
        if key in self._waiting:
            self._waiting.pop(key).set_result(None)

    def _abandon(self, key: str, work: Work) -> None:
        """Stop work whose request was cancelled, unless the next one comes soon and can use what it has."""
        if work.has_begun:
            asyncio.get_running_loop().call_later(ORPHAN_S, self._stop_orphan, key, work)
        elif self._work.get(key) is work:
            self._requests.release(key)

    def _stop_orphan(self, key: str, work: Work) -> None:
        if self._work.get(key) is work and key not in self._waiting:
            self._requests.cancel(key)


def _is_better(other: Completion, first: Completion) -> bool:
    return routing.is_better(first.probability, other.probability if other.evidence else None)


def _judged(completer: Completer, completion: Completion, source: str) -> Answer:
    """A completion if it is sure enough for somebody who did not ask."""
    sure = completion if completion.pro else completer.sure(completion)
    return Answer([sure], source if sure.text else sure.reason)
