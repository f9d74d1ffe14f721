"""A turned decoder says what it said before, and no channel of its stream stands out."""

import numpy as np
import pytest

from flash_ls.artifact.rotation import MOST_IN_ROW, RotatedWeights, factors, turned
from flash_ls.artifact.tensors import HEAD, layer
from tests.reference_model import ReferenceModel
from tests.toy_model import SHAPE, ToyWeights

SIZES = [1, 3, 64, MOST_IN_ROW, 896, 1536]
TOKENS = [int(token) for token in np.random.default_rng(1).integers(0, SHAPE.vocabulary, 40)]


@pytest.mark.parametrize("size", SIZES)
def test_turned_twice_is_not_turned_and_no_length_changes(size: int) -> None:
    states = np.random.default_rng(0).normal(size=(5, 2, size)).astype(np.float32)
    np.testing.assert_allclose(turned(turned(states)), states, atol=1e-5)
    np.testing.assert_allclose(np.square(turned(states)).sum(axis=2), np.square(states).sum(axis=2), rtol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_product_with_a_symmetric_matrix(size: int) -> None:
    matrix = turned(np.eye(size, dtype=np.float32))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    np.testing.assert_allclose(matrix, np.kron(*factors(size)), atol=1e-6)


@pytest.mark.parametrize("size", [MOST_IN_ROW, 896, 1536])
def test_what_one_channel_has_is_shared_by_all(size: int) -> None:
    for channel in range(0, size, 61):
        alone = np.zeros(size, np.float32)
        alone[channel] = 1
        assert np.abs(turned(alone)).max() <= 1.42 / np.sqrt(size)


def test_the_last_norm_has_the_scale_and_the_others_have_none() -> None:
    parts = layer(RotatedWeights(ToyWeights()), 0)
    assert np.all(parts["norm"] == 1)
    assert np.all(parts["ffn_norm"] == 1)


def test_the_turned_decoder_is_the_same_decoder() -> None:
    weights = ToyWeights()
    expected = ReferenceModel(SHAPE, weights).states(TOKENS)
    rotated = RotatedWeights(weights)
    last = weights.tensors["output_norm.weight"]
    entering = ToyWeights()
    entering.tensors = {name: rotated.rows(name, 0, size[0]) for name, size in sizes(weights).items()}
    entering.tensors[HEAD] = turned(weights.tensors[HEAD])
    entering.tensors["output_norm.weight"] = np.ones_like(last)
    found = turned(ReferenceModel(SHAPE, entering).states(TOKENS).astype(np.float32)) * last
    np.testing.assert_allclose(found, expected, atol=2e-3)


def sizes(weights: ToyWeights) -> dict[str, tuple[int, ...]]:
    return {name: weights.shape(name) for name in weights.tensors}


def test_any_rows_can_be_read() -> None:
    rotated = RotatedWeights(ToyWeights())
    for name, size in sizes(ToyWeights()).items():
        np.testing.assert_array_equal(rotated.rows(name, 3, 9), rotated.rows(name, 0, size[0])[3:9])
