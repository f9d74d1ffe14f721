"""Channels of like size before `down`, so that the steps of 8 bits which a token has serve all of them.

What the rows of `up` are divided by, the columns of `down` are multiplied with: the product stays what it is, and part
of the spread of its inputs moves into its weights, whose scales are each output's own (SmoothQuant, arXiv 2211.10438).
"""

import numpy as np

from flash_ls.artifact.quantise import FloatArray

POWER = 0.35
"""Of the spread between the channels, what the weights take over: 0.5 and 0.7 leave larger errors (models/LOG.md)."""
LEAST = 1e-3
"""Of the median: what a channel is taken to meet at least."""


def smoothed(up: FloatArray, down: FloatArray, largest: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`up` [inner, hidden] and `down` [hidden, inner], with channels that met at most `largest` [inner] evened out."""
    met, weights = (np.maximum(part, LEAST * np.median(part)) for part in (largest, np.abs(down).max(axis=0)))
    factors = met**POWER / weights ** (1 - POWER)
    factors /= np.exp(np.log(factors).mean())
    return up / factors[:, None], down * factors
