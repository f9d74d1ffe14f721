"""A student whose matrices are those of four bits that an artifact serves, and what it learns: factors of their scales.

The codes stay as they are. Of a matrix [outputs, inputs] each scale, one for so many consecutive inputs of an output,
is multiplied with a factor (PEQA, arXiv 2305.14152).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from flash_ls.artifact.quantise import GROUP, FloatArray, FourBits
from flash_ls.artifact.rotation import turned
from flash_ls.artifact.tensors import MATRICES
from flash_ls.engine.manifest import DATA_FILE, graph_file
from models.student import Student, twin

NORMS = ("norm", "ffn_norm")
"""Vectors of a layer, whose scales an artifact has in the matrices after them."""


class Scaled(torch.autograd.Function):
    """The product with a matrix of four bits, whose float form lives for one product only."""

    @staticmethod
    def forward(context: Any, x: Tensor, steps: Tensor, scales: Tensor) -> Tensor:
        context.save_for_backward(x, steps, scales)
        return functional.linear(x, restored(steps, scales, x.dtype))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor]:
        (gradient,), (x, steps, scales) = gradients, context.saved_tensors
        of_weights = (gradient.flatten(0, -2).T @ x.flatten(0, -2)).view(steps.shape)
        of_scales = torch.linalg.vecdot(of_weights, steps.to(x.dtype)).float()
        return gradient @ restored(steps, scales, x.dtype), None, of_scales


def restored(steps: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    """[outputs, inputs] of the steps [outputs, groups, GROUP], each as many times its scale."""
    return (steps.to(dtype) * scales.to(dtype)[..., None]).flatten(1)


class Rounded(nn.Module):
    """A matrix of four bits, and a factor for each of its scales."""

    def __init__(self, matrix: FourBits) -> None:
        super().__init__()
        rows, groups = matrix.scales.shape
        codes = matrix.codes.reshape(rows, groups, GROUP).astype(np.int8)
        self.steps = nn.Buffer(torch.tensor(codes - matrix.zeros.astype(np.int8)[..., None]))
        self.scales = nn.Buffer(torch.tensor(matrix.scales))
        self.factors = nn.Parameter(torch.ones(rows, groups))

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = Scaled.apply(x, self.steps, self.scales * self.factors)
        return product


def rounded(student: Student, matrices: Mapping[str, FourBits]) -> Student:
    """The same student with these matrices, its stream turned as theirs; all else is shared."""
    pupil = twin(student)
    pupil.layers = nn.ModuleList(twin(layer) for layer in student.layers)
    ones = nn.Parameter(torch.ones(pupil.shape.hidden), requires_grad=False)
    for index, layer in enumerate(pupil.layers):
        layer.matrices = nn.ModuleDict({name: Rounded(matrices[f"{index}.{name}"]) for name in MATRICES})
        layer.vectors = nn.ParameterDict(dict(layer.vectors.items()) | dict.fromkeys(NORMS, ones))
    pupil.rotation = nn.Buffer(torch.tensor(turned(np.eye(pupil.shape.hidden, dtype=np.float32))))
    return pupil


def factors(pupil: Student) -> dict[str, FloatArray]:
    """What was learnt, as `flash_ls.artifact.scales` takes it."""
    return {
        f"{index}.{name}": matrix.factors.detach().cpu().numpy()
        for index, layer in enumerate(pupil.layers)
        for name, matrix in layer.matrices.items()
    }


def served(folder: Path) -> dict[str, FourBits]:
    """The matrices of four bits in an artifact's folder, by `LAYER.PART`."""
    graph = onnx.load(folder / graph_file("int4"), load_external_data=False).graph
    stored = {tensor.name: tensor for tensor in graph.initializer if tensor.external_data}
    data = np.memmap(folder / DATA_FILE, np.uint8, "r")
    names = [name.removesuffix(".int4.codes") for name in stored if name.endswith(".int4.codes")]
    return {
        name: unpacked(*(array_of(stored[f"{name}.int4.{part}"], data) for part in ("codes", "scales", "zeros")))
        for name in names
    }


def array_of(tensor: onnx.TensorProto, data: np.ndarray) -> np.ndarray:
    place = {entry.key: entry.value for entry in tensor.external_data}
    start, size = int(place["offset"]), int(place["length"])
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return data[start : start + size].view(dtype).reshape(tuple(tensor.dims))


def unpacked(codes: np.ndarray, scales: FloatArray, zeros: np.ndarray) -> FourBits:
    """The other way of `FourBits.packed`."""
    rows, groups, _ = codes.shape
    return FourBits(halves(codes.reshape(rows, -1)), np.array(scales).reshape(rows, groups), halves(zeros)[:, :groups])


def halves(pairs: np.ndarray) -> np.ndarray:
    """[rows, 2n] of bytes [rows, n], the lower half of each first."""
    return np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(len(pairs), -1)
