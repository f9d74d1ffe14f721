"""Toy models, built once for all tests of the engine."""

from pathlib import Path

import numpy as np
import pytest

from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from tests.toy_model import SHAPE, write_artifact

EVEN = np.arange(0, SHAPE.vocabulary, 2)
ROUNDED = ("int4", "int8", "mixed")


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact in full precision."""
    return tmp_path_factory.mktemp("toy") / "artifact"


@pytest.fixture(scope="session")
def model(toy_folder: Path) -> OnnxModel:
    return OnnxModel(toy_folder, write_artifact(toy_folder), "fp32", threads=1)


@pytest.fixture(scope="session")
def tokenizer(toy_folder: Path, model: OnnxModel) -> Tokenizer:
    return Tokenizer(toy_folder / TOKENIZER_FILE)


@pytest.fixture(scope="session")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OnnxModel]:
    """The same weights rounded to nearest, in each precision that is served."""
    folder = tmp_path_factory.mktemp("rounded") / "artifact"
    described = write_artifact(folder, ROUNDED)
    return {precision: OnnxModel(folder, described, precision, threads=1) for precision in ROUNDED}


@pytest.fixture(scope="session")
def halved(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    """The toy in full precision with a graph that knows every other word."""
    folder = tmp_path_factory.mktemp("halved") / "artifact"
    return OnnxModel(folder, write_artifact(folder, shortlist=EVEN), "fp32", threads=1)
