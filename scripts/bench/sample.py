"""One piece of work by the clock, and the percentiles of many. It does not know what the work is."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Sample(NamedTuple):
    """Milliseconds by the clock, and of CPU time in all threads."""

    ms: float
    cpu_ms: float


class Quantiles(NamedTuple):
    """Percentiles of a measure."""

    p10: float
    p50: float
    p90: float


def timed(work: Callable[[], object]) -> Sample:
    cpu, start = time.process_time(), time.perf_counter()
    work()
    return Sample((time.perf_counter() - start) * 1e3, (time.process_time() - cpu) * 1e3)


def median_ms(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.ms for sample in samples)


def quantiles(values: Sequence[float]) -> Quantiles:
    return Quantiles(*(round(float(value), 3) for value in np.percentile(values, (10, 50, 90))))
