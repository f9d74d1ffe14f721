"""The statistics as one HTML page: figures as inline SVG, each with its numbers as a table. No script, no network.

Pure: from counters to text. Knows nothing of files.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

from flash_ls.statistics import (
    ACCEPTED,
    BUCKETS,
    EARLIER,
    JUDGED,
    PRICE,
    WATTS,
    Days,
    acceptance,
    cost_per_million,
    latencies,
    latency_of,
    outcomes,
    probability_counts,
    quantile,
    total,
)

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1b2330; --quiet: #5b6675; --rule: #e1e5ea;
  --s0: #2463c9; --s1: #c2570c; --s2: #13795b; --s3: #8b3fb3; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1b2129; --ink: #e8ecf2; --quiet: #9aa6b5;
  --rule: #303945; --s0: #6ea3f7; --s1: #f0935a; --s2: #4cc39a; --s3: #c58be6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1rem; max-width: 72rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0; }
p { margin: .25rem 0 0; color: var(--quiet); }
.tiles, .figures { display: grid; gap: 1rem; margin: 1rem 0 0; padding: 0; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); }
.figures { grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); align-items: start; }
.tiles div, figure { margin: 0; padding: 1rem; background: var(--card); border: 1px solid var(--rule);
  border-radius: 10px; }
dt { color: var(--quiet); } dd { margin: 0; font-size: 1.6rem; font-weight: 600; line-height: 1.3; }
dd small { display: block; color: var(--quiet); font-size: .85rem; font-weight: 400; }
svg { display: block; width: 100%; height: auto; margin: .75rem 0 .25rem; }
svg text { fill: var(--quiet); font: 12px system-ui, sans-serif; }
.rule { stroke: var(--rule); } .ideal { stroke: var(--quiet); stroke-dasharray: 4 4; }
.f0 { fill: var(--s0); } .f1 { fill: var(--s1); } .f2 { fill: var(--s2); } .f3 { fill: var(--s3); }
.l0 { stroke: var(--s0); } .l1 { stroke: var(--s1); } .l2 { stroke: var(--s2); } .l3 { stroke: var(--s3); }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: .5rem 0 0; padding: 0; list-style: none; }
.legend svg { display: inline-block; width: 12px; height: 12px; margin: 0 .4rem 0 0; }
details { margin-top: .5rem; } summary { color: var(--quiet); cursor: pointer; }
.scroll { overflow-x: auto; max-height: 20rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .5rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th:first-child { text-align: left; } thead th { color: var(--quiet); font-weight: 400; }
"""

WIDTH, HEIGHT = 560, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 28
"""Of the plot inside a figure, in its units."""
MOST_SERIES = 4
MOST_LABELS = 8
MOST_REASONS = 6
WIDEST = 64
"""Of a column."""
MOST_WEEKS = 26
WEEK = "week of"

Show = Callable[[float], str]
Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Figure:
    """Values of a few series at the same places of an axis; None where there is none."""

    title: str
    description: str
    axis: str
    """What the labels are."""
    labels: Sequence[str]
    series: dict[str, Values]
    show: Show
    most: float | None = None
    """The end of the upright axis; None: what the values need."""


def page(days: Days, watts: float = WATTS, price: float = PRICE) -> str:
    """The whole page. `watts`: of one busy core; `price`: EUR for a kWh."""
    figures = [
        stacked(latency_figure(days)),
        lines(acceptance_figure(days)),
        stacked(characters_figure(days)),
        lines(calibration_figure(days), ideal=True),
        stacked(cost_figure(days, watts, price)),
        stacked(reasons_figure(days)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>flash-ls statistics</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body><h1>flash-ls statistics</h1><p>{_period(days)}</p>\n"
        f'{_tiles(days, watts, price)}\n<div class="figures">\n{"".join(figures)}</div></body></html>\n'
    )


def latency_figure(days: Days) -> Figure:
    counts = total(days)
    known, model = latencies(counts, "memory"), latencies(counts, "model")
    used = [bucket for bucket in range(len(model)) if known[bucket] or model[bucket]] or [0]
    shown = range(min(used), max(used) + 1)
    return Figure(
        "Time to a suggestion",
        "How many suggestions took so many milliseconds, with and without a call of the model.",
        "from ms",
        [_rounded(latency_of(bucket)) for bucket in shown],
        {"without the model": [known[bucket] for bucket in shown], "with it": [model[bucket] for bucket in shown]},
        _number,
    )


def acceptance_figure(days: Days) -> Figure:
    weeks = by_week(days)
    languages = list(outcomes(total(days)))[: MOST_SERIES - 1]
    found = {week: outcomes(counts) for week, counts in weeks.items()}
    series: dict[str, Values] = {
        "all languages": [acceptance(sum(by.values(), Counter[str]())) for by in found.values()],
        **{name: [acceptance(by.get(name, Counter())) for by in found.values()] for name in languages},
    }
    text = (
        "The share of the suggestions that were accepted, wholly or in part, by week, for all and the main languages."
    )
    return Figure("Accepted", text, WEEK, list(weeks), series, _percent, most=1.0)


def characters_figure(days: Days) -> Figure:
    weeks = by_week(days)
    series: dict[str, Values] = {
        "put in by suggestions": [counts["characters/saved"] for counts in weeks.values()],
        "typed": [counts["characters/typed"] for counts in weeks.values()],
    }
    text = "Characters that suggestions put in, and characters typed by keys, by week."
    return Figure("Characters saved", text, WEEK, list(weeks), series, _number)


def calibration_figure(days: Days) -> Figure:
    counts = probability_counts(total(days))
    text = "Of suggestions with such a probability, the share that was of use. On the dashed line it is as predicted."
    labels = [f"{(bucket + 0.5) / BUCKETS:.2f}" for bucket in range(BUCKETS)]
    series: dict[str, Values] = {"of use": [right / shown if shown else None for shown, right in counts]}
    return Figure("Predicted and found", text, "probability around", labels, series, _percent, most=1.0)


def cost_figure(days: Days, watts: float, price: float) -> Figure:
    weeks = by_week(days)
    text = f"Electricity for a million tokens read and written, at {watts:g} W a busy core and {price:.2f} EUR a kWh."
    series: dict[str, Values] = {"EUR": [_cost(counts, watts, price) for counts in weeks.values()]}
    return Figure("Cost of a million tokens", text, WEEK, list(weeks), series, _euros)


def reasons_figure(days: Days) -> Figure:
    counts = total(days)
    found = Counter({name.partition("/")[2]: counts[name] for name in counts if name.startswith("reason/")})
    reasons = dict(found.most_common(MOST_REASONS))
    if others := found.total() - sum(reasons.values()):
        reasons["others"] = others
    series: dict[str, Values] = {"requests": list(reasons.values())}
    return Figure(
        "Reasons", "How requests ended: why a suggestion was shown or not.", "reason", list(reasons), series, _number
    )


def by_week(days: Days) -> dict[str, Counter[str]]:
    """The sums over each of the last weeks up to the last one with data, by the date of its Monday."""
    dates = [date.fromisoformat(day) for day in days if day != EARLIER]
    if not dates:
        return {}
    last = _monday(max(dates))
    first = max(_monday(min(dates)), last - timedelta(weeks=MOST_WEEKS - 1))
    mondays = [first + timedelta(weeks=week) for week in range((last - first).days // 7 + 1)]
    return {
        monday.isoformat(): total(days, [(monday + timedelta(days=day)).isoformat() for day in range(7)])
        for monday in mondays
    }


def stacked(figure: Figure) -> str:
    """Columns, the series one upon the other."""
    heights = [sum(filter(None, values)) for values in zip(*figure.series.values(), strict=True)]
    most = figure.most or _round_up(max(heights, default=0))
    bases, marks = [0.0] * len(heights), ""
    for number, (name, values) in enumerate(figure.series.items()):
        for place, value in enumerate(values):
            if value:
                top, bottom = _y(bases[place] + value, most), _y(bases[place], most)
                bases[place] += value
                width = min(WIDEST, 0.8 * _step(figure))
                left = _x(figure, place) - width / 2
                shape = f'rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}" rx="1"'
                marks += _mark(figure, name, number, place, value, shape)
    return _figure(figure, most, marks)


def lines(figure: Figure, ideal: bool = False) -> str:
    """Lines with a dot for each value. `ideal`: with the line from corner to corner."""
    values = [value for series in figure.series.values() for value in series if value is not None]
    most = figure.most or _round_up(max(values, default=0))
    marks = f'<line class="ideal" x1="{LEFT}" y1="{_y(0, 1)}" x2="{WIDTH - RIGHT}" y2="{_y(1, 1)}"/>' if ideal else ""
    for number, (name, series) in reversed(list(enumerate(figure.series.items()))):
        points = [(place, _y(value, most), value) for place, value in enumerate(series) if value is not None]
        path = " ".join(f"{_x(figure, place):.1f},{y:.1f}" for place, y, _ in points)
        marks += f'<polyline class="l{number}" points="{path}"/>'
        for place, y, value in points:
            shape = f'circle cx="{_x(figure, place):.1f}" cy="{y:.1f}" r="4"'
            marks += _mark(figure, name, number, place, value, shape)
    return _figure(figure, most, marks)


def _mark(figure: Figure, name: str, number: int, place: int, value: float, shape: str) -> str:
    """One value as a shape that says what it is when it is pointed at."""
    tip = escape(f"{figure.labels[place]}, {name}: {figure.show(value)}")
    return f'<{shape} class="f{number}"><title>{tip}</title></{shape.partition(" ")[0]}>'


def _figure(figure: Figure, most: float, marks: str) -> str:
    """The figure with its heading, axes and table."""
    title, text = escape(figure.title), escape(figure.description)
    empty = "" if marks.strip() and figure.labels else _text(WIDTH / 2, HEIGHT / 2, "middle", "nothing counted yet")
    return (
        f"<figure><h2>{title}</h2><p>{text}</p>{_legend(figure)}"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{title}</title><desc>{text}</desc>'
        f"{_axes(figure, most)}{marks}{empty}</svg>{_table(figure)}</figure>\n"
    )


def _axes(figure: Figure, most: float) -> str:
    rules = ""
    for part in range(5):
        value = most * part / 4
        rules += f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(value, most)}" y2="{_y(value, most)}"/>'
        rules += _text(LEFT - 6, _y(value, most) + 4, "end", figure.show(value))
    every = math.ceil(len(figure.labels) / MOST_LABELS)
    places = range(0, len(figure.labels), max(1, every))
    return rules + "".join(_text(_x(figure, place), HEIGHT - 8, "middle", _short(figure, place)) for place in places)


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _short(figure: Figure, place: int) -> str:
    """A label as it fits under the axis: of a date the month and the day."""
    label = figure.labels[place]
    return label[5:] if figure.axis == WEEK else label


def _legend(figure: Figure) -> str:
    if len(figure.series) < 2:
        return ""
    square = '<svg viewBox="0 0 12 12" aria-hidden="true"><rect class="f{}" width="12" height="12" rx="2"/></svg>'
    rows = [f"<li>{square.format(number)}{escape(name)}</li>" for number, name in enumerate(figure.series)]
    return f'<ul class="legend">{"".join(rows)}</ul>'


def _table(figure: Figure) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in [figure.axis, *figure.series])
    rows = ""
    for label, *values in zip(figure.labels, *figure.series.values(), strict=True):
        cells = "".join(f"<td>{'' if value is None else escape(figure.show(value))}</td>" for value in values)
        rows += f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<details><summary>Numbers</summary><div class="scroll">{table}</div></details>'


def _tiles(days: Days, watts: float, price: float) -> str:
    """What counts most, in large figures."""
    counts = total(days)
    by_outcome = sum(outcomes(counts).values(), Counter[str]())
    saved, typed = counts["characters/saved"], counts["characters/typed"]
    times = [sum(pair) for pair in zip(latencies(counts, "memory"), latencies(counts, "model"), strict=True)]
    kept = _share(counts["kept/30s/yes"], counts["kept/30s/no"])
    late = _share(counts["kept/5min/yes"], counts["kept/5min/no"])
    tiles = [
        ("Suggestions", _number(by_outcome.total()), f"{_number(sum(by_outcome[name] for name in JUDGED))} judged"),
        ("Accepted", _or_none(acceptance(by_outcome), _percent), f"{_number(sum(by_outcome[n] for n in ACCEPTED))}"),
        ("Kept", _or_none(kept, _percent), f"after 30 s; {_or_none(late, _percent)} after 5 minutes"),
        ("Characters saved", _number(saved), f"{_or_none(_share(saved, typed), _percent)} of what was written"),
        ("Median time", _or_none(quantile(times, 0.5), _ms), f"{_or_none(quantile(times, 0.95), _ms)} for 95 %"),
        ("A million tokens", _or_none(_cost(counts, watts, price), _euros), f"{_cached(counts)} of the prompts cached"),
    ]
    rows = [
        f"<div><dt>{name}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in tiles
    ]
    return f'<dl class="tiles">{"".join(rows)}</dl>'


def _period(days: Days) -> str:
    dates = sorted(day for day in days if day != EARLIER)
    if not dates:
        return "Nothing has been counted yet."
    since = "All until" if EARLIER in days else f"{dates[0]} to"
    return f"{since} {dates[-1]}. Counted and kept on this machine alone; no code is in it."


def _cost(counts: Counter[str], watts: float, price: float) -> float | None:
    return cost_per_million(counts["cpu/ms"] / 1000, counts["tokens/prompt"] + counts["tokens/decoded"], watts, price)


def _cached(counts: Counter[str]) -> str:
    return _or_none(_share(counts["tokens/cached"], counts["tokens/prompt"] - counts["tokens/cached"]), _percent)


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest > 0 else None


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _step(figure: Figure) -> float:
    """The width that one label has."""
    return (WIDTH - LEFT - RIGHT) / max(1, len(figure.labels))


def _x(figure: Figure, place: int) -> float:
    return LEFT + _step(figure) * (place + 0.5)


def _y(value: float, most: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / most, 1)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4 and 8 times a power of ten, so that quarters of it are short numbers."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 8, 10) if power * step >= value * (1 - 1e-9))


def _or_none(value: float | None, show: Show) -> str:
    return "–" if value is None else show(value)


def _number(value: float) -> str:
    """Exact below ten thousand."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= 10 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _ms(value: float) -> str:
    return f"{_rounded(value)} ms"


def _rounded(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _euros(value: float) -> str:
    return f"€{value:.2f}" if value >= 0.1 else f"{100 * value:.2g} ct"
