"""A student of four bits is the graph that is served, and learns nothing but the factors of its scales."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is in the extra `models`")

from flash_ls.artifact.quantise import four_bits  # noqa: E402
from flash_ls.artifact.rotation import RotatedWeights  # noqa: E402
from flash_ls.artifact.tensors import MATRICES, layer  # noqa: E402
from models.data import Sample  # noqa: E402
from models.rescale import Rescaler  # noqa: E402
from models.rounded import Rounded, factors, restored, rounded, served  # noqa: E402
from models.student import Student  # noqa: E402
from tests.reference_model import ReferenceModel  # noqa: E402
from tests.rounded_weights import RoundedWeights, in_four_bits  # noqa: E402
from tests.toy_model import SHAPE, ToyWeights, write_artifact  # noqa: E402

SAMPLES = [Sample([int(token) for token in row], 9, "python", "line") for row in np.arange(6 * 24).reshape(6, 24) % 250]
LEARNT = {f"{index}.{name}" for index in range(SHAPE.layers) for name in MATRICES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of four bits."""
    path = tmp_path_factory.mktemp("toy") / "artifact"
    write_artifact(path, ["int4"])
    return path


def teacher() -> Student:
    """Unrounded but for the embedding, which is of eight bits in an artifact."""
    return Student(SHAPE, RoundedWeights(ToyWeights(), lambda matrix: matrix), rank=0, dtype=torch.float32)


def test_what_is_served_is_what_was_rounded(folder: Path) -> None:
    found = served(folder)
    assert found.keys() == {*LEARNT, "head"}
    expected = four_bits(layer(RotatedWeights(ToyWeights()), 1)["down"])
    for part, array in found["1.down"]._asdict().items():
        np.testing.assert_array_equal(array, getattr(expected, part))


def test_the_pupil_is_the_rounded_model(folder: Path) -> None:
    tokens = SAMPLES[0].tokens
    with torch.no_grad():
        found = np.asarray(rounded(teacher(), served(folder))(torch.tensor([tokens]))[0])
    expected = ReferenceModel(SHAPE, RoundedWeights(ToyWeights(), in_four_bits)).states(tokens)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_gradient_of_a_scale_is_that_of_what_it_multiplies() -> None:
    matrix = Rounded(four_bits(layer(ToyWeights(), 0)["gate_up"]))
    x, direction = torch.randn(5, SHAPE.hidden, requires_grad=True), torch.randn(5, 2 * SHAPE.intermediate)
    whole = restored(matrix.steps, matrix.scales * matrix.factors, torch.float32)
    expected = torch.autograd.grad((x @ whole.T * direction).sum(), [x, matrix.factors])
    found = torch.autograd.grad((matrix(x) * direction).sum(), [x, matrix.factors])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def rescaler(folder: Path, tmp_path: Path, minutes: float) -> Rescaler:
    args = Namespace(rate=3e-3, batch=3, threads=1, minutes=minutes, out=tmp_path / "learnt.npz")
    own = teacher()
    return Rescaler(own, rounded(own, served(folder)), torch.arange(SHAPE.vocabulary), args)


def test_what_is_learnt_are_factors_by_which_the_pupil_comes_nearer_to_its_teacher(
    folder: Path, tmp_path: Path
) -> None:
    run = rescaler(folder, tmp_path, minutes=0.05)
    codes = {name: matrix.codes for name, matrix in served(folder).items()}
    run.run(SAMPLES, SAMPLES)
    before, *_, after = [json.loads(line) for line in (tmp_path / "learnt.jsonl").read_text().splitlines()]
    assert after["divergence"] < 0.9 * before["divergence"]
    assert factors(run.pupil).keys() == LEARNT
    assert {name for name, value in run.pupil.named_parameters() if value.requires_grad} == {
        f"layers.{name.replace('.', '.matrices.')}.factors" for name in LEARNT
    }
    assert all(np.array_equal(codes[name], matrix.codes) for name, matrix in served(folder).items())


def test_without_time_nothing_is_taught(folder: Path, tmp_path: Path) -> None:
    run = rescaler(folder, tmp_path, minutes=0)
    run.run(SAMPLES, SAMPLES)
    assert len((tmp_path / "learnt.jsonl").read_text().splitlines()) == 1
    assert not run.args.out.exists()
    assert all(np.all(array == 1) for array in factors(run.pupil).values())
