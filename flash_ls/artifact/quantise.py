"""Rounding of weights to 8 bits in groups, in the layout of ONNX Runtime's MatMulNBits."""

import numpy as np
from numpy.typing import NDArray

GROUP = 128
"""Consecutive inputs that share a scale."""
ZERO = 128
"""The code of 0: MatMulNBits takes it where no zero points are given."""


def quantise(matrix: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Codes uint8 [rows, groups, GROUP] and scales float32 [rows, groups] of a float32 [rows, columns] matrix.

    Symmetric, to nearest: matrix ≈ (codes - ZERO) * scales.
    """
    grouped = matrix.reshape(len(matrix), -1, GROUP)
    scales = np.abs(grouped).max(axis=2) / 127
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales >= np.finfo(np.float32).tiny)
    codes = np.rint(grouped * inverse[..., None]) + ZERO
    return codes.astype(np.uint8), scales.astype(np.float32)
