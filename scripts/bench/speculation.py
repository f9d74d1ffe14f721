"""What lookup drafts gain: cases decoded with and without them, and the ratio of the speeds.

It knows the engine and the cases, not the completer: what is timed is decoding alone.
"""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.engine.costs import StepCosts
from flash_ls.engine.decode import GenerationParams, generate
from flash_ls.engine.drafter import Drafter, LookupDrafter, NoDrafter
from flash_ls.engine.manifest import PromptFormat
from flash_ls.engine.model import Model
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.postprocess import LineRule
from flash_ls.prompt import Prompt, build_prompt
from scripts.cases import Case

NGRAM, REPEATED_SHARE, LEAST_CASES = 3, 0.5, 10
"""What makes a case repetitive, and from how many cases on a group counts for the worst."""
LINE_TOKENS, BLOCK_TOKENS = 48, 96


class Run(NamedTuple):
    """One answer: its tokens, the milliseconds and passes they took, and the draft tokens verified and accepted."""

    text: str
    tokens: int
    ms: float
    steps: int
    rechecked: int
    """Passes repeated by the precise path."""
    drafted: int
    accepted: int


class Outcome(NamedTuple):
    """One case, decoded with and without drafts equally often."""

    group: str
    plain: list[Run]
    speculative: list[Run]

    @property
    def mismatches(self) -> bool:
        return len({run.text for run in (*self.plain, *self.speculative)}) > 1


class Speculation:
    """Decodes cases with and without drafts; of two lookup drafters each meets a case once, and learns from it once."""

    def __init__(self, model: Model, tokenizer: Tokenizer, form: PromptFormat, costs: StepCosts) -> None:
        self._model, self._tokenizer, self._form = model, tokenizer, form
        self._cache = model.new_cache()
        self._plain, self._lookups = NoDrafter(), (LookupDrafter(costs), LookupDrafter(costs))

    def outcome(self, case: Case) -> Outcome:
        prompt = build_prompt(case.before, case.after, self._form, self._tokenizer, Config())
        answer, _ = self._tokenizer.encode(prompt.healed.decode("utf-8", "replace") + case.middle)
        params = self._params(case, prompt)
        self._run(self._plain, prompt, replace(params, max_tokens=1))  # from here on the prompt is cached
        first, *speculative, last = (
            self._run(drafter, prompt, params) for drafter in (self._plain, *self._lookups, self._plain)
        )
        group = "repetitive" if repeats(prompt.token_ids, answer) else case.kind
        return Outcome(group, [first, last], speculative)

    def _params(self, case: Case, prompt: Prompt) -> GenerationParams:
        stop_ids = frozenset(self._form.stop_ids)
        if case.kind == "block":
            return GenerationParams(BLOCK_TOKENS + prompt.healed_tokens, stop_ids, prompt.healed)
        return GenerationParams(LINE_TOKENS + prompt.healed_tokens, stop_ids, prompt.healed, LineRule().complete)

    def _run(self, drafter: Drafter, prompt: Prompt, params: GenerationParams) -> Run:
        done = generate(self._model, self._tokenizer, self._cache, prompt.token_ids, params, drafter, Deadline())
        stats = done.stats
        return Run(
            done.text,
            len(done.tokens),
            stats.prefill_ms + stats.decode_ms,
            stats.target_steps,
            stats.precise_steps,
            stats.drafted_tokens,
            stats.accepted_tokens,
        )


def repeats(prompt: Sequence[int], answer: Sequence[int]) -> bool:
    """Whether at least half of the trigrams of `answer` stand in `prompt`."""
    known, wanted = set(grams(prompt)), grams(answer)
    return bool(wanted) and sum(gram in known for gram in wanted) >= REPEATED_SHARE * len(wanted)


def grams(tokens: Sequence[int]) -> list[tuple[int, ...]]:
    return [tuple(tokens[start : start + NGRAM]) for start in range(len(tokens) - NGRAM + 1)]


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Speed ratios of each group and of all, and what became of the drafts."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.group, []).append(outcome)
    ratios = {group: speed_ratio(members) for group, members in sorted(groups.items())}
    counted = [ratios[group] for group, members in groups.items() if len(members) >= LEAST_CASES]
    plain, speculative = runs_of(outcomes)
    return {
        "repetitive": ratios.get("repetitive"),
        "worst": min(counted, default=None),
        "acceptance": round(sum_of(speculative, "accepted") / max(1.0, sum_of(speculative, "drafted")), 4),
        "mismatch": round(statistics.mean(outcome.mismatches for outcome in outcomes), 4),
        "all": speed_ratio(outcomes),
        "ms_per_token": {"plain": round(ms_per_token(plain), 2), "lookup": round(ms_per_token(speculative), 2)},
        "rechecked": round(sum_of(plain, "rechecked") / sum_of(plain, "steps"), 4),
        "groups": {name: {"cases": len(groups[name]), "ratio": ratio} for name, ratio in ratios.items()},
    }


def speed_ratio(outcomes: Sequence[Outcome]) -> float:
    """Tokens per second with drafts over those without."""
    plain, speculative = runs_of(outcomes)
    return round(ms_per_token(plain) / ms_per_token(speculative), 3)


def runs_of(outcomes: Sequence[Outcome]) -> tuple[list[Run], list[Run]]:
    """All runs without drafts, and all with them."""
    plain = [run for outcome in outcomes for run in outcome.plain]
    return plain, [run for outcome in outcomes for run in outcome.speculative]


def ms_per_token(runs: Sequence[Run]) -> float:
    return sum_of(runs, "ms") / max(1.0, sum_of(runs, "tokens"))


def sum_of(runs: Sequence[Run], what: str) -> float:
    return float(sum(getattr(run, what) for run in runs))
