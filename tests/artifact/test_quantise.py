"""Rounding to 4 and 8 bits: how far it may be off, how far outputs are, and that the kernels read it as meant."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper

from flash_ls.artifact.graph import IR_VERSION, MS
from flash_ls.artifact.quantise import (
    GROUP,
    LEVELS,
    SHRINK,
    FloatArray,
    eight_bits,
    eight_bits_by_output,
    four_bits,
)
from tests.reference_model import Array
from tests.rounded_weights import in_eight_bits, in_eight_bits_by_output, in_four_bits, restored

ROWS, COLUMNS = 12, 2 * GROUP
Floats = st.floats(-(2.0**100), 2.0**100, width=32)
Matrices = hnp.arrays(np.float32, (2, COLUMNS), elements=Floats, fill=Floats)
TINY = 2 * np.finfo(np.float32).tiny


def random_matrix(rows: int = ROWS, columns: int = COLUMNS, seed: int = 5) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def by_group(matrix: FloatArray) -> Array:
    """[rows, groups, GROUP]."""
    return matrix.reshape(len(matrix), -1, GROUP).astype(np.float64)


# --- eight bits ---


@given(Matrices)
@example(np.full((2, COLUMNS), 1e-42, np.float32))
@example(np.full((2, COLUMNS), -3e-38, np.float32))
@settings(deadline=None, max_examples=60)
def test_no_value_is_off_by_more_than_half_a_step(matrix: FloatArray) -> None:
    step = np.repeat(np.abs(by_group(matrix)).max(axis=2) / 127, GROUP, axis=1)
    # Where numbers are too small for a scale of full precision, nothing is lost by taking them for zero.
    allowed = np.where(step < TINY, 127 * step, 0.5001 * step)
    assert np.all(np.abs(in_eight_bits(matrix).astype(np.float64) - matrix) <= allowed)


@given(Matrices)
@example(np.full((2, COLUMNS), 1e-42, np.float32))
@settings(deadline=None, max_examples=60)
def test_by_output_the_step_is_that_of_the_whole_row(matrix: FloatArray) -> None:
    step = np.abs(matrix.astype(np.float64)).max(axis=1, keepdims=True) / 127
    allowed = np.where(step < TINY, 127 * step, 0.5001 * step)
    assert np.all(np.abs(in_eight_bits_by_output(matrix).astype(np.float64) - matrix) <= allowed)


def test_zeros_stay_zeros() -> None:
    zeros = np.zeros((3, COLUMNS), np.float32)
    for codes, scales in (eight_bits(zeros), eight_bits_by_output(zeros)):
        assert not codes.any()
        assert not scales.any()
    assert not in_four_bits(zeros).any()


def test_the_largest_of_a_group_is_kept() -> None:
    matrix = random_matrix()
    matrix[:, 5] = 7.0
    np.testing.assert_allclose(in_eight_bits(matrix)[:, 5], 7.0, rtol=1e-6)


@pytest.mark.parametrize("rounding", [in_eight_bits, in_four_bits])
def test_groups_do_not_disturb_each_other(rounding: Any) -> None:
    matrix = random_matrix()
    loud = matrix.copy()
    loud[:, GROUP:] *= 1000
    np.testing.assert_array_equal(rounding(loud)[:, :GROUP], rounding(matrix)[:, :GROUP])


# --- four bits, to nearest ---


@given(hnp.arrays(np.float32, (2, COLUMNS), elements=st.floats(-1000, 1000, width=32)))
@example(np.full((2, COLUMNS), 3.0, np.float32))
@example(np.full((2, COLUMNS), -1e-3, np.float32))
@example(np.linspace(-1, 7, 2 * COLUMNS, dtype=np.float32).reshape(2, COLUMNS))
@settings(deadline=None, max_examples=60)
def test_in_four_bits_no_value_within_reach_is_off_by_more_than_half_a_step(matrix: FloatArray) -> None:
    rounded = four_bits(matrix)
    scales, zeros = (part[..., None].astype(np.float64) for part in (rounded.scales, rounded.zeros))
    values = by_group(matrix)
    nearest = np.clip(values, -zeros * scales, (LEVELS - zeros) * scales)
    assert np.all(np.abs(by_group(restored(rounded)) - nearest) <= 0.5001 * scales)
    # What is out of reach was cut off on purpose, and by no more than the ranges that are tried.
    spread = np.maximum(values.max(axis=2), 0) - np.minimum(values.min(axis=2), 0)
    assert np.all(np.abs(nearest - values).max(axis=2) <= (1 - SHRINK[-1]) * spread + 0.5001 * scales[..., 0])


def test_codes_and_zero_points_have_four_bits() -> None:
    rounded = four_bits(np.concatenate([random_matrix(), random_matrix() + 9, random_matrix() - 9]))
    assert max(rounded.codes.max(), rounded.zeros.max()) == LEVELS
    assert rounded.codes.dtype == rounded.zeros.dtype == np.uint8


def test_clipping_an_outlier_serves_the_others() -> None:
    matrix = random_matrix()
    matrix[:, 7] = 6.0
    rounded = four_bits(matrix)
    whole_range = (matrix[:, :GROUP].max(axis=1) - matrix[:, :GROUP].min(axis=1)) / LEVELS
    assert np.all(rounded.scales[:, 0] < whole_range)


# --- four bits, for the inputs that come ---


def correlated(tokens: int, columns: int, seed: int, causes: int = 24) -> FloatArray:
    """Inputs that a few causes explain, but for a little noise."""
    mixing = np.random.default_rng(1).normal(size=(causes, columns))
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(tokens, causes)) @ mixing + 0.3 * random.normal(size=(tokens, columns))
    return mixed.astype(np.float32)


def moments_of(inputs: FloatArray, blocks: int = 1) -> FloatArray:
    parts = np.split(inputs, blocks, axis=1)
    return np.stack([part.T @ part / np.float32(len(inputs)) for part in parts])


def output_error(matrix: FloatArray, rounded: FloatArray, inputs: FloatArray) -> float:
    return float(np.square(inputs @ (matrix - rounded).T).mean())


@pytest.mark.parametrize("columns", [GROUP, 4 * GROUP])
def test_outputs_feel_the_rounding_less_when_the_inputs_are_known(columns: int) -> None:
    matrix = random_matrix(32, columns)
    known, new = correlated(2000, columns, seed=2), correlated(500, columns, seed=3)
    aware = output_error(matrix, restored(four_bits(matrix, moments_of(known))), new)
    assert aware < 0.8 * output_error(matrix, in_four_bits(matrix), new)


def test_the_next_group_makes_up_for_the_errors_of_the_one_before() -> None:
    """Each input comes twice, a group apart: alone, either group can do little."""
    matrix, inputs = random_matrix(32), np.random.default_rng(4).normal(size=(2000, GROUP)).astype(np.float32)
    twice = np.concatenate([inputs, inputs + 0.01], axis=1)
    together = output_error(matrix, restored(four_bits(matrix, moments_of(twice))), twice)
    apart = output_error(matrix, restored(four_bits(matrix, moments_of(twice, blocks=2))), twice)
    assert together < 0.8 * apart


def test_an_outlier_is_cut_off_for_an_input_that_is_weak_and_kept_for_one_that_is_strong() -> None:
    matrix = random_matrix(32, GROUP)
    matrix[:, 7] = 6.0
    off = {}
    for strength in (0.01, 100.0):
        moments = np.eye(GROUP, dtype=np.float32)[None]
        moments[0, 7, 7] = strength
        off[strength] = np.abs(restored(four_bits(matrix, moments)) - matrix)[:, 7].mean()
    assert off[100.0] < 0.25 * off[0.01]


def test_of_inputs_that_say_nothing_rounding_is_to_nearest() -> None:
    matrix = random_matrix()
    np.testing.assert_array_equal(
        restored(four_bits(matrix, np.zeros((1, COLUMNS, COLUMNS), np.float32))), in_four_bits(matrix)
    )


@pytest.mark.parametrize("columns", [GROUP, 8 * GROUP])
def test_a_single_sample_is_enough_to_go_on(columns: int) -> None:
    matrix, one = random_matrix(4, columns), random_matrix(1, columns, seed=9)
    aware = output_error(matrix, restored(four_bits(matrix, moments_of(one))), one)
    assert aware < 0.8 * output_error(matrix, in_four_bits(matrix), one)


@pytest.mark.parametrize("blocks", [2, 3])
def test_blocks_of_a_wide_matrix_are_rounded_each_by_its_own_moments(blocks: int) -> None:
    matrix = random_matrix(8, blocks * COLUMNS)
    moments = np.stack([moments_of(correlated(500, COLUMNS, seed))[0] for seed in range(blocks)])
    parts = zip(np.split(matrix, blocks, axis=1), moments, strict=True)
    expected = [restored(four_bits(part, block[None])) for part, block in parts]
    np.testing.assert_array_equal(restored(four_bits(matrix, moments)), np.concatenate(expected, axis=1))


# --- what the kernels make of it ---


def run_node(
    op: str, inputs: Sequence[np.typing.NDArray[np.generic]], domain: str = MS, **attributes: Any
) -> FloatArray:
    """What one operator of ONNX Runtime computes."""
    names = [f"input{place}" for place in range(len(inputs))]
    node = helper.make_node(op, names, ["y"], domain=domain, **attributes)
    kinds = [helper.np_dtype_to_tensor_dtype(array.dtype) for array in inputs]
    values = [
        helper.make_tensor_value_info(name, kind, array.shape)
        for name, kind, array in zip(names, kinds, inputs, strict=True)
    ]
    graph = helper.make_graph([node], "one", values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)]
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, dict(zip(names, inputs, strict=True)))
    return np.asarray(y, np.float32)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize(("level", "tolerance"), [(1, 1e-5), (4, 2e-2)], ids=["float", "8-bit activations"])
def test_the_product_in_four_bits_is_that_of_the_restored_matrix(groups: int, level: int, tolerance: float) -> None:
    matrix = random_matrix(columns=groups * GROUP)
    matrix += np.arange(ROWS, dtype=np.float32)[:, None] / 4
    x = random_matrix(3, groups * GROUP, seed=6)
    rounded = four_bits(matrix)
    sizes: dict[str, Any] = {"K": groups * GROUP, "N": ROWS, "bits": 4, "block_size": GROUP, "accuracy_level": level}
    expected = x @ restored(rounded).T
    actual = run_node("MatMulNBits", [x, *rounded.packed()], **sizes)
    np.testing.assert_allclose(actual, expected, atol=tolerance * np.abs(expected).max())


def test_the_product_in_eight_bits_is_that_of_the_codes_in_integers() -> None:
    matrix, x = random_matrix(), np.random.default_rng(6).integers(0, 256, (3, COLUMNS), np.uint8)
    codes, scales = eight_bits_by_output(matrix)
    step, middle = np.array(0.25, np.float32), np.array(128, np.uint8)
    expected = (x.astype(np.int64) - 128) @ codes.astype(np.int64) * (scales.astype(np.float64) / 4)
    actual = run_node("MatMulIntegerToFloat", [x, codes, step, scales, middle])
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
