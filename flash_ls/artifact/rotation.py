"""The stream between the layers, turned so that no channel of it stands out.

A few channels of a decoder's stream are many times as large as the rest, and a scale that has room for them has few
steps for the others. An orthogonal matrix gives every channel a share of all, and what the decoder says stays the same
(QuaRot, arXiv 2404.00456, section 3): matrices that read the stream and those that write to it are turned as they are
built in, the scales of the norms go into those that read, since an RMS norm does not feel a rotation, and the graph
turns the embeddings as they enter and the last state as it leaves.

The rotation is its own inverse and takes few operations: [hidden] is seen as [m, p] and multiplied with a Hartley
matrix [m, m] from the left and a Hadamard matrix [p, p] from the right.
"""

import math

import numpy as np
from numpy.typing import NDArray

from flash_ls.artifact.quantise import FloatArray
from flash_ls.artifact.weights import Weights

MOST_IN_ROW = 128
"""Of [m, p], p at most, a power of two."""
NORMS = dict.fromkeys(("attn_q", "attn_k", "attn_v"), "attn_norm") | dict.fromkeys(("ffn_gate", "ffn_up"), "ffn_norm")
"""What reads the stream, and the norm before each."""
WRITERS = ("attn_output", "ffn_down")


class RotatedWeights:
    """Weights of the same decoder whose stream is turned; its norms but for the last have scales of one."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes, outermost first."""
        return self._weights.shape(name)

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Rows start..stop of the tensor; of one that writes to the stream, all are read for it."""
        block, _, part = name.removesuffix(".weight").rpartition(".")
        if part in NORMS.values():
            return np.ones(stop - start, np.float32)
        if part in WRITERS:
            return turned(self._weights.rows(name, 0, self.shape(name)[0]).T).T[start:stop]
        rows = self._weights.rows(name, start, stop)
        if part not in NORMS or name.endswith(".bias"):
            return rows
        norm = f"{block}.{NORMS[part]}.weight"
        return turned(rows * self._weights.rows(norm, 0, self.shape(norm)[0]))


def turned(states: FloatArray) -> FloatArray:
    """States [..., hidden] in the other basis: the turned of what is not, and the other way round."""
    left, right = factors(states.shape[-1])
    seen = states.reshape(*states.shape[:-1], len(left), len(right))
    return (left @ (seen @ right)).reshape(states.shape)


def factors(hidden: int) -> tuple[FloatArray, FloatArray]:
    """The Hartley matrix [m, m] and the Hadamard matrix [p, p], for m * p channels; both orthogonal and symmetric."""
    size = math.gcd(hidden, MOST_IN_ROW)
    hadamard: NDArray[np.floating] = np.ones((1, 1))
    while len(hadamard) < size:
        hadamard = np.kron(hadamard, [[1, 1], [1, -1]])
    turns = 2 * np.pi * np.outer(range(hidden // size), range(hidden // size)) / (hidden // size)
    hartley = (np.cos(turns) + np.sin(turns)) / np.sqrt(len(turns))
    return hartley.astype(np.float32), (hadamard / np.sqrt(size)).astype(np.float32)
