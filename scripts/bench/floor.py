"""The least time that a step can take on this machine: the bytes it reads over the bandwidth of the memory."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from scripts.bench.sample import timed

BUFFER_BYTES = 256 << 20
"""What one thread reads to measure the bandwidth."""


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

    def summary(self) -> dict[str, float]:
        read, copy = (round(rate, 1) for rate in self.bandwidth)
        return {"ms": round(self.ms, 2), "mb": round(self.bytes / 1e6, 1), "read_gb_s": read, "copy_gb_s": copy}


def measure_bandwidth(threads: int, size: int = BUFFER_BYTES, repeats: int = 6) -> Bandwidth:
    """The best of several runs, each thread with `size` bytes of its own; of two ways to read the better one."""
    sources = [np.ones(size // 4, np.float32) for _ in range(threads)]
    targets = [np.ones_like(source) for source in sources]

    def best(work: Callable[[], Iterator[object]]) -> float:
        return threads * size / min(timed(lambda: list(work())).ms for _ in range(repeats)) / 1e6

    with ThreadPoolExecutor(threads) as pool:
        read = max(best(lambda: pool.map(np.max, sources)), best(lambda: pool.map(np.sum, sources)))
        return Bandwidth(read, 2 * best(lambda: pool.map(np.copyto, targets, sources)))
