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
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact.store import ensure
from flash_ls.config import Config
from flash_ls.engine import manifest
from flash_ls.engine.draft_model import load_draft
from flash_ls.engine.drafter import NoDrafter
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.manifest import TOKENIZER_FILE, graph_file
from flash_ls.engine.model import Model
from flash_ls.engine.onnx_model import default_threads
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import FlashLsError
from flash_ls.tuning import load_model
from scripts.bench import plot
from scripts.bench.cancels import measure_cancels
from scripts.bench.floor import Bandwidth, Floor, measure_bandwidth
from scripts.bench.passes import Contender, Ours, Samples, compare
from scripts.bench.peer import PEER, PEER_CONTEXT, Peer, PeerFailed
from scripts.bench.processes import measure_itself, measure_processes, probe
from scripts.bench.report import Results, summary, tables
from scripts.bench.speculation import Outcome, Speculation
from scripts.bench.weights import gguf_file, weight_bytes
from scripts.cases import BENCH, load_cases, spread
from scripts.type_along import type_text


def measure(args: argparse.Namespace, gguf: Path | None) -> Results:
    """Everything, one after the other."""
    load_average, *_ = os.getloadavg()
    folder = ensure(args.model, lambda label, done: None)
    described = manifest.read(folder)
    tokenizer = Tokenizer(folder / TOKENIZER_FILE)
    tokens = tokenizer.encode(2 * probe().text)[0][:PEER_CONTEXT]
    models = {name: load_model(folder, described, Config(precision=name)) for name in args.precisions}
    samples, bandwidth = time_passes({name: model for name, (model, _) in models.items()}, tokens, gguf, args.repeat)
    default = load_model(folder, described, Config(model=args.model))[0].precision
    precision = default if default in models else next(iter(models))
    model, costs = models[precision]
    return Results(
        load_average,
        precision,
        samples,
        Floor(bandwidth, weight_bytes(folder / graph_file("int4"))),
        measure_processes(child_command(folder, gguf), list(samples), args.processes, args.idle),
        type_text(probe(), "x", args.model).rss_mb,
        speculate(Speculation(model, tokenizer, described.prompt, costs.best, load_draft(folder, described)), args),
        measure_cancels(LocalEngine(model, tokenizer, NoDrafter()), described.shape.vocabulary, args.cancels),
    )


def time_passes(
    models: Mapping[str, Model], tokens: list[int], gguf: Path | None, rounds: int
) -> tuple[Samples, Bandwidth]:
    """The passes of all models, of the peer too if it has weights, and the best bandwidth before and after them."""
    threads = default_threads()
    contenders: dict[str, Contender] = {name: Ours(model, tokens) for name, model in models.items()}
    if gguf:
        contenders[PEER] = Peer(gguf, tokens, threads)
    before = measure_bandwidth(threads)
    samples = compare(contenders, rounds)
    return samples, Bandwidth(*map(max, before, measure_bandwidth(threads)))


def child_command(folder: Path, gguf: Path | None) -> list[str]:
    """This script as a process that measures itself."""
    given = ["--gguf", str(gguf)] if gguf else []
    return [sys.executable, __file__, "--model", str(folder), *given]


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
        print(json.dumps(measure_itself(args.child, Path(args.model), args.gguf, args.idle)))
        return
    try:
        with gguf_file(args.gguf, args.model) if args.peer else nullcontext() as gguf:
            said = summary(measure(args, gguf))
    except (FlashLsError, PeerFailed) as error:
        sys.exit(str(error))
    print(tables(said))
    if args.plot:
        plot.draw(said["steps_ms"], args.plot)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
