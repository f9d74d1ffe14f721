"""Rounding of weights, in the layouts of ONNX Runtime's kernels.

Four bits (`MatMulNBits`): groups of `GROUP` inputs share a scale and a zero point, and the rounding error of one input
is made up for by the inputs still to be rounded, as GPTQ does (arXiv 2210.17323). Eight bits for the embedding: groups
again, to nearest. Eight bits for `MatMulIntegerToFloat`: one scale an output, to nearest.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

GROUP = 128
"""Consecutive inputs that share a scale."""
LEVELS = 15
"""The highest code of four bits."""
DAMPING = 0.02
"""Part of the mean second moment added to all of them, which a small sample does not know well."""
SHRINK = np.linspace(1.0, 0.7, 10, dtype=np.float32)
"""Parts of a group's range that are tried as the range of its codes: clipping one outlier may serve the others."""


class FourBits(NamedTuple):
    """matrix ≈ (codes - zeros) * scales, for a matrix [rows, columns] in groups of columns."""

    codes: NDArray[np.uint8]
    """[rows, columns], 0 to 15."""
    scales: FloatArray
    """[rows, groups]."""
    zeros: NDArray[np.uint8]
    """[rows, groups], 0 to 15."""

    def packed(self) -> tuple[NDArray[np.uint8], FloatArray, NDArray[np.uint8]]:
        """Codes [rows, groups, GROUP / 2], scales, and zero points [rows, ceil(groups / 2)]: the lower half first."""
        rows, groups = self.scales.shape
        zeros = np.pad(self.zeros, ((0, 0), (0, groups % 2)))
        codes = _pairs(self.codes).reshape(rows, groups, GROUP // 2)
        return codes, self.scales, _pairs(zeros)


def _pairs(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (codes[:, ::2] | codes[:, 1::2] << 4).astype(np.uint8)


def four_bits(matrix: FloatArray, moments: FloatArray | None = None) -> FourBits:
    """Round `matrix` [rows, columns] to four bits.

    `moments` [blocks, size, size] are the second moments of the inputs it will meet, block by block along the columns;
    without them every input counts the same and by itself, which is rounding to nearest.
    """
    if moments is None:
        moments = np.broadcast_to(np.eye(GROUP, dtype=np.float32), (matrix.shape[1] // GROUP, GROUP, GROUP))
    parts = np.split(matrix, len(moments), axis=1)
    rounded = [_round(part.T, block) for part, block in zip(parts, moments, strict=True)]
    codes, scales, zeros = (np.ascontiguousarray(np.concatenate(part).T) for part in zip(*rounded, strict=True))
    return FourBits(codes, scales, zeros)


def _round(left: FloatArray, moments: FloatArray) -> tuple[NDArray[np.uint8], FloatArray, NDArray[np.uint8]]:
    """Codes [columns, rows], scales and zeros [groups, rows] of one block [columns, rows]: a column is contiguous."""
    left, factor = left.copy(), _inverse_factor(moments)
    codes = np.empty(left.shape, np.uint8)
    scales, zeros = [], []
    for start in range(0, len(left), GROUP):
        group = slice(start, start + GROUP)
        scale, zero = _fit(left[group], np.diag(factor)[group] ** -2)
        errors = _round_group(left[group], codes[group], scale, zero, factor[group, group])
        left[group.stop :] -= factor[group, group.stop :].T @ errors
        scales.append(scale)
        zeros.append(zero.astype(np.uint8))
    return codes, np.stack(scales), np.stack(zeros)


def _inverse_factor(moments: FloatArray) -> FloatArray:
    """The upper Cholesky factor of the inverse of the damped moments (GPTQ, section 3.3, step 3)."""
    damped = moments + DAMPING * max(float(np.diag(moments).mean()), 1e-8) * np.eye(len(moments), dtype=np.float32)
    factor: FloatArray = np.linalg.cholesky(np.linalg.inv(damped)).T
    return factor


def _fit(block: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scale and zero point of each row of `block` [GROUP, rows], for the least squared error weighted by column."""
    low, high = np.minimum(block.min(axis=0), 0), np.maximum(block.max(axis=0), 0)
    best = np.full(block.shape[1], np.inf, np.float32)
    scale, zero = np.ones_like(best), np.zeros_like(best)
    for share in SHRINK:
        candidate = np.maximum((high - low) * share / LEVELS, np.finfo(np.float32).tiny)
        centre = np.rint(-low * share / candidate)
        steps = np.clip(np.rint(block / candidate) + centre, 0, LEVELS) - centre
        error = weights @ np.square(steps * candidate - block)
        better = error < best
        best[better], scale[better], zero[better] = error[better], candidate[better], centre[better]
    return scale, zero


def _round_group(
    block: FloatArray, codes: NDArray[np.uint8], scale: FloatArray, zero: FloatArray, factor: FloatArray
) -> FloatArray:
    """Round the columns of `block` one by one, each time mending those after it; the errors, each over its factor."""
    errors = np.empty_like(block)
    for place, column in enumerate(block):
        codes[place] = code = np.clip(np.rint(column / scale) + zero, 0, LEVELS)
        errors[place] = (column - (code - zero) * scale) / factor[place, place]
        block[place + 1 :] -= np.outer(factor[place, place + 1 :], errors[place])
    return errors


def eight_bits(matrix: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    """Codes [rows, columns] and scales [rows, groups] of `matrix`: symmetric, to nearest, in groups."""
    grouped = matrix.reshape(len(matrix), -1, GROUP)
    codes, scales = _symmetric(grouped)
    return codes.reshape(matrix.shape), scales


def eight_bits_by_output(matrix: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    """Codes [columns, rows], inputs first as the kernel has them, and scales [rows] of `matrix`."""
    codes, scales = _symmetric(matrix)
    return np.ascontiguousarray(codes.T), scales


def _symmetric(array: FloatArray) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """Codes from -127 to 127 and the scales of the last axis."""
    scales = np.abs(array).max(axis=-1) / 127
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales >= np.finfo(np.float32).tiny)
    return np.rint(array * inverse[..., None]).astype(np.int8), scales
