"""Factors of the scales of four bits are kept, and built into the artifact that they were learnt for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flash_ls.artifact import scales, store
from flash_ls.artifact.quantise import GROUP, four_bits
from tests.artifact.toy_build import Steps, toy_entry
from tests.toy_model import SHAPE, write_artifact

FACTORS = {"1.down": np.linspace(0.9, 1.1, SHAPE.hidden * SHAPE.intermediate // GROUP, dtype=np.float32)}
FACTORS["1.down"].shape = SHAPE.hidden, -1


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    scales.save(tmp_path / "toy.npz", FACTORS)
    kept = scales.load(str(tmp_path / "toy.npz"))
    assert kept.keys() == FACTORS.keys()
    np.testing.assert_allclose(kept["1.down"], FACTORS["1.down"], atol=1e-4)


def test_each_scale_is_taken_times_its_factor_and_nothing_else_changes() -> None:
    matrix = four_bits(np.random.default_rng(0).normal(size=(SHAPE.hidden, SHAPE.intermediate)).astype(np.float32))
    found = scales.scaled(matrix, FACTORS["1.down"])
    np.testing.assert_array_equal(found.scales, matrix.scales * FACTORS["1.down"])
    assert found.codes is matrix.codes
    assert found.zeros is matrix.zeros
    assert scales.scaled(matrix, None) is matrix


def stored(folder: Path) -> bytes:
    return (folder / "model.data").read_bytes()


def words_of(data: bytes) -> NDArray[np.uint32]:
    return np.frombuffer(data[: len(data) // 4 * 4], np.uint32)


def test_an_artifact_has_them_in_its_four_bits(tmp_path: Path) -> None:
    for name, factors in (("plain", {}), ("learnt", FACTORS)):
        write_artifact(tmp_path / name, ["int4", "int8"], factors=factors)
    plain, learnt = (words_of(stored(tmp_path / name)) for name in ("plain", "learnt"))
    changed = plain != learnt
    ratios = learnt[changed].view(np.float32) / plain[changed].view(np.float32)
    np.testing.assert_allclose(np.sort(ratios), np.sort(FACTORS["1.down"].ravel()), rtol=1e-4)


def test_a_model_with_some_is_built_with_them(home: Path, weights: Path, tmp_path: Path) -> None:
    plain = replace(toy_entry(weights), precisions=("int4",))
    folders = [store.build(plain, Steps())]
    before = stored(folders[0])
    scales.save(tmp_path / "toy.npz", FACTORS)
    entry = replace(plain, scales=str(tmp_path / "toy.npz"))
    assert stored(store.build(entry, Steps())) != before
    assert entry.revision != plain.revision
