"""The toy model, built once for all tests of the engine."""

from pathlib import Path

import pytest

from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from tests.toy_model import SHAPE, write_artifact


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact in full precision."""
    folder = tmp_path_factory.mktemp("toy") / "artifact"
    write_artifact(folder)
    return folder


@pytest.fixture(scope="session")
def model(toy_folder: Path) -> OnnxModel:
    return OnnxModel(toy_folder, SHAPE, threads=1)


@pytest.fixture(scope="session")
def tokenizer(toy_folder: Path) -> Tokenizer:
    return Tokenizer(toy_folder / TOKENIZER_FILE)
