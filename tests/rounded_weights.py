"""What rounding leaves of a matrix, and weights of which this is all there is: what a rounded graph computes with."""

from collections.abc import Callable

import numpy as np

from flash_ls.artifact.quantise import (
    GROUP,
    FloatArray,
    FourBits,
    eight_bits,
    eight_bits_by_output,
    four_bits,
)
from flash_ls.artifact.rotation import RotatedWeights
from flash_ls.artifact.tensors import HEAD
from flash_ls.artifact.weights import Weights


def restored(rounded: FourBits) -> FloatArray:
    """The matrix that the codes stand for."""
    zeros = np.repeat(rounded.zeros.astype(np.float32), GROUP, axis=1)
    matrix: FloatArray = (rounded.codes - zeros) * np.repeat(rounded.scales, GROUP, axis=1)
    return matrix


def in_four_bits(matrix: FloatArray) -> FloatArray:
    """To nearest."""
    return restored(four_bits(matrix))


def in_eight_bits(matrix: FloatArray) -> FloatArray:
    """By groups, as the embedding is."""
    codes, scales = eight_bits(matrix)
    return codes.astype(np.float32) * np.repeat(scales, GROUP, axis=1)


def in_eight_bits_by_output(matrix: FloatArray) -> FloatArray:
    codes, scales = eight_bits_by_output(matrix)
    return codes.T.astype(np.float32) * scales[:, None]


Rounding = Callable[[FloatArray], FloatArray]


class RoundedWeights:
    """Weights whose matrices are rounded by `rounding` in the basis of the graph, and the embedding to eight bits."""

    def __init__(self, weights: Weights, rounding: Rounding) -> None:
        self._rounded = RotatedWeights(Rounded(RotatedWeights(weights), rounding))  # turned twice is not turned

    def shape(self, name: str) -> tuple[int, ...]:
        return self._rounded.shape(name)

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        return self._rounded.rows(name, start, stop)


class Rounded:
    """Weights whose matrices are rounded as they are."""

    def __init__(self, weights: Weights, rounding: Rounding) -> None:
        self._weights, self._rounding = weights, rounding

    def shape(self, name: str) -> tuple[int, ...]:
        return self._weights.shape(name)

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Rows are rounded each by itself."""
        tensor = self._weights.rows(name, start, stop)
        if tensor.ndim == 1:
            return tensor
        return in_eight_bits(tensor) if name == HEAD else self._rounding(tensor)
