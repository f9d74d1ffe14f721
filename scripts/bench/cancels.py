"""How soon a cancel frees the engine, at random moments of a prefill and of decoding."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from flash_ls.deadline import Deadline
from flash_ls.engine.decode import GenerationParams
from flash_ls.engine.engine import Engine
from flash_ls.errors import Cancelled
from scripts.bench.passes import PAST
from scripts.bench.sample import timed

CANCELLED_TOKENS, DECODE_S = 1500, 0.5
"""The prompt whose prefill is cancelled, and the longest that decoding goes on before it is."""
UNENDING = GenerationParams(max_tokens=300, stop_ids=frozenset())


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
    """Milliseconds of `count` cancels at random moments of a prefill and of decoding; prompts are of `words` words."""
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


def summary(cancels: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Percentiles of all, and of each kind."""
    everything = [value for values in cancels.values() for value in values]
    return percentiles(everything) | {name: percentiles(values) for name, values in cancels.items()}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{rank}": round(float(np.percentile(values, rank)), 2) for rank in (50, 95)}
