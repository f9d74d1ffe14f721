"""The figures of one or more runs: a summary for machines, tables to read, a plot.

It reads records and knows neither the cases nor the model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from flash_ls.config import Config
from scripts.cases import EvalError
from scripts.predictions import Record

_DIGITS = {
    "exact_match": 4,
    "characters_saved": 4,
    "edit_similarity": 2,
    "identifier_f1": 4,
    "perfect_lines": 4,
    "shown": 4,
    "syntax_valid": 4,
    "repeated_suffix": 4,
    "wrong_indent": 4,
    "unbalanced": 4,
}
"""The scores in the order of the tables, and how many digits are told."""
_PLOTTED = {"exact_match": "exact match", "characters_saved": "characters saved"}
_HEADINGS = {
    "n": "n",
    "exact_match": "exact",
    "pass_at_1": "pass@1",
    "characters_saved": "saved",
    "edit_similarity": "edit",
    "identifier_f1": "ident",
    "perfect_lines": "lines",
    "shown": "shown",
    "syntax_valid": "syntax",
    "repeated_suffix": "repeat",
    "wrong_indent": "indent",
    "unbalanced": "unbal",
}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")
Figures = dict[str, Any]


def summary(suite: str, records: Sequence[Record]) -> Figures:
    """All figures of a run; a rate that no case has is None. Latencies in milliseconds."""
    cross_file = [record for record in records if record.cross_file and record.kind != "block"]
    latencies = [record.latency_ms for record in records]
    return {
        "suite": suite,
        **figures(records),
        "latency_ms": {f"p{rank}": round(np.percentile(latencies, rank)) for rank in (50, 90, 95, 99)},
        "by_kind": _slices(records, lambda record: record.kind),
        "by_language": _slices(records, lambda record: record.language),
        "cross_file": figures(cross_file) if cross_file else None,
        "automatic": automatic(records, Config().min_confidence),
    }


def automatic(records: Sequence[Record], threshold: float) -> Figures | None:
    """What would be shown to somebody who did not ask: how much of it is right, against showing all, and of what is
    right how much is kept. None without a right answer."""
    shown = [record for record in records if record.scores.shown]
    right = [record for record in shown if record.scores.exact_match]
    sure = [
        record for record in shown if record.probability >= threshold and not (record.evidence or {}).get("insisted")
    ]
    if not right or not sure:
        return None
    precision = len([record for record in sure if record.scores.exact_match]) / len(sure)
    return {
        "threshold": threshold,
        "shown": round(len(sure) / len(records), 4),
        "precision": round(precision, 4),
        "gain": round(precision / (len(right) / len(shown)), 3),
        "kept": round(precision * len(sure) / len(right), 4),
    }


def figures(records: Sequence[Record]) -> Figures:
    """The mean of each score over the cases that have it, and over how many those are if not all."""
    columns = {name: [getattr(record.scores, name) for record in records] for name in _DIGITS}
    passed = _mean([record.passed for record in records], 4)
    checked = {name: len(column) - column.count(None) for name, column in columns.items() if None in column}
    means = {name: _mean(column, _DIGITS[name]) for name, column in columns.items()}
    return {"n": len(records), "pass_at_1": passed, **means, "checked": checked}


def _mean(values: Iterable[float | None], digits: int) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), digits) if known else None


def _slices(records: Sequence[Record], key: Callable[[Record], str]) -> dict[str, Figures]:
    names = sorted({key(record) for record in records})
    return {name: figures([record for record in records if key(record) == name]) for name in names}


def slices(said: Figures) -> dict[str, Figures]:
    """The slices of a summary by the names that tables and plots have for them."""
    named = {"all": said}
    for what in ("kind", "language"):
        parts = said[f"by_{what}"]
        named |= parts if len(parts) > 1 else {}
    return named | ({"other file needed": said["cross_file"]} if said["cross_file"] else {})


def score_table(said: Figures) -> str:
    """One row for each slice."""
    rows = [["", *_HEADINGS.values()]]
    rows += [[name, *(_shown(part[key]) for key in _HEADINGS)] for name, part in slices(said).items()]
    latency = "  ".join(f"{rank} {ms}" for rank, ms in said["latency_ms"].items())
    return f"{table(rows)}latency in ms: {latency}\n"


def comparison_table(against: Figures) -> str:
    """One row for each figure of two configurations."""
    rows = [[f"n = {against['n']}", "this", against["name"], "difference", "won", "lost", "p"]]
    for key, part in against.items():
        if isinstance(part, dict):
            tested = [part.get(name, "") for name in ("wins", "losses", "p")]
            rows.append([key.replace("_", " "), part["ours"], part["theirs"], f"{part['difference']:+}", *tested])
    return table(rows)


def table(rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need, the first aligned left."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells)
    return "\n".join(lines) + "\n"


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.3f}" if value <= 1 else f"{value:.1f}"


def check_plot(path: Path) -> None:
    """Raises `EvalError` if no plot can be drawn there."""
    if find_spec("matplotlib") is None:
        raise EvalError("matplotlib, which draws the plot, is not installed; run `pip install 'flash-ls[bench]'`.")
    if path.suffix != ".png" or not path.parent.is_dir() or path.is_dir():
        raise EvalError(f"Cannot draw a plot in {path}; name a .png file in a folder that exists.")


def plot(runs: Mapping[str, Figures], path: Path) -> None:
    """Draw what each configuration reaches in each slice."""
    import matplotlib  # an extra

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for said in runs.values() for name in slices(said)))
    size = (max(6.0, 0.6 * len(names) * (1 + 0.3 * len(runs))), 6)
    figure, panels = pyplot.subplots(len(_PLOTTED), figsize=size, dpi=150, layout="constrained", sharex=True)
    for axes, (score, title) in zip(panels, _PLOTTED.items(), strict=True):
        for index, (label, said) in enumerate(runs.items()):
            _bars(axes, index, len(runs), label, [slices(said).get(name, {}).get(score) or 0.0 for name in names])
        axes.set(ylabel=title, ylim=(0, 1))
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
    panels[-1].set_xticks(range(len(names)), [_with_count(name, runs) for name in names], rotation=30, ha="right")
    panels[0].legend(frameon=False, ncols=3)
    figure.savefig(path)
    pyplot.close(figure)


def _bars(axes: Any, index: int, count: int, label: str, heights: Sequence[float]) -> None:
    width = 0.8 / count
    places = [place + (index - (count - 1) / 2) * width for place in range(len(heights))]
    bars = axes.bar(places, heights, width, label=label, color=_COLOURS[index % len(_COLOURS)])
    axes.bar_label(bars, fmt="%.2f", size=6)


def _with_count(name: str, runs: Mapping[str, Figures]) -> str:
    counts = {slices(said)[name]["n"] for said in runs.values() if name in slices(said)}
    return f"{name} ({', '.join(map(str, sorted(counts)))})"
