"""The weights of a decoder on disk: each matrix once in every form that some precision wants.

All graphs of an artifact refer to one data file, so a precision costs a graph of a megabyte, and only what it reads of
the data becomes resident. The embedding is a file of its own: no graph reads it, rows are looked up.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flash_ls.artifact.calibrate import Calibration, Inputs
from flash_ls.artifact.quantise import FloatArray, eight_bits, eight_bits_by_output, four_bits
from flash_ls.artifact.rotation import RotatedWeights, turned
from flash_ls.artifact.scales import Factors, scaled
from flash_ls.artifact.smoothing import smoothed
from flash_ls.artifact.weights import Weights
from flash_ls.deadline import Progress
from flash_ls.engine.embedding import Embedding
from flash_ls.engine.manifest import DATA_FILE, EMBEDDING_FILE, SCALES_FILE, SHORTLIST_FILE, ModelShape

ALIGNMENT = 4096
HEAD = "output.weight"
"""The matrix with a row for each word, which is also the embedding."""
SLAB_ROWS = 16384
"""Rows of the embedding in memory at a time."""
PARTS = {
    "norm": ["attn_norm.weight"],
    "qkv": ["attn_q.weight", "attn_k.weight", "attn_v.weight"],
    "bias": ["attn_q.bias", "attn_k.bias", "attn_v.bias"],
    "output": ["attn_output.weight"],
    "ffn_norm": ["ffn_norm.weight"],
    "gate_up": ["ffn_gate.weight", "ffn_up.weight"],
    "down": ["ffn_down.weight"],
}
"""What a layer consists of: matrices that share their input are one."""
MATRICES = ("qkv", "output", "gate_up", "down")


@dataclass(frozen=True, slots=True)
class Place:
    """One tensor of the data file."""

    dims: tuple[int, ...]
    dtype: str
    offset: int
    bytes: int


class DataFile:
    """The external data of the graphs: arrays go to disk as they come, only their places stay in memory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.places: dict[str, Place] = {}

    def close(self) -> None:
        self._file.close()

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Store one tensor."""
        start = -(-self._file.tell() // ALIGNMENT) * ALIGNMENT
        self._file.write(bytes(start - self._file.tell()))
        self._file.write(np.ascontiguousarray(array).data)
        self.places[name] = Place(array.shape, array.dtype.name, start, array.nbytes)

    def add_matrix(
        self,
        name: str,
        matrix: FloatArray,
        forms: Collection[str],
        moments: FloatArray | None,
        factors: FloatArray | None = None,
    ) -> None:
        """Store `matrix` [outputs, inputs] in those of the forms fp32 and int4 that are wanted."""
        if "fp32" in forms:
            self.add(f"{name}.fp32", matrix.T)
        if "int4" in forms:
            self._add_parts(f"{name}.int4", scaled(four_bits(matrix, moments), factors).packed())

    def add_layer(self, index: int, parts: Mapping[str, FloatArray], met: Mapping[str, Inputs]) -> None:
        """Store the matrices of a layer in 8 bits: gate and up are two, since each is multiplied by its own then."""
        gate, up = np.split(parts["gate_up"], 2)
        down = parts["down"]
        if met:
            up, down = smoothed(up, down, met["down"].largest)
        matrices = {"qkv": parts["qkv"], "output": parts["output"], "gate": gate, "up": up, "down": down}
        for part, matrix in matrices.items():
            self._add_parts(f"{index}.{part}.int8", eight_bits_by_output(matrix))

    def _add_parts(self, name: str, arrays: tuple[NDArray[Any], ...]) -> None:
        for part, array in zip(("codes", "scales", "zeros"), arrays, strict=False):
            self.add(f"{name}.{part}", array)


def layer(weights: Weights, index: int) -> dict[str, FloatArray]:
    """The matrices and vectors of one layer."""
    return {
        part: np.concatenate([whole(weights, f"blk.{index}.{name}") for name in names]) for part, names in PARTS.items()
    }


def whole(weights: Weights, name: str) -> FloatArray:
    """All of one tensor."""
    return weights.rows(name, 0, weights.shape(name)[0]).astype(np.float32, copy=False)


def write_tensors(
    folder: Path,
    shape: ModelShape,
    weights: Weights,
    forms: frozenset[str],
    shortlist: NDArray[np.int64],
    samples: Sequence[list[int]],
    factors: Factors,
    progress: Progress,
) -> tuple[dict[str, Place], dict[str, FloatArray]]:
    """Write embedding, shortlist and data file; where each matrix is, and the vectors, which the graphs hold."""
    write_embedding(folder, weights, quantised="fp32" not in forms, progress=progress)
    np.save(folder / SHORTLIST_FILE, shortlist)
    embedding = Embedding(folder)
    entering = [turned(embedding.rows(np.array(sample))) for sample in samples]
    calibration = Calibration(shape, entering) if samples else None
    rotated = RotatedWeights(weights)
    vectors = {"norm": whole(weights, "output_norm.weight")}
    data = DataFile(folder / DATA_FILE)
    try:
        for index in range(shape.layers):
            parts = layer(rotated, index)
            met = calibration.inputs(parts) if calibration else {}
            if "int8" in forms:
                data.add_layer(index, parts, met)
            for part in MATRICES:
                name, moments = f"{index}.{part}", met[part].moments if met else None
                data.add_matrix(name, parts.pop(part), forms, moments, factors.get(name))
            vectors[f"{index}.bias"] = parts["bias"]
            progress("building the model", (index + 1) / shape.layers)
        moment = calibration.last_moments(vectors["norm"]) if calibration else None
        data.add_matrix("head", embedding.rows(shortlist), {"fp32"} & forms or {"int4"}, moment)
    finally:
        data.close()
    return data.places, vectors


def write_embedding(folder: Path, weights: Weights, quantised: bool, progress: Progress) -> None:
    """The table that `flash_ls.engine.embedding` reads, 8 bits or float32."""
    words = weights.shape(HEAD)[0]
    codes: list[NDArray[Any]] = []
    scales: list[FloatArray] = []
    for start in range(0, words, SLAB_ROWS):
        slab = weights.rows(HEAD, start, min(words, start + SLAB_ROWS)).astype(np.float32, copy=False)
        slab_codes, slab_scales = eight_bits(slab) if quantised else (slab, np.ones((len(slab), 1), np.float32))
        codes.append(slab_codes)
        scales.append(slab_scales)
        progress("building the vocabulary", min(1.0, (start + SLAB_ROWS) / words))
    np.save(folder / EMBEDDING_FILE, np.concatenate(codes))
    np.save(folder / SCALES_FILE, np.concatenate(scales))
