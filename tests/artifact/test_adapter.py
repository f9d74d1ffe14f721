"""What was learnt is added to the upstream weights, whichever rows are asked for."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.artifact import adapter
from flash_ls.artifact.adapter import AdaptedWeights, Factors
from flash_ls.artifact.catalog import catalog
from flash_ls.artifact.tensors import MATRICES, PARTS, layer
from tests.toy_model import SHAPE, ToyWeights

RANK = 3
WEIGHTS = ToyWeights()


def toy_adapter() -> dict[str, Factors]:
    """Of all matrices of the second layer."""
    random = np.random.default_rng(1)
    plain = layer(WEIGHTS, 1)
    shapes = {f"1.{part}": plain[part].shape for part in MATRICES}
    return {
        name: Factors(
            random.normal(0, 0.25, (outputs, RANK)).astype(np.float16).astype(np.float32),
            random.normal(0, 0.25, (RANK, inputs)).astype(np.float16).astype(np.float32),
        )
        for name, (outputs, inputs) in shapes.items()
    }


def test_the_product_of_the_factors_is_added_to_the_matrices_and_to_nothing_else() -> None:
    learnt = toy_adapter()
    adapted, plain = layer(AdaptedWeights(WEIGHTS, learnt), 1), layer(WEIGHTS, 1)
    for part in PARTS:
        up, down = learnt.get(f"1.{part}", (np.zeros((1, 1)), np.zeros((1, 1))))
        np.testing.assert_allclose(adapted[part], plain[part] + (up @ down if part in MATRICES else 0), atol=1e-6)
    untouched = layer(AdaptedWeights(WEIGHTS, learnt), 0)
    assert all(np.array_equal(untouched[part], array) for part, array in layer(WEIGHTS, 0).items())


@given(st.sampled_from(sorted(WEIGHTS.tensors)), st.data())
def test_some_rows_are_those_of_the_whole(name: str, data: st.DataObject) -> None:
    adapted = AdaptedWeights(WEIGHTS, toy_adapter())
    count = WEIGHTS.shape(name)[0]
    assert adapted.shape(name) == WEIGHTS.shape(name)
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.integers(start, count))
    whole = adapted.rows(name, 0, count)
    np.testing.assert_allclose(adapted.rows(name, start, stop), whole[start:stop], atol=1e-6)


def test_a_file_keeps_the_factors(tmp_path: Path) -> None:
    learnt = toy_adapter()
    adapter.save(tmp_path / "toy.npz", learnt)
    read = adapter.load(str(tmp_path / "toy.npz"))
    assert list(read) == list(learnt)
    for name, factors in learnt.items():
        assert np.array_equal(read[name].up, factors.up)
        assert np.array_equal(read[name].down, factors.down)


def test_each_file_has_a_digest_of_its_own(tmp_path: Path) -> None:
    learnt = toy_adapter()
    for name in ("one", "same"):
        adapter.save(tmp_path / f"{name}.npz", learnt)
    adapter.save(tmp_path / "other.npz", {"0.down": learnt["1.down"]})
    one, same, other = (adapter.digest(str(tmp_path / f"{name}.npz")) for name in ("one", "same", "other"))
    assert one == same != other


@pytest.mark.parametrize("part", MATRICES)
def test_a_layer_of_the_toy_has_each_part(part: str) -> None:
    assert layer(WEIGHTS, SHAPE.layers - 1)[part].ndim == 2


@pytest.mark.parametrize("name", [name for name, entry in catalog().items() if entry.adapter])
def test_what_a_model_has_learnt_is_of_its_layers_and_its_prompt_that_of_the_others(name: str) -> None:
    entry = catalog()[name]
    learnt = adapter.load(entry.adapter or "")
    layers = 1 + max(int(matrix.split(".")[0]) for matrix in learnt)
    assert set(learnt) == {f"{layer}.{part}" for layer in range(layers) for part in MATRICES}
    assert all(np.isfinite(array).all() and array.any() for factors in learnt.values() for array in factors)
    assert entry.prompt == catalog()["qwen2.5-coder-0.5b"].prompt
