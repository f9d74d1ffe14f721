"""Greedy decoding as a speculative loop: plain decoding is the case of no drafts, so there is one code path.

Each round feeds what the cache lacks plus the drafts, in one pass, and commits the drafts that the target would have
chosen itself and one token more (arXiv 2211.17192). Token ids in, text out: nothing here knows documents.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.drafter import Drafter
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.head import IdArray, Logits
from flash_ls.engine.model import Model
from flash_ls.engine.tokenizer import TextStream, Tokenizer

PREFILL_CHUNK = 64
"""Tokens per prefill pass: the longest a cancel waits where a pass cannot be interrupted, at no loss of speed."""

Finish = Literal["stop", "rule", "limit", "deadline", "unsure"]


class Step(NamedTuple):
    """A token and how likely it was where it stands, in nats."""

    token: int
    log_probability: float


class Choice(NamedTuple):
    """What a model says next, and what it would have said else."""

    token: int
    log_probability: float
    runner_up: Step

    @property
    def lead(self) -> float:
        """How far, in nats, the second best is behind."""
        return self.log_probability - self.runner_up.log_probability


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """When to stop, and what the text must agree with."""

    max_tokens: int
    stop_ids: frozenset[int]
    healed: bytes = b""
    """Text taken back from the prompt, which the first tokens have to spell again (token healing)."""
    complete: Callable[[str], bool] = lambda text: False
    """Stop rule on the text so far, without the healed text."""
    forced: tuple[Step, ...] = ()
    """How the answer has to begin, healed text included: to ask for another answer than the greedy one."""
    least_likelihood: float = -math.inf
    """In nats: an answer whose tokens together are less likely ends where it becomes so."""
    chosen: Callable[[Choice], object] = lambda choice: None
    """Told of every choice before it is taken."""


@dataclass(slots=True)
class GenerationStats:
    """What one generation cost."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    target_steps: int = 0
    precise_steps: int = 0
    """Passes that were repeated because their two best words were close."""
    prefill_ms: float = 0.0
    decode_ms: float = 0.0

    def then(self, later: "GenerationStats") -> "GenerationStats":
        """Of this generation and a later one with the same prompt."""
        return GenerationStats(
            self.prompt_tokens,
            self.cached_tokens,
            self.drafted_tokens + later.drafted_tokens,
            self.accepted_tokens + later.accepted_tokens,
            self.target_steps + later.target_steps,
            self.precise_steps + later.precise_steps,
            self.prefill_ms,
            self.decode_ms + later.prefill_ms + later.decode_ms,
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """The outcome; `text` is without the healed text, `tokens` spell both."""

    tokens: list[int]
    text: str
    ends: list[int]
    """How much of `text` each token and those before it spell, in characters."""
    log_probabilities: list[float]
    runners_up: list[Step]
    """The second best at each step that was not forced, the last one included: where other answers branch off."""
    finish: Finish
    stats: GenerationStats
    end_log_probability: float = 0.0
    """Of the stop token, which is none of `tokens`; 0 where the answer ended otherwise."""

    @property
    def likelihood(self) -> float:
        """In nats, of all that was said, the end included."""
        return sum(self.log_probabilities) + self.end_log_probability

    def whole_lines(self) -> "Generation":
        """Without the last line, of an answer that ended in the middle of it."""
        text = self.text[: self.text.rfind("\n") + 1]
        kept = bisect_right(self.ends, len(text)) if text else 0
        return replace(self, text=text, **{name: getattr(self, name)[:kept] for name in _PER_TOKEN})


_PER_TOKEN = ("tokens", "ends", "log_probabilities", "runners_up")


@dataclass(slots=True)
class _Output:
    """What has been committed so far."""

    tokenizer: Tokenizer
    params: GenerationParams
    stream: TextStream = field(init=False)
    pending: bytes = field(init=False)
    tokens: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    runners_up: list[Step] = field(default_factory=list)
    finish: Finish | None = None
    end_log_probability: float = 0.0

    def __post_init__(self) -> None:
        self.pending = self.params.healed
        self.stream = TextStream(self.tokenizer, skip=len(self.pending))
        for step in self.params.forced:
            self.commit(*step)

    @property
    def allowed(self) -> IdArray | None:
        """The tokens that agree with the text to be healed; None when any may come."""
        return self.tokenizer.agreeing(self.pending) if self.pending else None

    def take(self, choice: Choice) -> None:
        """What the model has chosen after the tokens so far."""
        self.params.chosen(choice)
        self.runners_up.append(choice.runner_up)
        self.commit(choice.token, choice.log_probability)

    def commit(self, token: int, log_probability: float) -> None:
        """Take `token`, or finish."""
        if token in self.params.stop_ids:
            self.finish, self.end_log_probability = "stop", log_probability
            return
        self.tokens.append(token)
        self.log_probabilities.append(log_probability)
        self.pending = self.pending[len(self.tokenizer.token_bytes(token)) :]
        text = self.stream.push(token)
        self.ends.append(len(text))
        if self.params.complete(text):
            self.finish = "rule"
        elif sum(self.log_probabilities) < self.params.least_likelihood:
            self.finish = "unsure"
        elif len(self.tokens) >= self.params.max_tokens:
            self.finish = "limit"

    def generation(self, stats: GenerationStats) -> Generation:
        """The outcome, once there is a `finish`."""
        assert self.finish is not None
        text = self.stream.text
        said = (self.tokens, text, self.ends, self.log_probabilities, self.runners_up)
        return Generation(*said, self.finish, stats, self.end_log_probability)


def _choose(logits: Logits, row: int) -> Choice:
    """The most likely word after one of the tokens."""
    values = logits.values[row]
    best = int(values.argmax())
    behind = values - values[best]
    log_probability = -float(np.log(np.exp(behind).sum()))
    behind[best] = -np.inf
    second = int(behind.argmax())
    runner_up = Step(int(logits.words[second]), log_probability + float(behind[second]))
    return Choice(int(logits.words[best]), log_probability, runner_up)


@dataclass(slots=True)
class _Run:
    """One generation on its way."""

    model: Model
    cache: KVCache
    prompt: list[int]
    drafter: Drafter
    deadline: Deadline
    output: _Output
    stats: GenerationStats
    state: FloatArray | None = None
    """[1, hidden], what the target's head read before the last token."""

    def round(self) -> None:
        """One pass of the target: verify the drafts, commit those it agrees with and its own next token."""
        committed = self.prompt + self.output.tokens
        drafts = self.drafter.propose(committed, self._most_drafts(len(committed)), self.state)
        # The first word counts most, and what was typed stays in the cache: both are worth the precise path.
        logits = self._target(committed, drafts, precise=self.stats.target_steps == 0)
        accepted = 0
        for place, draft in enumerate([*drafts, None]):
            choice = _choose(logits, place)
            if choice.lead < self.model.recheck_below and not logits.precise:
                logits = self._target(committed, drafts, precise=True)
                choice = _choose(logits, place)
                self.stats.precise_steps += 1
            self.deadline.spent.decoded_tokens += 1
            self.output.take(choice)
            accepted += choice.token == draft
            if self.output.finish is not None or choice.token != draft:
                break
        self.state = None if logits.states is None else logits.states[place : place + 1]
        self._count(len(drafts), min(len(drafts), place + 1), accepted)

    def _most_drafts(self, committed: int) -> int:
        """None while text is to be healed: what may come is known better than by a guess."""
        left = self.output.params.max_tokens - len(self.output.tokens) - 1
        return 0 if self.output.pending else max(0, min(self.cache.capacity - committed, left))

    def _target(self, committed: list[int], drafts: list[int], precise: bool) -> Logits:
        """Logits after the last of `committed` and after each draft."""
        feed = self.cache.rewind_to(committed) + drafts
        return self.model.forward(feed, self.cache, 1 + len(drafts), self.deadline, self.output.allowed, precise)

    def _count(self, drafted: int, judged: int, accepted: int) -> None:
        self.drafter.verified(judged, accepted)
        self.stats.target_steps += 1
        self.stats.drafted_tokens += drafted
        self.stats.accepted_tokens += accepted


def generate(
    model: Model,
    tokenizer: Tokenizer,
    cache: KVCache,
    prompt: list[int],
    params: GenerationParams,
    drafter: Drafter,
    deadline: Deadline,
) -> Generation:
    """Continue `prompt` (at least one token). Raises `Cancelled`; the cache stays right and keeps what was computed.

    If the request is released, that is all of the prompt.
    """
    output = _Output(tokenizer, params)
    start = time.perf_counter()
    missing = prefill(model, cache, prompt, deadline)
    stats = GenerationStats(len(prompt), len(prompt) - missing)
    run = _Run(model, cache, prompt, drafter, deadline, output, stats)
    prefilled = time.perf_counter()
    while output.finish is None:
        deadline.check() if stats.target_steps else deadline.check_reading()
        if deadline.expired:
            output.finish = "deadline"
            break
        run.round()
        if stats.target_steps == 1:  # the first pass belongs to the prompt: it feeds the prompt's last token
            prefilled = time.perf_counter()
    stats.prefill_ms = (prefilled - start) * 1e3
    stats.decode_ms = (time.perf_counter() - prefilled) * 1e3
    return output.generation(stats)


def replay(
    tokenizer: Tokenizer,
    params: GenerationParams,
    choices: Iterator[Choice],
    stats: GenerationStats,
    deadline: Deadline,
) -> Generation:
    """The generation of a model elsewhere, of which each choice is told: no more are asked for than are wanted.

    That there are no more means that its time was spent.
    """
    output = _Output(tokenizer, params)
    while output.finish is None:
        choice = None if deadline.expired else next(choices, None)
        if choice is None:
            output.finish = "deadline"
        else:
            output.take(choice)
    return output.generation(stats)


def prefill(model: Model, cache: KVCache, prompt: list[int], deadline: Deadline, leave: int = PREFILL_CHUNK) -> int:
    """Bring all but at most `leave` tokens of `prompt` into the cache; the number of tokens the cache lacked.

    Stops early when the budget is spent: what is in the cache then helps the next request.
    """
    feed = cache.rewind_to(prompt)
    missing = len(feed)
    while len(feed) > leave and not deadline.expired:
        deadline.check_reading()
        model.forward(feed[:PREFILL_CHUNK], cache, 0, deadline, precise=True)
        feed = feed[PREFILL_CHUNK:]
    return missing
