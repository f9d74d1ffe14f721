"""Rounding to 8 bits: how far it may be off, and that ONNX Runtime reads the codes as we mean them."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper

from flash_ls.artifact.graph import IR_VERSION, MS, FloatArray
from flash_ls.artifact.quantise import GROUP, ZERO, quantise
from tests.reference_model import Array

ROWS, COLUMNS = 12, 2 * GROUP
Floats = st.floats(-(2.0**100), 2.0**100, width=32)
Matrices = hnp.arrays(np.float32, (2, COLUMNS), elements=Floats, fill=Floats)


def restored(matrix: FloatArray) -> Array:
    codes, scales = quantise(matrix)
    assert codes.shape == (len(matrix), 2, GROUP)
    assert scales.shape == (len(matrix), 2)
    return ((codes.astype(np.float64) - ZERO) * scales[..., None]).reshape(len(matrix), -1)


@given(Matrices)
@example(np.full((2, COLUMNS), 1e-42, np.float32))
@example(np.full((2, COLUMNS), -3e-38, np.float32))
@settings(deadline=None, max_examples=60)
def test_no_value_is_off_by_more_than_half_a_step(matrix: FloatArray) -> None:
    largest = np.abs(matrix.reshape(len(matrix), 2, GROUP)).max(axis=2).astype(np.float64)
    step = np.repeat(largest / 127, GROUP, axis=1)
    # Where numbers are too small for a scale of full precision, nothing is lost by taking them for zero.
    allowed = np.where(step < 2 * np.finfo(np.float32).tiny, 127 * step, 0.5001 * step)
    assert np.all(np.abs(restored(matrix) - matrix) <= allowed)


def test_zeros_stay_zeros() -> None:
    codes, scales = quantise(np.zeros((3, COLUMNS), np.float32))
    assert np.all(codes == ZERO)
    assert np.all(scales == 0)


def test_the_largest_of_a_group_is_kept() -> None:
    matrix = random_matrix()
    matrix[:, 5] = 7.0
    np.testing.assert_allclose(restored(matrix)[:, 5], 7.0, rtol=1e-6)


def test_groups_do_not_disturb_each_other() -> None:
    matrix = random_matrix()
    loud = matrix.copy()
    loud[:, GROUP:] *= 1000
    np.testing.assert_array_equal(restored(loud)[:, :GROUP], restored(matrix)[:, :GROUP])


def random_matrix() -> FloatArray:
    return np.random.default_rng(5).normal(size=(ROWS, COLUMNS)).astype(np.float32)


def run_node(op: str, inputs: dict[str, np.typing.NDArray[np.generic]], **attributes: Any) -> FloatArray:
    """What one operator of ONNX Runtime computes."""
    node = helper.make_node(op, list(inputs), ["y"], domain=MS, **attributes)
    kinds = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in inputs.items()}
    values = [helper.make_tensor_value_info(name, kinds[name], array.shape) for name, array in inputs.items()]
    graph = helper.make_graph([node], "one", values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)]
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, inputs)
    return np.asarray(y, np.float32)


@pytest.mark.parametrize(("level", "tolerance"), [(1, 1e-5), (4, 2e-2)], ids=["float", "8-bit activations"])
def test_the_product_is_that_of_the_restored_matrix(level: int, tolerance: float) -> None:
    matrix = random_matrix()
    codes, scales = quantise(matrix)
    x = np.random.default_rng(6).normal(size=(3, COLUMNS)).astype(np.float32)
    sizes = {"K": COLUMNS, "N": ROWS, "bits": 8, "block_size": GROUP, "accuracy_level": level}
    expected = x @ restored(matrix).T
    actual = run_node("MatMulNBits", {"x": x, "codes": codes, "scales": scales}, **sizes)
    np.testing.assert_allclose(actual, expected, atol=tolerance * np.abs(expected).max())


def test_the_rows_looked_up_are_those_of_the_restored_matrix() -> None:
    matrix = random_matrix()
    codes, scales = quantise(matrix)
    ids = np.array([[3, 0, 11, 3]])
    kernel = {"gather_axis": 0, "quantize_axis": 1, "block_size": GROUP, "bits": 8}
    table = {"codes": codes.reshape(ROWS, COLUMNS), "ids": ids, "scales": scales}
    np.testing.assert_allclose(run_node("GatherBlockQuantized", table, **kernel), restored(matrix)[ids], rtol=1e-6)
