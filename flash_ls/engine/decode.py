"""Greedy decoding as a speculative loop: plain decoding is the case of no drafts, so there is one code path.

Each round feeds what the cache lacks plus the drafts, in one pass, and commits the drafts that the target would have
chosen itself and one token more (arXiv 2211.17192). Token ids in, text out: nothing here knows documents.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache, common_prefix
from flash_ls.engine.drafter import Drafter
from flash_ls.engine.model import FloatArray, Model
from flash_ls.engine.tokenizer import TextStream, Tokenizer

PREFILL_CHUNK = 64
"""Tokens per prefill pass: the longest a cancel waits where a pass cannot be interrupted, at no loss of speed."""

Finish = Literal["stop", "rule", "limit", "deadline"]


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """When to stop, and what the text must agree with."""

    max_tokens: int
    stop_ids: frozenset[int]
    healed: bytes = b""
    """Text taken back from the prompt, which the first tokens have to spell again (token healing)."""
    complete: Callable[[str], bool] = lambda text: False
    """Stop rule on the text so far, without the healed text."""


@dataclass(slots=True)
class GenerationStats:
    """What one generation cost."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    target_steps: int = 0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Generation:
    """The outcome; `text` is without the healed text, `tokens` spell both."""

    tokens: list[int]
    text: str
    log_probabilities: list[float]
    finish: Finish
    stats: GenerationStats


@dataclass(slots=True)
class _Output:
    """What has been committed so far."""

    tokenizer: Tokenizer
    params: GenerationParams
    stream: TextStream = field(init=False)
    pending: bytes = field(init=False)
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    finish: Finish | None = None

    def __post_init__(self) -> None:
        self.pending = self.params.healed
        self.stream = TextStream(self.tokenizer, skip=len(self.pending))

    def choose(self, logits: FloatArray) -> int:
        """The most likely token [vocabulary] among those that agree with the text to be healed."""
        if not self.pending:
            return int(logits.argmax())
        allowed = self.tokenizer.agreeing(self.pending)
        return int(allowed[logits[allowed].argmax()])

    def commit(self, token: int, logits: FloatArray) -> None:
        """Take `token`, or finish."""
        if token in self.params.stop_ids:
            self.finish = "stop"
            return
        self.tokens.append(token)
        self.log_probabilities.append(_log_probability(logits, token))
        self.pending = self.pending[len(self.tokenizer.token_bytes(token)) :]
        if self.params.complete(self.stream.push(token)):
            self.finish = "rule"
        elif len(self.tokens) >= self.params.max_tokens:
            self.finish = "limit"


def _log_probability(logits: FloatArray, token: int) -> float:
    top = logits.max()
    return float(logits[token] - top - np.log(np.exp(logits - top).sum()))


def generate(
    model: Model,
    tokenizer: Tokenizer,
    cache: KVCache,
    prompt: list[int],
    params: GenerationParams,
    drafter: Drafter,
    deadline: Deadline,
) -> Generation:
    """Continue `prompt` (at least one token). Raises `Cancelled`; the cache stays right and keeps what was computed."""
    output = _Output(tokenizer, params)
    start = time.perf_counter()
    missing = prefill(model, cache, prompt, deadline)
    stats = GenerationStats(len(prompt), len(prompt) - missing)
    prefilled = time.perf_counter()
    while output.finish is None:
        deadline.check()
        if deadline.expired:
            output.finish = "deadline"
            break
        _round(model, cache, prompt, output, drafter, deadline, stats)
        if stats.target_steps == 1:  # the first pass belongs to the prompt: it feeds the prompt's last token
            prefilled = time.perf_counter()
    stats.prefill_ms = (prefilled - start) * 1e3
    stats.decode_ms = (time.perf_counter() - prefilled) * 1e3
    return Generation(output.tokens, output.stream.text, output.log_probabilities, output.finish, stats)


def prefill(model: Model, cache: KVCache, prompt: list[int], deadline: Deadline) -> int:
    """Bring all but the last chunk of `prompt` into the cache; the number of prompt tokens the cache lacked.

    Stops early when the budget is spent: what is in the cache then helps the next request.
    """
    feed = cache.rewind_to(prompt)
    missing = len(feed)
    while len(feed) > PREFILL_CHUNK and not deadline.expired:
        deadline.check()
        model.forward(feed[:PREFILL_CHUNK], cache, 0, deadline)
        feed = feed[PREFILL_CHUNK:]
    return missing


def _round(
    model: Model,
    cache: KVCache,
    prompt: list[int],
    output: _Output,
    drafter: Drafter,
    deadline: Deadline,
    stats: GenerationStats,
) -> None:
    """One pass of the target: verify the drafts, commit those it agrees with and its own next token."""
    committed = prompt + output.tokens
    drafts = drafter.propose(committed)[: max(0, cache.capacity - len(committed))]
    feed = cache.rewind_to(committed)
    logits = model.forward(feed + drafts, cache, 1 + len(drafts), deadline)
    before = len(output.tokens)
    for row, draft in zip(logits, [*drafts, None], strict=True):
        token = output.choose(row)
        output.commit(token, row)
        if output.finish is not None or token != draft:
            break
    stats.target_steps += 1
    stats.drafted_tokens += len(drafts)
    stats.accepted_tokens += common_prefix(drafts, output.tokens[before:])
