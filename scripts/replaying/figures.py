"""What the typist got, in figures: from the keystrokes of a run, and nothing else."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from scripts.replaying.editor import Keystroke
from scripts.replaying.server import Played

Figures = dict[str, Any]
NO_ANSWER = {"cancelled", "superseded", "error", "loading"}
"""Reasons for which a request was not answered."""
FEW_TOKENS = 8
MOMENTS = ("jump", "accept", "enter", "other")
ROWS = {
    "keystrokes": "keystrokes",
    "shown_ms.p50": "shown p50 ms",
    "shown_ms.p90": "p90",
    "shown_ms.p95": "p95",
    "shown_ms.p99": "p99",
    "answered_ms.p50": "answered p50 ms",
    "answered_ms.p95": "p95",
    "no_model_share": "no model call",
    "few_tokens_share": "no call or < 8 new tokens",
    "cached_token_share": "cached tokens",
    "overtaken": "overtaken",
    "cancelled": "cancelled",
    "shown": "shown",
    "precision": "of these right",
    "accepted": "accepted",
    "characters_saved": "characters saved",
    "flicker_per_100": "flicker in 100 keys",
    "stale_shown": "stale shown",
    "stale_answers": "stale answers",
    "unfit": "unfit answers",
    "cpu_s_per_min": "CPU s per minute",
    "cpu_s_per_1000_keys": "CPU s per 1,000 keys",
    "rss_mb": "MB",
    "peak_rss_mb": "MB at most",
}
"""The figures of the table, and how they are called there."""


def summary(played: Played) -> Figures:
    """All figures of a run; a rate of nothing is None. Times are in milliseconds.

    `shown_ms` is from the key to the answer with a text to show, for the text as it was then; `overtaken` counts keys
    whose answer came after the next key. `characters_saved`: of the keys that the same sessions take if nothing is
    accepted, the share that was not pressed; the accepting keys count as pressed.
    """
    keys = played.keys
    asked = [stroke for stroke in keys if stroke.version is not None]
    right = [stroke for stroke in asked if stroke.right]
    shown = [stroke for stroke in asked if stroke.shown]
    minutes = played.typing_s / 60
    return {
        "keystrokes": len(keys),
        "sessions": played.sessions,
        "languages": dict(Counter(stroke.language for stroke in keys).most_common()),
        "shown_ms": ranks(shown),
        "answered_ms": ranks(asked),
        "by_moment": {moment: _of_moment(asked, moment) for moment in MOMENTS},
        **_work(asked),
        "overtaken": sum(stroke.answered_ms is None for stroke in asked),
        "shown": len(shown),
        "right": len(right),
        "precision": _share(len(right), len(shown)),
        "accepted": sum(stroke.kind == "accept" for stroke in keys),
        "accepted_characters": sum(stroke.accepted for stroke in keys),
        "characters_saved": _share(played.keys_alone - len(keys), played.keys_alone),
        "flicker_per_100": _ratio(100 * sum(stroke.flicker for stroke in keys), len(keys)),
        **{name: played.counts.get(name, 0) for name in ("stale_shown", "stale_answers", "unfit", "errors")},
        "typing_min": round(minutes, 2),
        "cpu_s_per_min": _ratio(played.cpu_s, minutes),
        "cpu_s_per_1000_keys": _ratio(1000 * played.cpu_s, len(keys)),
        "rss_mb": round(played.rss_mb),
        "peak_rss_mb": round(played.peak_rss_mb),
    }


def ranks(strokes: Iterable[Keystroke]) -> dict[str, float | None]:
    """How long answers took, of keys that were answered before the next."""
    times = [stroke.answered_ms for stroke in strokes if stroke.answered_ms is not None]
    return {f"p{rank}": round(float(np.percentile(times, rank)), 1) if times else None for rank in (50, 90, 95, 99)}


def table(runs: Mapping[str, Figures]) -> list[list[object]]:
    """A row for each figure, a column for each server."""
    return [
        ["", *runs],
        *([title, *(_looked_up(said, path) for said in runs.values())] for path, title in ROWS.items()),
    ]


def moments_table(runs: Mapping[str, Figures]) -> list[list[object]]:
    """The time to what is shown by what the key came after."""
    rows: list[list[object]] = [["shown after", *(f"{name} n, p50, p95 ms" for name in runs)]]
    for moment in MOMENTS:
        parts = [said["by_moment"][moment] for said in runs.values()]
        rows.append(
            [moment, *(f"{part['shown']}, {part['shown_ms']['p50']}, {part['shown_ms']['p95']}" for part in parts)]
        )
    return rows


def reasons_table(runs: Mapping[str, Figures]) -> list[list[object]]:
    """How often the log of each server gave which reason."""
    names = sorted({reason for said in runs.values() for reason in said["reasons"]})
    return [["reason", *runs], *([name, *(said["reasons"].get(name, 0) for said in runs.values())] for name in names)]


def _work(asked: Sequence[Keystroke]) -> Figures:
    """What the server's log tells."""
    answered = [stroke for stroke in asked if stroke.reason is not None and stroke.reason not in NO_ANSWER]
    free = [stroke for stroke in answered if not stroke.prompt_tokens]
    few = [stroke for stroke in answered if stroke.prompt_tokens - stroke.cached_tokens < FEW_TOKENS]
    prompts, cached = (sum(getattr(one, name) for one in answered) for name in ("prompt_tokens", "cached_tokens"))
    reasons = Counter(stroke.reason for stroke in asked if stroke.reason is not None)
    return {
        "no_model_share": _share(len(free), len(answered)),
        "few_tokens_share": _share(len(few), len(answered)),
        "cached_token_share": _share(cached, prompts),
        "cancelled": sum(count for reason, count in reasons.items() if reason in NO_ANSWER),
        "reasons": dict(reasons.most_common()),
        "not_in_log": sum(stroke.reason is None for stroke in asked),
    }


def _of_moment(asked: Sequence[Keystroke], moment: str) -> Figures:
    strokes = [stroke for stroke in asked if stroke.moment == moment]
    shown = [stroke for stroke in strokes if stroke.shown]
    return {"keystrokes": len(strokes), "shown": len(shown), "shown_ms": ranks(shown), "answered_ms": ranks(strokes)}


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 2) if whole else None


def _looked_up(said: Figures, path: str) -> object:
    value: Any = said
    for name in path.split("."):
        value = value[name]
    return "" if value is None else value
