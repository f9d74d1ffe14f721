"""The picture of a run: how soon text is shown, and what it saves and costs, by server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.replaying.figures import Figures
from scripts.replaying.server import Played

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
BARS = {
    "characters_saved": "characters saved",
    "cpu_s_per_min": "CPU seconds per minute",
    "flicker_per_100": "flicker in 100 keys",
}


def draw(played: Mapping[str, Played], said: Mapping[str, Figures], path: Path) -> None:
    import matplotlib  # an extra

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(11, 4.5), dpi=150, layout="constrained")
    panels = figure.subplots(1, 1 + len(BARS), width_ratios=[3, *[1] * len(BARS)])
    _times(panels[0], played)
    for axes, (name, title) in zip(panels[1:], BARS.items(), strict=True):
        bars = axes.bar(list(said), [one[name] or 0 for one in said.values()], color=COLOURS[: len(said)])
        axes.bar_label(bars, fmt="%.3g", size=8)
        axes.set_title(title, size=9)
        axes.tick_params(axis="x", labelrotation=30, labelsize=8)
    figure.savefig(path)
    pyplot.close(figure)


def _times(axes: Any, played: Mapping[str, Played]) -> None:
    """The share of shown texts that came within a time."""
    for (name, one), colour in zip(played.items(), COLOURS, strict=False):
        times = sorted(stroke.answered_ms for stroke in one.keys if stroke.shown and stroke.answered_ms is not None)
        shares = [(rank + 1) / len(times) for rank in range(len(times))]
        axes.step(times, shares, where="post", color=colour, linewidth=2, label=name)
    axes.set(
        xscale="log", xlabel="milliseconds from the key to the shown text", ylabel="share of shown texts", ylim=(0, 1)
    )
    axes.set_title("Time to what is shown", size=9)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
