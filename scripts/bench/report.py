"""Everything measured in one run: the figures for machines, and tables to read. It measures nothing itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.bench import cancels, speculation
from scripts.bench.floor import Floor
from scripts.bench.passes import Samples, cpu_s_per_million
from scripts.bench.peer import PEER
from scripts.bench.processes import Process
from scripts.bench.sample import median_ms, quantiles
from scripts.bench.speculation import Outcome
from scripts.report import table

COMPARED = ("decode", "verify4", "prefill64", "prefill512")
Steps = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Percentiles in milliseconds, by contender and by measure."""


@dataclass(frozen=True)
class Results:
    """Everything measured."""

    load_average: float
    """Of the minute before: what else the machine does."""
    precision: str
    """The one that single figures are of: what `auto` means on this machine, if that is among those compared."""
    samples: Samples
    floor: Floor
    processes: dict[str, Process]
    server_rss_mb: float
    outcomes: list[Outcome]
    cancels: dict[str, list[float]]
    """Milliseconds, of prefill and of decode."""


def summary(results: Results) -> dict[str, Any]:
    samples, processes = results.samples, results.processes
    int4 = samples.get("int4")
    return {
        "ratio_to_peer": ratio_to_peer(samples, results.precision),
        "ratio_to_peer_by_precision": {name: ratio_to_peer(samples, name) for name in samples if name != PEER},
        "precision": results.precision,
        "floor_ratio": round(median_ms(int4["decode"]) / results.floor.ms, 3) if int4 else None,
        "rss_mb": round(results.server_rss_mb),
        "speculation": speculation.summary(results.outcomes),
        "cancel_ms": cancels.summary(results.cancels),
        "idle_cpu_s": processes[results.precision].idle_cpu_s,
        "load_average_before": round(results.load_average, 2),
        "floor": results.floor.summary(),
        "processes": {name: process._asdict() for name, process in processes.items()},
        "cpu_s_per_million_tokens": {name: cpu_s_per_million(taken) for name, taken in samples.items()},
        "steps_ms": steps_ms(samples),
    }


def ratio_to_peer(samples: Samples, precision: str) -> dict[str, float | None]:
    """The peer's median over that of our `precision`: above 1 ours is faster."""
    ours, peer = samples[precision], samples.get(PEER)
    return {name: round(median_ms(peer[name]) / median_ms(ours[name]), 3) if peer else None for name in COMPARED}


def steps_ms(samples: Samples) -> Steps:
    return {
        name: {measure: quantiles([sample.ms for sample in taken])._asdict() for measure, taken in measures.items()}
        for name, measures in samples.items()
    }


def tables(said: Mapping[str, Any]) -> str:
    """The summary to read."""
    processes = [["process", "load s", "RSS MB"]]
    processes += [[name, f"{one['load_s']:.2f}", f"{one['rss_mb']:.0f}"] for name, one in said["processes"].items()]
    groups = [["speculation", "cases", "speed ratio"]]
    groups += [[name, one["cases"], one["ratio"]] for name, one in said["speculation"]["groups"].items()]
    cpu = [["CPU s per 1M tokens", "decode", "prefill512"]]
    cpu += [[name, *one.values()] for name, one in said["cpu_s_per_million_tokens"].items()]
    cancelled = [["cancel, ms", "p50", "p95"]]
    cancelled += [[name, *said["cancel_ms"][name].values()] for name in ("prefill", "decode")]
    return "\n".join(map(table, (steps_rows(said["steps_ms"]), processes, cpu, groups, cancelled)))


def steps_rows(steps: Steps) -> Sequence[Sequence[str]]:
    """A row for each measure, in milliseconds."""
    rows = [["ms", *steps]]
    for measure in next(iter(steps.values())):
        found = [taken[measure] for taken in steps.values()]
        rows.append([measure, *(f"{one['p50']:.1f} ({one['p10']:.1f}..{one['p90']:.1f})" for one in found)])
    return rows
