"""The picture of a run: what a pass costs by its width, one line for each contender."""

from pathlib import Path

from scripts.bench.passes import PAST, WIDTHS
from scripts.bench.peer import PEER
from scripts.bench.report import Steps

LOOKS = {"int4": ("#0072b2", "o"), "int8": ("#d55e00", "s"), "mixed": ("#009e73", "D"), PEER: ("#666666", "^")}
"""Colour and marker."""
TICKS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def draw(steps: Steps, path: Path) -> None:
    import matplotlib  # an extra

    matplotlib.use("Agg")
    from matplotlib import pyplot

    widths = list(WIDTHS.values())
    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=150, layout="constrained")
    for name, taken in steps.items():
        colour, mark = LOOKS.get(name, ("black", "."))
        ms = [taken[measure]["p50"] for measure in WIDTHS]
        axes.plot(widths, ms, color=colour, marker=mark, linewidth=2, markersize=7, label=name)
    axes.set(xscale="log", yscale="log", xlabel="tokens in the pass", ylabel="milliseconds, median")
    axes.set_title(f"Time of one forward pass by its width, {PAST} tokens in the cache")
    axes.set_xticks(widths, map(str, widths))
    low, high = axes.get_ylim()
    axes.set_yticks(ticks := [tick for tick in TICKS_MS if low <= tick <= high], map(str, ticks))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path)
    pyplot.close(figure)
