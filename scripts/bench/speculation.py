"""What drafts gain: cases decoded without them, with copies alone and as served, and the ratios of the speeds.

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
from flash_ls.engine.draft_model import DraftModel
from flash_ls.engine.drafter import Drafter, Gain, LookupDrafter, NoDrafter
from flash_ls.engine.manifest import PromptFormat
from flash_ls.engine.model import Model
from flash_ls.engine.model_drafter import drafter_for
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
    """One case, decoded twice in each way."""

    group: str
    plain: list[Run]
    speculative: list[Run]
    """As served."""
    copied: list[Run]
    """With copies alone; none where that is how it is served."""

    @property
    def mismatches(self) -> bool:
        return len({run.text for run in (*self.plain, *self.speculative, *self.copied)}) > 1


class Speculation:
    """Decodes cases with and without drafts; of two drafters of a kind each meets a case, and learns from it, once."""

    def __init__(
        self, model: Model, tokenizer: Tokenizer, form: PromptFormat, costs: StepCosts, draft: DraftModel | None = None
    ) -> None:
        self._model, self._tokenizer, self._form = model, tokenizer, form
        self._cache = model.new_cache()
        self._plain, self._served = NoDrafter(), [drafter_for(draft, Gain(costs)) for _ in range(2)]
        self._lookups = [LookupDrafter(Gain(costs)) for _ in range(2)] if draft else []

    def outcome(self, case: Case) -> Outcome:
        prompt = build_prompt(case.before, case.after, self._form, self._tokenizer, Config())
        answer, _ = self._tokenizer.encode(prompt.healed.decode("utf-8", "replace") + case.middle)
        params = self._params(case, prompt)
        self._run(self._plain, prompt, replace(params, max_tokens=1))  # from here on the prompt is cached
        turns: list[Drafter] = [self._plain, *self._lookups[:1], *self._served, *self._lookups[1:], self._plain]
        runs = [(drafter, self._run(drafter, prompt, params)) for drafter in turns]
        plain, served, copied = (
            [run for drafter, run in runs if drafter in kind] for kind in ([self._plain], self._served, self._lookups)
        )
        return Outcome("repetitive" if repeats(prompt.token_ids, answer) else case.kind, plain, served, copied)

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
    """Speed ratios of each group and of all to no drafts, of all to copies alone, and what became of the drafts."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.group, []).append(outcome)
    ratios = {group: speed_ratio(members) for group, members in sorted(groups.items())}
    counted = [ratios[group] for group, members in groups.items() if len(members) >= LEAST_CASES]
    plain, speculative, copied = runs_of(outcomes)
    kinds = {"plain": plain, "served": speculative, "copied": copied}
    return {
        "repetitive": ratios.get("repetitive"),
        "worst": min(counted, default=None),
        "acceptance": round(sum_of(speculative, "accepted") / max(1.0, sum_of(speculative, "drafted")), 4),
        "mismatch": round(statistics.mean(outcome.mismatches for outcome in outcomes), 4),
        "all": speed_ratio(outcomes),
        "over_copies": over_copies(outcomes),
        "kinds": {name: told(runs) for name, runs in kinds.items()},
        "rechecked": round(sum_of(plain, "rechecked") / sum_of(plain, "steps"), 4),
        "groups": {
            name: {"cases": len(groups[name]), "ratio": ratio, "over_copies": over_copies(groups[name])}
            for name, ratio in ratios.items()
        },
    }


def told(runs: Sequence[Run]) -> dict[str, float]:
    """Of one way of decoding: its time, how many tokens a pass gives, and how many of the drafts are right."""
    passes, drafted = sum_of(runs, "steps"), sum_of(runs, "drafted")
    return {
        "ms_per_token": round(ms_per_token(runs), 2),
        "tokens_per_step": round(sum_of(runs, "tokens") / max(1.0, passes), 3),
        "acceptance": round(sum_of(runs, "accepted") / max(1.0, drafted), 4),
        "drafted": round(drafted / max(1.0, passes), 3),
    }


def speed_ratio(outcomes: Sequence[Outcome]) -> float:
    """Tokens per second with drafts over those without."""
    plain, speculative, _ = runs_of(outcomes)
    return round(ms_per_token(plain) / ms_per_token(speculative), 3)


def over_copies(outcomes: Sequence[Outcome]) -> float | None:
    """Tokens per second as served over those with copies alone, if that is not the same."""
    _, speculative, copied = runs_of(outcomes)
    return round(ms_per_token(copied) / ms_per_token(speculative), 3) if copied else None


def runs_of(outcomes: Sequence[Outcome]) -> tuple[list[Run], list[Run], list[Run]]:
    """All runs without drafts, as served, and with copies alone."""
    plain = [run for outcome in outcomes for run in outcome.plain]
    speculative = [run for outcome in outcomes for run in outcome.speculative]
    return plain, speculative, [run for outcome in outcomes for run in outcome.copied]


def ms_per_token(runs: Sequence[Run]) -> float:
    return sum_of(runs, "ms") / max(1.0, sum_of(runs, "tokens"))


def sum_of(runs: Sequence[Run], what: str) -> float:
    return float(sum(getattr(run, what) for run in runs))
