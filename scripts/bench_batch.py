#!/usr/bin/env python3
"""What it is worth to decode the answers of several requests together.

    scripts/bench_batch.py FILE [FILE …] [--requests 1 2 4 8] [--tokens 48]

The requests are places in the files; answers go on for so many tokens. One by one, each is decoded as for a single
user, with drafts; together, in threads that share the model, as in the process that all windows share. Both ways take
turns, with the prompts in the cache (decoding alone) and without (reading them too). The last line of the output is
JSON.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.artifact import store
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.decode import GenerationParams
from flash_ls.engine.drafter import Gain, LookupDrafter
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.shared_model import SharedModel
from flash_ls.engine.slots import Slots
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.engine.turns import Turns
from flash_ls.prompt import build_prompt
from flash_ls.tuning import load_model
from scripts.report import table

ROUNDS = 3
CACHE_MB = 512

Way = Callable[[Sequence[list[int]]], int]


class Host:
    """One model, and an engine for each of those who ask."""

    def __init__(self, model_name: str, most: int, tokens: int) -> None:
        folder = store.ensure(model_name, lambda label, done: None)
        self.form = manifest.read(folder).prompt
        model, costs = load_model(folder, manifest.read(folder), Config())
        self.tokenizer, self.turns = Tokenizer(folder / TOKENIZER_FILE), Turns()
        shared = SharedModel(model, self.turns)
        self._slots = Slots(shared.new_cache, CACHE_MB)
        self._params = GenerationParams(tokens, frozenset())
        self._threads = ThreadPoolExecutor(most)
        drafters = [LookupDrafter(Gain(costs.best, company=lambda: self.turns.at_work)) for _ in range(most)]
        self._engines = [LocalEngine(shared, self.tokenizer, drafter, slots=self._slots) for drafter in drafters]

    def forget(self) -> None:
        """All prompts."""
        cap, self._slots.cap_mb = self._slots.cap_mb, 0
        with self._slots.slot_for([0], 1):
            self._slots.cap_mb = cap

    def one_by_one(self, prompts: Sequence[list[int]]) -> int:
        return sum(self._answer(engine, prompt) for engine, prompt in zip(self._engines, prompts, strict=False))

    def together(self, prompts: Sequence[list[int]]) -> int:
        return sum(self._threads.map(self._answer, self._engines, prompts))

    def _answer(self, engine: LocalEngine, prompt: list[int]) -> int:
        """The number of tokens."""
        deadline = Deadline()
        with self.turns.work(deadline):
            return len(engine.generate(prompt, self._params, deadline).tokens)


def prompts_of(host: Host, files: Sequence[Path], count: int) -> list[list[int]]:
    """At places spread over the files."""
    texts = [path.read_text(encoding="utf-8") for path in files]
    prompts = []
    for number in range(count):
        text = texts[number % len(texts)]
        at = text.rindex("\n", 0, len(text) * (number // len(texts) + 2) // (count // len(texts) + 3))
        prompts.append(build_prompt(text[:at], text[at:], host.form, host.tokenizer, Config()).token_ids)
    return prompts


def tokens_per_s(way: Way, prompts: Sequence[list[int]]) -> float:
    start = time.perf_counter()
    return way(prompts) / (time.perf_counter() - start)


def measure(host: Host, prompts: Sequence[list[int]]) -> dict[str, float]:
    """Medians of tokens a second, and the gain of being together."""
    said: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, way in (("one by one", host.one_by_one), ("together", host.together)):
            host.forget()
            said.setdefault(f"read, {name}", []).append(tokens_per_s(way, prompts))
            said.setdefault(f"decode, {name}", []).append(tokens_per_s(way, prompts))
    medians = {name: round(statistics.median(values), 1) for name, values in said.items()}
    for what in ("decode", "read"):
        medians[f"{what}, gain"] = round(medians[f"{what}, together"] / medians[f"{what}, one by one"], 2)
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--tokens", type=int, default=48, help="of each answer (default: %(default)s)")
    parser.add_argument("--model", default=Config().model)
    args = parser.parse_args()
    host = Host(args.model, max(args.requests), args.tokens)
    prompts = prompts_of(host, args.files, max(args.requests))
    said = {count: measure(host, prompts[:count]) for count in tqdm(args.requests, disable=None)}
    rows = [[name, *(one[name] for one in said.values())] for name in next(iter(said.values()))]
    print(table([["requests", *said], *rows]))
    print(json.dumps({"tokens_per_s": said}))


if __name__ == "__main__":
    main()
