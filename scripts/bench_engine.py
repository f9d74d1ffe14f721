#!/usr/bin/env python3
"""Time the engine, and llama.cpp if asked, side by side in one run. The last line of the output is JSON.

    pip install 'flash-ls[model,bench]'
    scripts/bench_engine.py --peer llama.cpp     everything: some twenty minutes on two cores
    scripts/bench_engine.py --quick              a few repeats of everything
    scripts/bench_engine.py --plot steps.png     also draw what a pass costs by its width

What is compared takes turns, so that a busy machine hits all alike; tables show the median and, in brackets, the 10th
and the 90th percentile. All use the same number of threads.

- Steps: one pass of so many tokens with 512 tokens in the cache and the logits of all of them. Prefill: from empty,
  logits of the last token only; ours in the engine's own chunks, llama.cpp's in one batch.
- Floor: the weights of the int4 graph over the memory bandwidth of this machine at this time, which is the best that
  numpy gets by reading or by copying arrays far larger than the caches, with as many threads. No step can be faster.
- Load time, memory and idle CPU time: of processes of their own that have answered one prompt of about 800 tokens.
- Speculation: each case of --bench decoded with and without lookup drafts in the order A B B A, its prompt cached;
  blocks go on for 96 tokens. A case is `repetitive` if half of its answer's trigrams of tokens stand in its prompt,
  else it counts for its own kind.
- Cancelling: from `cancel()` in one thread until `generate` has ended in the other, at random moments.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import flash_ls
from flash_ls.artifact import store
from flash_ls.artifact.catalog import find
from flash_ls.completer import load_completer
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.engine import manifest
from flash_ls.engine.costs import StepCosts
from flash_ls.engine.decode import GenerationParams, prefill
from flash_ls.engine.drafter import Drafter, LookupDrafter, NoDrafter
from flash_ls.engine.engine import Engine
from flash_ls.engine.manifest import TOKENIZER_FILE, PromptFormat, graph_file
from flash_ls.engine.model import Model, default_threads
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled, FlashLsError
from flash_ls.postprocess import LineRule
from flash_ls.prompt import Prompt, build_prompt
from flash_ls.tuning import load_model
from scripts.cases import BENCH, Case, load_cases, spread
from scripts.type_along import type_text

PEER = "llama.cpp"
"""The system compared with."""
PAST = 512
"""Tokens in the cache before a step."""
WIDTHS = {"decode": 1, "verify2": 2, "verify4": 4, "verify8": 8, "verify16": 16}
PREFILLS = {"prefill64": 64, "prefill512": 512}
COMPARED = ("decode", "verify4", "prefill64", "prefill512")
BURST = 3
"""Passes timed in a row, after one that is not."""
PAUSE_S = 0.05
"""Before a contender's turn: longer than the threads of the one before spin after a pass."""
PEER_CONTEXT = 2048
"""Tokens that llama.cpp has room for."""
SETTLE_S = 1.0
"""After which a process that has answered counts as idle."""
BUFFER_BYTES = 256 << 20
"""What one thread reads to measure the bandwidth."""
PROBE = Path(flash_ls.__file__).with_name("server.py")
"""A file that fills a prompt of the default length."""
NGRAM, REPEATED_SHARE, LEAST_CASES = 3, 0.5, 10
"""What makes a case repetitive, and from how many cases on a group counts for the worst."""
LINE_TOKENS, BLOCK_TOKENS = 48, 96
CANCELLED_TOKENS, DECODE_S = 1500, 0.5
"""The prompt whose prefill is cancelled, and the longest that decoding goes on before it is."""
UNENDING = GenerationParams(max_tokens=300, stop_ids=frozenset())


LOOKS = {"int4": ("#0072b2", "o"), "int8": ("#d55e00", "s"), "mixed": ("#009e73", "D"), PEER: ("#666666", "^")}
"""Colour and marker in the plot."""
TICKS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Sample(NamedTuple):
    """One timed pass: milliseconds by the clock, and of CPU time in all threads."""

    ms: float
    cpu_ms: float


class Quantiles(NamedTuple):
    """Percentiles of a measure."""

    p10: float
    p50: float
    p90: float


class Process(NamedTuple):
    """What one process that answered one prompt took."""

    load_s: float
    rss_mb: float
    idle_cpu_s: float
    """In a minute without requests."""


class Bandwidth(NamedTuple):
    """GB/s between memory and processor; a copy counts what it reads and what it writes."""

    read: float
    copy: float


class Floor(NamedTuple):
    """The least that a step of the int4 graph can take."""

    bandwidth: Bandwidth
    bytes: int

    @property
    def ms(self) -> float:
        return self.bytes / max(self.bandwidth) / 1e6


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


Samples = dict[str, dict[str, list[Sample]]]
"""By contender and by measure."""


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


class PeerFailed(RuntimeError):
    """llama.cpp cannot be timed."""


class Contender(Protocol):
    """A model whose passes are timed."""

    def step(self, width: int) -> Sample:
        """One pass of `width` tokens after `PAST` others, with the logits of all."""

    def prefill(self, length: int) -> Sample:
        """`length` tokens from empty, with the logits of the last."""


def timed(work: Callable[[], object]) -> Sample:
    cpu, start = time.process_time(), time.perf_counter()
    work()
    return Sample((time.perf_counter() - start) * 1e3, (time.process_time() - cpu) * 1e3)


class Ours:
    """One precision of our model, fed as `flash_ls.engine.decode` feeds it."""

    def __init__(self, model: Model, tokens: list[int]) -> None:
        self._model, self._tokens = model, tokens
        self._cache = model.new_cache()

    def step(self, width: int) -> Sample:
        if len(self._cache.tokens) < PAST:
            self.prefill(PAST)
        del self._cache.tokens[PAST:]
        tokens = self._tokens[PAST : PAST + width]
        return timed(lambda: self._model.forward(tokens, self._cache, width, Deadline()))

    def prefill(self, length: int) -> Sample:
        self._cache.tokens.clear()
        return timed(lambda: self._feed(self._tokens[:length]))

    def _feed(self, prompt: list[int]) -> None:
        prefill(self._model, self._cache, prompt, Deadline())
        rest = prompt[len(self._cache.tokens) :]
        self._model.forward(rest, self._cache, 1, Deadline(), precise=True)


class Peer:
    """llama.cpp through its C functions, with its default settings."""

    def __init__(self, gguf: Path, tokens: list[int], threads: int) -> None:
        import llama_cpp  # an extra

        logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL + 1)
        self._api: Any = llama_cpp
        self._tokens, self._held = tokens, 0
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = PEER_CONTEXT
        settings.n_threads = settings.n_threads_batch = threads
        weights = llama_cpp.llama_model_load_from_file(str(gguf).encode(), llama_cpp.llama_model_default_params())
        self._context = weights and llama_cpp.llama_init_from_model(weights, settings)
        if not self._context:
            raise PeerFailed(f"llama.cpp cannot load {gguf}; give a whole file with --gguf.")

    def step(self, width: int) -> Sample:
        if self._held < PAST:
            self.prefill(PAST)
        return self._pass(PAST, width, rows=width)

    def prefill(self, length: int) -> Sample:
        return self._pass(0, length, rows=1)

    def _pass(self, past: int, width: int, rows: int) -> Sample:
        """`width` tokens after the first `past` in one batch, with the logits of the last `rows`."""
        api, batch = self._api, self._api.llama_batch_init(width, 0, 1)
        api.llama_memory_seq_rm(api.llama_get_memory(self._context), 0, past, -1)
        batch.n_tokens = width
        for index in range(width):
            batch.token[index], batch.pos[index] = self._tokens[past + index], past + index
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
            batch.logits[index] = index >= width - rows
        sample = timed(lambda: self._decode(batch))
        api.llama_batch_free(batch)
        self._held = past + width
        return sample

    def _decode(self, batch: Any) -> None:
        if self._api.llama_decode(self._context, batch) != 0:
            raise PeerFailed("llama.cpp cannot decode a batch; run again without --peer.")
        self._api.llama_synchronize(self._context)


def compare(contenders: Mapping[str, Contender], rounds: int) -> Samples:
    """Every measure of every contender, by turns; each round has all measures, and another contender begins it.

    So whatever else the machine does for a while falls on a few samples of all, and the median does not see it.
    """
    samples: Samples = {name: {measure: [] for measure in (*WIDTHS, *PREFILLS)} for name in contenders}
    for contender in contenders.values():
        contender.prefill(PAST)  # the first pass touches the weights for the first time
    for number in tqdm(range(rounds), "passes", unit="round", disable=None):
        names = list(contenders)
        first = number % len(names)
        for measure in (*PREFILLS, *WIDTHS):  # the last prefill leaves in the cache what the steps want there
            for name in names[first:] + names[:first]:
                samples[name][measure] += turn(contenders[name], measure)
    return samples


def turn(contender: Contender, measure: str) -> list[Sample]:
    time.sleep(PAUSE_S)
    if measure in PREFILLS:
        return [contender.prefill(PREFILLS[measure])]
    return [contender.step(WIDTHS[measure]) for _ in range(1 + BURST)][1:]


def quantiles(values: Sequence[float]) -> Quantiles:
    return Quantiles(*(round(float(value), 3) for value in np.percentile(values, (10, 50, 90))))


def median_ms(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.ms for sample in samples)


def measure_bandwidth(threads: int, size: int = BUFFER_BYTES, repeats: int = 6) -> Bandwidth:
    """The best of several runs, each thread with `size` bytes of its own; of two ways to read the better one."""
    sources = [np.ones(size // 4, np.float32) for _ in range(threads)]
    targets = [np.ones_like(source) for source in sources]

    def best(work: Callable[[], Iterator[object]]) -> float:
        return threads * size / min(timed(lambda: list(work())).ms for _ in range(repeats)) / 1e6

    with ThreadPoolExecutor(threads) as pool:
        read = max(best(lambda: pool.map(np.max, sources)), best(lambda: pool.map(np.sum, sources)))
        return Bandwidth(read, 2 * best(lambda: pool.map(np.copyto, targets, sources)))


def weight_bytes(graph: Path) -> int:
    """Bytes of the weights that the graph reads in a pass; tensors that share bytes count once."""
    import onnx  # costs 60 MB, which the measured processes shall not have

    model = onnx.load(graph, load_external_data=False)
    places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in model.graph.initializer]
    return sum({place["offset"]: int(place["length"]) for place in places if place}.values())


def resident_mb() -> float:
    """Memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1024
    import psutil  # an extra

    return float(psutil.Process().memory_info().rss) / 2**20


def probe() -> Snapshot:
    """A cursor late in a long file."""
    text = PROBE.read_text(encoding="utf-8")
    cursor = text.index("return ", 2 * len(text) // 3) + len("return ")
    return Snapshot(PROBE.as_uri(), "python", 0, text, cursor)


def answer_probe(args: argparse.Namespace) -> Callable[[], object]:
    """Load what `--child` names; the function answers one prompt."""
    if args.child == PEER:
        peer = Peer(args.gguf, list(range(PEER_CONTEXT)), default_threads())
        return lambda: (peer.prefill(Config().prefix_tokens + Config().suffix_tokens), peer.step(1))
    completer = load_completer(Path(args.model), Config(precision=args.child))
    return lambda: completer.complete(probe(), Deadline())


def child(args: argparse.Namespace) -> None:
    """Be the process that is measured, and print what it took."""
    start = time.perf_counter()
    answer = answer_probe(args)
    load_s = time.perf_counter() - start
    answer()
    rss = resident_mb()
    time.sleep(SETTLE_S)
    busy = time.process_time()
    time.sleep(args.idle)
    idle = (time.process_time() - busy) * 60 / args.idle if args.idle else 0.0
    print(json.dumps(Process(round(load_s, 3), round(rss, 1), round(idle, 3))))


def measure_process(name: str, folder: Path, gguf: Path | None, idle_s: float) -> Process:
    command = [sys.executable, __file__, "--child", name, "--model", str(folder), "--idle", str(idle_s)]
    command += ["--gguf", str(gguf)] if gguf else []
    return Process(*json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout))


def measure_processes(
    names: Sequence[str], folder: Path, gguf: Path | None, repeats: int, idle_s: float
) -> dict[str, Process]:
    """Medians of `repeats` processes of each; only the last of each waits idle."""
    plan = [(name, idle_s * (number == repeats - 1)) for number in range(repeats) for name in names]
    runs: dict[str, list[Process]] = {name: [] for name in names}
    for name, idle in tqdm(plan, "processes", unit="process", disable=None):
        runs[name].append(measure_process(name, folder, gguf, idle))
    return {
        name: Process(
            statistics.median(run.load_s for run in taken),
            statistics.median(run.rss_mb for run in taken),
            taken[-1].idle_cpu_s,
        )
        for name, taken in runs.items()
    }


def repeats(prompt: Sequence[int], answer: Sequence[int]) -> bool:
    """Whether at least half of the trigrams of `answer` stand in `prompt`."""

    def grams(tokens: Sequence[int]) -> list[tuple[int, ...]]:
        return [tuple(tokens[start : start + NGRAM]) for start in range(len(tokens) - NGRAM + 1)]

    known, wanted = set(grams(prompt)), grams(answer)
    return bool(wanted) and sum(gram in known for gram in wanted) >= REPEATED_SHARE * len(wanted)


class Switch:
    """A drafter that is now this one and now that: one engine, and so one cache, serves all."""

    def __init__(self) -> None:
        self.drafter: Drafter = NoDrafter()

    def propose(self, tokens: list[int], most: int) -> list[int]:
        return self.drafter.propose(tokens, most)

    def verified(self, drafted: int, accepted: int) -> None:
        self.drafter.verified(drafted, accepted)


class Speculation:
    """Decodes cases with and without drafts; of two lookup drafters each meets a case once, and learns from it once."""

    def __init__(self, model: Model, tokenizer: Tokenizer, form: PromptFormat, costs: StepCosts) -> None:
        self._switch = Switch()
        self._engine = Engine(model, tokenizer, self._switch)
        self._form = form
        self._plain, self._lookups = NoDrafter(), (LookupDrafter(costs), LookupDrafter(costs))

    def outcome(self, case: Case) -> Outcome:
        tokenizer = self._engine.tokenizer
        prompt = build_prompt(case.before, case.after, self._form, tokenizer, Config())
        answer, _ = tokenizer.encode(prompt.healed.decode("utf-8", "replace") + case.middle)
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
        self._switch.drafter = drafter
        done = self._engine.generate(prompt.token_ids, params, Deadline())
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


def cancel_ms(engine: Engine, prompt: list[int], delay_s: float) -> float:
    """Milliseconds from a cancel `delay_s` after the start until the answer to `prompt` is given up."""
    deadline, ended = Deadline(), 0.0

    def work() -> None:
        nonlocal ended
        with suppress(Cancelled):
            engine.generate(prompt, UNENDING, deadline)
        ended = time.perf_counter()

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(delay_s)
    start = time.perf_counter()
    deadline.cancel()
    thread.join()
    return max(0.0, ended - start) * 1e3


def measure_cancels(engine: Engine, words: int, count: int) -> dict[str, list[float]]:
    """Milliseconds of `count` cancels at random moments of a prefill and of decoding."""
    rng = np.random.default_rng(1)
    one = replace(UNENDING, max_tokens=1)
    whole = timed(lambda: engine.generate(rng.integers(0, words, CANCELLED_TOKENS).tolist(), one, Deadline()))
    cached: list[int] = rng.integers(0, words, PAST).tolist()
    engine.generate(cached, one, Deadline())
    times: dict[str, list[float]] = {"prefill": [], "decode": []}
    for _ in tqdm(range(count), "cancels", unit="pair", disable=None):
        fresh = rng.integers(0, words, CANCELLED_TOKENS).tolist()
        times["decode"].append(cancel_ms(engine, cached, rng.uniform(0, DECODE_S)))
        times["prefill"].append(cancel_ms(engine, fresh, rng.uniform(0, 0.9 * whole.ms / 1e3)))
    return times


def sum_of(runs: Sequence[Run], what: str) -> float:
    return float(sum(getattr(run, what) for run in runs))


def runs_of(outcomes: Sequence[Outcome]) -> tuple[list[Run], list[Run]]:
    """All runs without drafts, and all with them."""
    plain = [run for outcome in outcomes for run in outcome.plain]
    return plain, [run for outcome in outcomes for run in outcome.speculative]


def ms_per_token(runs: Sequence[Run]) -> float:
    return sum_of(runs, "ms") / max(1.0, sum_of(runs, "tokens"))


def speed_ratio(outcomes: Sequence[Outcome]) -> float:
    """Tokens per second with drafts over those without."""
    plain, speculative = runs_of(outcomes)
    return round(ms_per_token(plain) / ms_per_token(speculative), 3)


def mismatches(outcome: Outcome) -> bool:
    return len({run.text for run in (*outcome.plain, *outcome.speculative)}) > 1


def speculation_summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
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
        "mismatch": round(statistics.mean(map(mismatches, outcomes)), 4),
        "all": speed_ratio(outcomes),
        "ms_per_token": {"plain": round(ms_per_token(plain), 2), "lookup": round(ms_per_token(speculative), 2)},
        "rechecked": round(sum_of(plain, "rechecked") / sum_of(plain, "steps"), 4),
        "groups": {name: {"cases": len(groups[name]), "ratio": ratio} for name, ratio in ratios.items()},
    }


def cancel_summary(cancels: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    def percentiles(values: Sequence[float]) -> dict[str, float]:
        return {f"p{rank}": round(float(np.percentile(values, rank)), 2) for rank in (50, 95)}

    everything = [value for values in cancels.values() for value in values]
    return percentiles(everything) | {name: percentiles(values) for name, values in cancels.items()}


def cpu_s_per_million(samples: Mapping[str, Sequence[Sample]]) -> dict[str, float]:
    """CPU seconds that a million tokens cost, by measure."""
    sizes = {"decode": WIDTHS["decode"], "prefill512": PREFILLS["prefill512"]}
    medians = {name: statistics.median(sample.cpu_ms for sample in samples[name]) for name in sizes}
    return {name: round(medians[name] / size * 1e3) for name, size in sizes.items()}


def ratio_to_peer(samples: Samples, precision: str) -> dict[str, float | None]:
    """The peer's median over that of our `precision`: above 1 ours is faster."""
    ours, peer = samples[precision], samples.get(PEER)
    return {name: round(median_ms(peer[name]) / median_ms(ours[name]), 3) if peer else None for name in COMPARED}


def floor_summary(floor: Floor) -> dict[str, float]:
    read, copy = (round(rate, 1) for rate in floor.bandwidth)
    return {"ms": round(floor.ms, 2), "mb": round(floor.bytes / 1e6, 1), "read_gb_s": read, "copy_gb_s": copy}


def summary(results: Results) -> dict[str, Any]:
    samples, processes = results.samples, results.processes
    int4 = samples.get("int4")
    return {
        "ratio_to_peer": ratio_to_peer(samples, results.precision),
        "ratio_to_peer_by_precision": {name: ratio_to_peer(samples, name) for name in samples if name != PEER},
        "precision": results.precision,
        "floor_ratio": round(median_ms(int4["decode"]) / results.floor.ms, 3) if int4 else None,
        "rss_mb": round(results.server_rss_mb),
        "speculation": speculation_summary(results.outcomes),
        "cancel_ms": cancel_summary(results.cancels),
        "idle_cpu_s": processes[results.precision].idle_cpu_s,
        "load_average_before": round(results.load_average, 2),
        "floor": floor_summary(results.floor),
        "processes": {name: process._asdict() for name, process in processes.items()},
        "cpu_s_per_million_tokens": {name: cpu_s_per_million(taken) for name, taken in samples.items()},
        "steps_ms": {
            name: {measure: quantiles([sample.ms for sample in taken])._asdict() for measure, taken in measures.items()}
            for name, measures in samples.items()
        },
    }


def table(rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need, the first aligned left."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells)
    return "\n".join(lines) + "\n"


def steps_table(steps: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """A row for each measure, in milliseconds."""
    rows = [["ms", *steps]]
    for measure in next(iter(steps.values())):
        found = [taken[measure] for taken in steps.values()]
        rows.append([measure, *(f"{one['p50']:.1f} ({one['p10']:.1f}..{one['p90']:.1f})" for one in found)])
    return table(rows)


def report(said: Mapping[str, Any]) -> str:
    """The summary as tables."""
    processes = [["process", "load s", "RSS MB"]]
    processes += [[name, f"{one['load_s']:.2f}", f"{one['rss_mb']:.0f}"] for name, one in said["processes"].items()]
    groups = [["speculation", "cases", "speed ratio"]]
    groups += [[name, one["cases"], one["ratio"]] for name, one in said["speculation"]["groups"].items()]
    cpu = [["CPU s per 1M tokens", "decode", "prefill512"]]
    cpu += [[name, *one.values()] for name, one in said["cpu_s_per_million_tokens"].items()]
    cancels = [["cancel, ms", "p50", "p95"]]
    cancels += [[name, *said["cancel_ms"][name].values()] for name in ("prefill", "decode")]
    return "\n".join([steps_table(said["steps_ms"]), *map(table, (processes, cpu, groups, cancels))])


def plot(steps: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """Draw what a pass costs by its width."""
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


@contextmanager
def gguf_file(given: Path | None, model: str) -> Iterator[Path]:
    """The upstream weights: the file given, the one fetched, or one put together for a while."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield store._weights(find(model), Path(scratch), lambda label, done: None, None)


def measure(args: argparse.Namespace, gguf: Path | None) -> Results:
    """Everything, one after the other."""
    load_average, *_ = os.getloadavg()
    folder = store.ensure(args.model, lambda label, done: None)
    described = manifest.read(folder)
    threads, words = default_threads(), described.shape.vocabulary
    tokenizer = Tokenizer(folder / TOKENIZER_FILE)
    tokens = tokenizer.encode(2 * PROBE.read_text(encoding="utf-8"))[0][:PEER_CONTEXT]
    models = {name: load_model(folder, described, Config(precision=name)) for name in args.precisions}
    contenders: dict[str, Contender] = {name: Ours(model, tokens) for name, (model, _) in models.items()}
    if gguf:
        contenders[PEER] = Peer(gguf, tokens, threads)
    before = measure_bandwidth(threads)
    samples = compare(contenders, args.repeat)
    best = Bandwidth(*map(max, before, measure_bandwidth(threads)))
    default = load_model(folder, described, Config(model=args.model))[0].precision
    precision = default if default in models else next(iter(models))
    model, costs = models[precision]
    return Results(
        load_average,
        precision,
        samples,
        Floor(best, weight_bytes(folder / graph_file("int4"))),
        measure_processes(list(contenders), folder, gguf, args.processes, args.idle),
        type_text(probe(), "x", args.model).rss_mb,
        speculate(Speculation(model, tokenizer, described.prompt, costs.best), args),
        measure_cancels(Engine(model, tokenizer, NoDrafter()), words, args.cancels),
    )


def speculate(speculation: Speculation, args: argparse.Namespace) -> list[Outcome]:
    cases = spread([*load_cases("fresh", args.bench), *load_cases("fresh-blocks", args.bench)], args.cases)
    return [speculation.outcome(case) for case in tqdm(cases, "speculation", unit="case", disable=None)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=[PEER], help="also time this system")
    parser.add_argument("--gguf", type=Path, help="upstream weights for the peer (default: those of the model)")
    parser.add_argument("--model", default=Config().model, help="default: %(default)s")
    parser.add_argument("--precisions", type=lambda names: names.split(","), default=["int4", "int8", "mixed"])
    parser.add_argument("--repeat", type=int, default=12, help="turns of each measure (default: %(default)s)")
    parser.add_argument("--cases", type=int, help="only N cases of speculation, spread evenly")
    parser.add_argument("--cancels", type=int, default=40, help="of each kind (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=3, help="of each precision (default: %(default)s)")
    parser.add_argument("--idle", type=float, default=10, help="seconds without requests (default: %(default)s)")
    parser.add_argument("--bench", type=Path, default=BENCH, help="folder of the cases (default: %(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the steps")
    parser.add_argument("--quick", action="store_true", help="few repeats of everything")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    for wanted, module in ((args.peer, "llama_cpp"), (args.plot, "matplotlib")):
        if wanted and find_spec(module) is None:
            parser.error(f"{module} is not installed; run `pip install 'flash-ls[bench]'`")
    if args.quick:
        args.repeat, args.cases, args.cancels, args.processes, args.idle = 2, 16, 4, 1, 2.0
    return args


def main() -> None:
    args = arguments()
    if args.child:
        child(args)
        return
    try:
        with gguf_file(args.gguf, args.model) if args.peer else nullcontext() as gguf:
            said = summary(measure(args, gguf))
    except (FlashLsError, PeerFailed) as error:
        sys.exit(str(error))
    print(report(said))
    if args.plot:
        plot(said["steps_ms"], args.plot)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
