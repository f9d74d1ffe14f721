"""One completion request from end to end: scope, prompt, generation, and what of the text is worth showing."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import starmap

from flash_ls.confidence import MOST_TYPED, Evidence, Trace, probability
from flash_ls.config import Config
from flash_ls.context import Context
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.engine.branches import Branches
from flash_ls.engine.decode import Generation, GenerationParams, GenerationStats, Step
from flash_ls.engine.engine import Engine
from flash_ls.engine.manifest import PromptFormat
from flash_ls.index import WORD
from flash_ls.place import Fitted, Place
from flash_ls.prompt import Prompt, build_prompt, visible_span
from flash_ls.secrets import is_secret_file

MOST_TRIES = 6
"""Answers decoded for one suggestion, where the first do not fit, or another line could be likelier."""
FEW_TRIES = 2
"""The same for a block, which takes longer, and for a suggestion nobody asked for."""
COLD_TOKENS = 200
"""Of the project, not in the cache yet: so many are read before anything is shown to somebody who types."""
MOST_BODY_TOKENS = 64
"""Of a block that a line opens, besides those of the line."""
DOUBT = 1.1
"""In nats: an answer nobody asked for ends where it becomes so much less likely than it has to be to be shown.

Of 1,227 such answers that were shown in the end, 2 had been less likely, both wrong (models/LOG.md).
"""
ENDED = ("stop", "rule")
"""How an answer finishes that is whole."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What to show, and why; an empty `text` means nothing."""

    text: str
    start: int
    end: int
    """Code point offsets in the snapshot's text of what `text` replaces: on one line, around the cursor."""
    reason: str
    """How it ended: a `decode.Finish`, or why there is nothing to show."""
    stats: GenerationStats | None = None
    evidence: Evidence | None = None
    trace: Trace = ()
    """Where in `text` each of its tokens ends, and how likely the token was."""
    given_up: bool = False
    """Whether `text` is only what had been decoded when it became too unlikely: nothing to show."""
    pro: bool = False
    """Whether the larger model said it."""

    @property
    def probability(self) -> float:
        """Of being what the user was about to write."""
        return probability(self.evidence) if self.evidence else 0.0

    def rest(self, typed: int, cursor: int, taken: int) -> "Completion":
        """What is left when its first `typed` characters stand there, and `taken` may be replaced behind them."""
        evidence = self.evidence and self.evidence.of_rest(self.trace, self.text, typed)
        return replace(self, text=self.text[typed:], start=cursor, end=cursor + taken, stats=None, evidence=evidence)

    @property
    def is_whole(self) -> bool:
        """Whether it is all that the model wanted to say in this line or block."""
        return self.reason in ENDED and self.evidence is not None and not self.evidence.shortened

    def typed_out(self, cursor: int) -> "Completion":
        """What is left of a whole one when all of it is in the buffer: nothing."""
        return Completion("", cursor, cursor, "done" if self.text else self.reason)


class Watch:
    """How far an answer has come that nobody insists on. Written by the engine's thread, read by any."""

    def __init__(self, patience_ms: float = math.inf, offer: Callable[[Completion], object] = lambda whole_lines: None):
        self.text = ""
        """What has been decoded of the likeliest answer; the whole of it once that is known."""
        self._offer = offer
        self._patience = Deadline(patience_ms)

    def is_due(self, text: str) -> bool:
        """Whether whole lines of the answer are wanted now, if there are any. Takes note of the text so far."""
        self.text = text
        return self._patience.expired and "\n" in text.strip()

    def offer(self, whole_lines: Completion) -> None:
        """Let those who wait have the beginning of the answer; the rest follows."""
        self._patience = Deadline()
        self._offer(whole_lines)


@dataclass(slots=True)
class _Found:
    """Completions that fit, each text once; `compared`: the likeliest first, not the one that came first."""

    compared: bool
    fitting: dict[str, tuple[float, Completion]] = field(default_factory=dict)
    """By text, with the likelihood of all that was said."""

    def add(self, completion: Completion, said: Generation) -> None:
        """Take it in, unless it was cut short and others were not: it would be likelier for that alone."""
        if not self.fitting or said.finish != "deadline":
            self.fitting.setdefault(completion.text, (said.likelihood, completion))

    def suffice(self, most: int, open_likelihood: float) -> bool:
        """Whether there are `most` and none still open, which are at most so likely, could be the best."""
        if len(self.fitting) < most:
            return False
        return not self.compared or open_likelihood <= max(likelihood for likelihood, _ in self.fitting.values())

    def best(self, most: int, stats: GenerationStats | None) -> list[Completion]:
        """At most `most`, each with what all together cost."""
        found = list(self.fitting.values())
        if self.compared:
            found.sort(key=lambda one: one[0], reverse=True)
        return [replace(completion, stats=stats) for _, completion in found[:most]]


class Completer:
    """Answers requests one at a time, on the engine's thread."""

    def __init__(
        self,
        engine: Engine,
        form: PromptFormat,
        config: Config,
        context: Context | None = None,
        precision: str = "",
    ) -> None:
        """`precision`: what the model runs in, to be told to people."""
        self.precision = precision
        self.config = config
        """May be replaced between requests."""
        self.context = context
        """What is known of the project, if anything; the same holds for it."""
        self._engine = engine
        self._form = form
        self._stop_ids = frozenset(form.stop_ids)

    def complete(self, snapshot: Snapshot, deadline: Deadline) -> Completion:
        """The best completion at the snapshot's cursor, however unsure. Raises `Cancelled` and `ModelError`."""
        return self.candidates(snapshot, deadline, 1)[0]

    def unasked(self, snapshot: Snapshot, deadline: Deadline, watch: Watch | None = None) -> Completion:
        """A completion for somebody who types, however unsure: empty, with a reason, if none fits.

        Raises `Cancelled` and `ModelError`.
        """
        if snapshot.after[:1].isalnum():
            return _nothing(snapshot, "inside a word")
        return self._candidates(Place(snapshot), deadline, 1, insist=False, watch=watch)[0]

    def sure(self, completion: Completion) -> Completion:
        """The completion if it is likely enough not to disturb, else none."""
        if not completion.text or (completion.probability >= self.config.min_confidence and not completion.given_up):
            return completion
        return replace(completion, text="", end=completion.start, reason="unsure")

    def settles(self, rest: Completion) -> bool:
        """Whether what is left of a known completion is all there is to say: one given up may be likely by now."""
        return not rest.given_up or (rest.evidence is not None and rest.evidence.total < self._least_likelihood)

    def candidates(self, snapshot: Snapshot, deadline: Deadline, most: int) -> list[Completion]:
        """At least one and at most `most` different completions, the likeliest line first; the only one may be empty.

        Raises `Cancelled` and `ModelError`.
        """
        found = self._candidates(Place(snapshot), deadline, most, insist=True)
        if most > 1 and found[0].text and not deadline.expired:
            whole = self.whole(snapshot, deadline)
            found = found if whole.text in ("", *(one.text for one in found)) else [*found[: most - 1], whole]
        return found

    def whole(self, snapshot: Snapshot, deadline: Deadline) -> Completion:
        """All that the model finds missing at the cursor, else a line. Raises `Cancelled` and `ModelError`."""
        found = self._candidates(Place(snapshot, whole=True), deadline, 1, insist=True)[0]
        return found if found.text else self.complete(snapshot, deadline)

    def _candidates(
        self, place: Place, deadline: Deadline, most: int, insist: bool, watch: Watch | None = None
    ) -> list[Completion]:
        """`insist`: look for other answers if that of the likeliest tokens is none, or for a line a likelier one."""
        if reason := silence(place, self.config):
            return [_nothing(place.snapshot, reason)]
        prompt = self._prompt(place, hurry=not insist)
        params = self._params(prompt, place, insist)
        first = replace(params, complete=partial(_enough, place, watch)) if watch else params
        branches = Branches(self._engine, prompt.token_ids, first)
        found, rejected = _Found(place.asks_for_a_line and insist), list[Completion]()
        stats: GenerationStats | None = None
        for _ in range(most - 1 + (MOST_TRIES if found.compared else FEW_TRIES)):
            answer = branches.next(deadline)
            if answer is None:
                break
            if watch and answer.finish == "rule" and not place.rule.complete(answer.text):
                self._offer(place, answer, watch)
                answer = self._longer(prompt, params, answer, deadline)
            if answer.finish == "unsure":
                if not found.fitting and not rejected:
                    return [self._sure_part(place, answer)]
                break
            said, fitted = answer, place.fit(answer.text, answer.finish in ENDED)
            if fitted.fault not in ("", "done") and insist and place.may_go_on(answer.text):
                said = self._longer(prompt, replace(params, complete=place.whole.complete), answer, deadline)
                fitted = place.fit(said.text, said.finish in ENDED, place.whole)
            stats = stats.then(said.stats) if stats else said.stats
            completion = self._completion(place, replace(said, stats=stats), fitted, rejected)
            if fitted.fault:
                rejected.append(completion)
            else:
                found.add(completion, said)
            if fitted.fault == "done" or (fitted.fault == "empty" and not insist) or said.finish == "deadline":
                break
            branches.branch(answer, len(prompt.healed) + place.telling(answer.text))
            if found.suffice(most, branches.likelihood):
                break
        return found.best(most, stats) or [max(rejected, key=lambda completion: bool(completion.text))]

    def _sure_part(self, place: Place, answer: Generation) -> Completion:
        """The whole lines of an answer that was given up, else what there is, which is not to be shown."""
        lines = answer.whole_lines()
        fitted = place.fit(lines.text, False)
        if not fitted.fault:
            return self._completion(place, lines, fitted, [])
        completion = self._completion(place, answer, Fitted(answer.text, 0, "unsure"), [])
        return replace(completion, given_up=True)

    def _offer(self, place: Place, answer: Generation, watch: Watch) -> None:
        """Let those who wait have the whole lines of an answer that was cut short."""
        fitted = place.fit(answer.text, False)
        if not fitted.fault:
            watch.offer(self._completion(place, replace(answer, finish="deadline"), fitted, []))

    def _longer(self, prompt: Prompt, params: GenerationParams, answer: Generation, deadline: Deadline) -> Generation:
        """An answer that was cut short, up to where `params` end it."""
        steps = zip(answer.tokens, answer.log_probabilities, strict=True)
        params = replace(params, forced=tuple(starmap(Step, steps)))
        longer = self._engine.generate(prompt.token_ids, params, deadline)
        runners_up = [*answer.runners_up, *longer.runners_up]
        return replace(longer, runners_up=runners_up, stats=answer.stats.then(longer.stats))

    def warm(self, snapshot: Snapshot, deadline: Deadline) -> None:
        """Read the text around the cursor ahead of a request. Raises `Cancelled` and `ModelError`."""
        place = Place(snapshot)
        if not silence(place, self.config):
            self._engine.warm(self._prompt(place, leisure=True).token_ids, deadline)

    def _prompt(self, place: Place, leisure: bool = False, hurry: bool = False) -> Prompt:
        """`hurry`: without the project where that would have to be read first; a pause will read it."""
        config, snapshot = self.config, place.snapshot
        build = partial(build_prompt, snapshot.before, place.after, self._form, self._engine.tokenizer, config)
        if self.context is None or not config.context_tokens:
            return build()
        visible = partial(visible_span, snapshot.before, self._engine.tokenizer, config)
        prompt = build(self.context.choose(snapshot, visible, leisure))
        missing = self._engine.missing(prompt.token_ids)
        if (
            hurry
            and missing > COLD_TOKENS
            and missing - self._engine.missing((bare := build()).token_ids) > COLD_TOKENS
        ):
            return bare
        return prompt

    def _completion(self, place: Place, answer: Generation, fitted: Fitted, rejected: list[Completion]) -> Completion:
        snapshot = place.snapshot
        reason = answer.finish if fitted.text or answer.finish not in ENDED else fitted.fault
        end = snapshot.cursor + fitted.taken
        evidence = self._evidence(place, answer, fitted, rejected)
        trace = tuple(zip(answer.ends, answer.log_probabilities, strict=True))
        return Completion(fitted.text, snapshot.cursor, end, reason, answer.stats, evidence, trace)

    def _evidence(self, place: Place, answer: Generation, fitted: Fitted, rejected: list[Completion]) -> Evidence:
        likelihoods = answer.log_probabilities or [0.0]
        typed = re.search(r"\w*\Z", place.line_prefix)
        return Evidence(
            total=sum(likelihoods),
            mean=sum(likelihoods) / len(likelihoods),
            least=min(likelihoods),
            first=likelihoods[0],
            length=math.log1p(len(fitted.text)),
            typed=min(MOST_TYPED, len(typed[0]) if typed else 0.0),
            line_start=float(not place.line_prefix.strip()),
            block=float(place.scope.opens_block),
            ended=float(answer.finish in ENDED),
            retried=float(len(rejected)),
            insisted=float(any(one.reason == "empty" for one in rejected)),
            shortened=float(bool(fitted.fault)),
            unknown=self._unknown(place, fitted.text),
        )

    def _unknown(self, place: Place, text: str) -> float:
        """The share of the words of `text` that neither the file nor the project has."""
        words = set(WORD.findall(text))
        new = [word for word in words if word not in place.snapshot.text]
        if self.context is not None:
            new = [word for word in new if not self.context.knows(word)]
        return len(new) / max(1, len(words))

    @property
    def _least_likelihood(self) -> float:
        """Of an answer nobody asked for; below it, it is given up."""
        return math.log(self.config.min_confidence) - DOUBT if self.config.min_confidence else -math.inf

    def _params(self, prompt: Prompt, place: Place, insist: bool) -> GenerationParams:
        least = -math.inf if insist else self._least_likelihood
        line, block = self.config.max_line_tokens, self.config.max_block_tokens
        most = min(block, line + MOST_BODY_TOKENS) if place.asks_for_a_line else block
        limit = most + prompt.healed_tokens
        return GenerationParams(limit, self._stop_ids, prompt.healed, place.rule.complete, least_likelihood=least)


def silence(place: Place, config: Config) -> str:
    """Why nothing may be shown at such a place, or the empty string."""
    if not config.enabled:
        return "disabled"
    if is_secret_file(place.snapshot.path):
        return "secret file"
    wanted = {"code": True, "comment": config.complete_comments, "string": config.complete_strings}
    return "" if wanted[place.scope.kind] else place.scope.kind


def _enough(place: Place, watch: Watch, text: str) -> bool:
    """Whether to stop decoding at `text`: because it is whole, or because its whole lines are wanted now."""
    return watch.is_due(text) or place.rule.complete(text)


def _nothing(snapshot: Snapshot, reason: str) -> Completion:
    return Completion("", snapshot.cursor, snapshot.cursor, reason)
