"""The samples are prompts, and what is summed up of them is what the matrices of the decoder meet."""

import compileall
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flash_ls.artifact import calibrate
from flash_ls.artifact.calibrate import (
    MOST_IN_BLOCK,
    SAMPLE_TOKENS,
    SUFFIX_SHARE,
    Calibration,
    Inputs,
    block_size,
    samples,
)
from flash_ls.artifact.quantise import GROUP, FloatArray, eight_bits_by_output, four_bits
from flash_ls.artifact.rotation import RotatedWeights, turned
from flash_ls.artifact.smoothing import smoothed
from flash_ls.artifact.tensors import HEAD, MATRICES, layer, write_tensors
from flash_ls.engine.manifest import DATA_FILE, ModelShape
from flash_ls.engine.tokenizer import Tokenizer
from tests.reference_model import ReferenceModel
from tests.rounded_weights import in_eight_bits
from tests.toy_model import FORM, SHAPE, ToyWeights, write_tokenizer

FILES = Path(calibrate.__file__).with_name("calibration")
PROMPTS = [
    [int(token) for token in np.random.default_rng(seed).integers(0, SHAPE.vocabulary, length)]
    for seed, length in enumerate([40, 7, 23])
]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    write_tokenizer(tmp_path / "tokenizer.json")
    return Tokenizer(tmp_path / "tokenizer.json")


def test_the_samples_are_prompts_with_the_cursor_inside_them(tokenizer: Tokenizer) -> None:
    marks = [FORM.fim_prefix, FORM.fim_suffix, FORM.fim_middle]
    for sample in samples(tokenizer, FORM):
        middle = sample.index(FORM.fim_middle)
        assert sample[:2] == marks[:2]
        assert [token for token in sample if token in marks] == marks
        assert len(sample) == SAMPLE_TOKENS + len(marks)
        assert middle - 2 == pytest.approx(SUFFIX_SHARE * SAMPLE_TOKENS, abs=1)


def test_what_pip_compiles_is_no_sample(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FILES, tmp_path / "calibration", dirs_exist_ok=True)
    compileall.compile_dir(tmp_path / "calibration", quiet=1)
    expected = samples(tokenizer, FORM)
    monkeypatch.setattr("flash_ls.artifact.calibrate.resources.files", lambda package: tmp_path)
    assert (tmp_path / "calibration" / "__pycache__").is_dir()
    assert samples(tokenizer, FORM) == expected


def test_the_samples_are_the_beginnings_of_files_in_the_languages_of_the_product(tokenizer: Tokenizer) -> None:
    files = sorted(path for path in FILES.iterdir() if path.is_file())
    assert [file.suffix for file in files] == [".c", ".cpp", ".go", ".java", ".js", ".py", ".rs", ".ts"]
    for file, sample in zip(files, samples(tokenizer, FORM), strict=True):
        middle = sample.index(FORM.fim_middle)
        text = tokenizer.decode(sample[middle + 1 :] + sample[2:middle])
        assert file.read_text(encoding="utf-8").startswith(text.rstrip("\ufffd"))


def met_by(calibration: Calibration, weights: ToyWeights) -> list[dict[str, Inputs]]:
    """What the matrices of each layer meet."""
    return [calibration.inputs(layer(RotatedWeights(weights), index)) for index in range(SHAPE.layers)]


def calibration_of(shape: ModelShape, weights: ToyWeights) -> Calibration:
    return Calibration(shape, [turned(weights.tensors[HEAD][prompt]) for prompt in PROMPTS])


def calibrated(shape: ModelShape, weights: ToyWeights) -> list[dict[str, FloatArray]]:
    """Moments of each layer, and then of the head."""
    calibration = calibration_of(shape, weights)
    moments = [{name: met.moments for name, met in of_layer.items()} for of_layer in met_by(calibration, weights)]
    return [*moments, {"head": calibration.last_moments(weights.tensors["output_norm.weight"])}]


def second_moments(inputs: FloatArray) -> FloatArray:
    moments: FloatArray = inputs.T @ inputs / np.float32(len(inputs))
    return moments


def test_the_first_matrix_meets_the_norms_of_the_embeddings() -> None:
    weights = ToyWeights()
    embedded = weights.tensors[HEAD][np.concatenate(PROMPTS)]
    normed = turned(embedded / np.sqrt(np.square(embedded).mean(axis=1, keepdims=True) + SHAPE.norm_epsilon))
    np.testing.assert_allclose(calibrated(SHAPE, weights)[0]["qkv"], second_moments(normed)[None], atol=1e-4)


def test_the_head_meets_what_the_reference_has_for_it() -> None:
    weights = ToyWeights()
    reference = ReferenceModel(SHAPE, weights)
    states = np.concatenate([reference.states(prompt) for prompt in PROMPTS]).astype(np.float32)
    np.testing.assert_allclose(calibrated(SHAPE, weights)[-1]["head"][0], second_moments(states), atol=2e-3)


def test_the_largest_inputs_are_those_that_were_met() -> None:
    weights = ToyWeights()
    embedded = weights.tensors[HEAD][np.concatenate(PROMPTS)]
    normed = turned(embedded / np.sqrt(np.square(embedded).mean(axis=1, keepdims=True) + SHAPE.norm_epsilon))
    first, *_ = met_by(calibration_of(SHAPE, weights), weights)
    np.testing.assert_allclose(first["qkv"].largest, np.abs(normed).max(axis=0), atol=1e-4)
    assert (first["down"].largest ** 2 >= np.diagonal(first["down"].moments[0])).all()


def test_every_matrix_has_moments_of_its_inputs() -> None:
    sizes = {"qkv": SHAPE.hidden, "output": SHAPE.hidden, "gate_up": SHAPE.hidden, "down": SHAPE.intermediate}
    for moments in calibrated(SHAPE, ToyWeights())[:-1]:
        assert {name: array.shape for name, array in moments.items()} == {
            name: (1, size, size) for name, size in sizes.items()
        }
        assert list(sizes) == list(MATRICES)
        assert all(np.linalg.eigvalsh(array[0]).min() > -1e-3 for array in moments.values())


def test_far_columns_of_a_wide_matrix_are_taken_apart() -> None:
    wide = replace(SHAPE, intermediate=2 * MOST_IN_BLOCK)
    weights = ToyWeights(wide)
    halves = [moments["down"] for moments in calibrated(wide, weights)[:-1]]
    assert all(down.shape == (2, MOST_IN_BLOCK, MOST_IN_BLOCK) for down in halves)
    # Moments of the two halves exchanged are those of weights whose gates and ups are exchanged.
    for part in ("gate", "up"):
        name = f"blk.0.ffn_{part}.weight"
        weights.tensors[name] = np.roll(weights.tensors[name], MOST_IN_BLOCK, axis=0)
    np.testing.assert_allclose(calibrated(wide, weights)[0]["down"][::-1], halves[0], atol=1e-4)


@pytest.mark.parametrize(
    ("columns", "size"), [(GROUP, GROUP), (896, 896), (1024, 1024), (1536, 768), (4864, 256), (8960, 896)]
)
def test_blocks_are_whole_groups_and_divide_the_columns(columns: int, size: int) -> None:
    assert block_size(columns) == size


def built(folder: Path, weights: ToyWeights, *forms: str) -> dict[str, bytes]:
    """Each tensor of the data file as it is on disk."""
    folder.mkdir()
    words = np.arange(SHAPE.vocabulary)
    places, _ = write_tensors(folder, SHAPE, weights, frozenset(forms), words, PROMPTS, {}, lambda label, done: None)
    data = (folder / DATA_FILE).read_bytes()
    return {name: data[place.offset : place.offset + place.bytes] for name, place in places.items()}


def test_every_matrix_is_rounded_for_what_it_meets(tmp_path: Path) -> None:
    weights = ToyWeights()
    weights.tensors[HEAD] = in_eight_bits(weights.tensors[HEAD])  # as it is written
    moments = calibrated(SHAPE, weights)
    rotated = RotatedWeights(weights)
    matrices = {f"{index}.{name}": layer(rotated, index)[name] for index in range(SHAPE.layers) for name in MATRICES}
    met = {f"{index}.{name}": moments[index][name] for index in range(SHAPE.layers) for name in MATRICES}
    tensors = built(tmp_path / "toy", weights, "int4", "int8")
    for name, matrix in (matrices | {"head": weights.tensors[HEAD]}).items():
        parts = four_bits(matrix, met.get(name, moments[-1]["head"])).packed()
        for part, array in zip(("codes", "scales", "zeros"), parts, strict=True):
            assert tensors[f"{name}.int4.{part}"] == np.asarray(array).tobytes()
    for name, matrix in in_eight_bits_of(rotated, weights).items():
        for part, array in zip(("codes", "scales"), eight_bits_by_output(matrix), strict=True):
            assert tensors[f"{name}.int8.{part}"] == np.asarray(array).tobytes()
    # Gate and up are two in 8 bits and one in 4; the head has 4 bits alone.
    assert sum(name.endswith("codes") for name in tensors) == (5 + 4) * SHAPE.layers + 1


def in_eight_bits_of(rotated: RotatedWeights, weights: ToyWeights) -> dict[str, FloatArray]:
    """What is rounded to 8 bits of the matrices."""
    found: dict[str, FloatArray] = {}
    for index, met in enumerate(met_by(calibration_of(SHAPE, weights), weights)):
        parts = layer(rotated, index)
        gate, up = np.split(parts["gate_up"], 2)
        up, down = smoothed(up, parts["down"], met["down"].largest)
        of_layer = {"qkv": parts["qkv"], "output": parts["output"], "gate": gate, "up": up, "down": down}
        found |= {f"{index}.{name}": matrix for name, matrix in of_layer.items()}
    return found


def test_the_head_is_the_same_whatever_the_other_matrices_are_rounded_to(tmp_path: Path) -> None:
    few = built(tmp_path / "few", ToyWeights(), "int8")
    more = built(tmp_path / "more", ToyWeights(), "int8", "int4")
    assert few.keys() < more.keys()
    assert few == {name: more[name] for name in few}
