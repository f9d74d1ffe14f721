"""What a student learnt beside its upstream weights: for each matrix two thin factors, whose product is added to it.

Matrices that share their input are one, as in `flash_ls.artifact.tensors`. Knows nothing of how the factors were learnt
(low-rank adaptation, arXiv 2106.09685).
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flash_ls.artifact.quantise import FloatArray
from flash_ls.artifact.tensors import PARTS
from flash_ls.artifact.weights import Weights


class Factors(NamedTuple):
    """Up [outputs, rank] and down [rank, inputs], of which up times down is added to a matrix."""

    up: FloatArray
    down: FloatArray


Adapter = Mapping[str, Factors]
"""By matrix: `LAYER.PART`."""


class AdaptedWeights:
    """Weights (`flash_ls.artifact.tensors.Weights`) with what was learnt beside them."""

    def __init__(self, weights: Weights, adapter: Adapter) -> None:
        self._weights = weights
        self._spans: dict[str, tuple[Factors, int]] = {}
        """Of each tensor, the factors of its matrix and the row of these that its rows begin at."""
        for matrix, factors in adapter.items():
            index, part = matrix.split(".")
            start = 0
            for name in PARTS[part]:
                self._spans[f"blk.{index}.{name}"] = factors, start
                start += weights.shape(f"blk.{index}.{name}")[0]

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes, outermost first."""
        return self._weights.shape(name)

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Rows start..stop of the tensor."""
        rows = self._weights.rows(name, start, stop)
        if name not in self._spans:
            return rows
        (up, down), first = self._spans[name]
        return rows + up[first + start : first + stop] @ down


def save(path: Path, adapter: Adapter) -> None:
    """Write the factors in half precision."""
    arrays = {f"{matrix}.{field}": array for matrix, pair in adapter.items() for field, array in pair._asdict().items()}
    np.savez(path, allow_pickle=False, **{name: array.astype(np.float16) for name, array in arrays.items()})


@cache
def digest(file: str) -> str:
    """Tells the data file of this package from any other."""
    return hashlib.sha256(resources.files(__package__).joinpath(file).read_bytes()).hexdigest()


def load(file: str) -> Adapter:
    """The adapter in a data file of this package."""
    with resources.files(__package__).joinpath(file).open("rb") as stream, np.load(stream) as arrays:
        matrices = dict.fromkeys(name.rpartition(".")[0] for name in arrays.files)
        return {
            matrix: Factors(*(arrays[f"{matrix}.{field}"].astype(np.float32) for field in Factors._fields))
            for matrix in matrices
        }
