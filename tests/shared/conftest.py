"""A toy model, and the engine process around it, in a thread of the test's own process."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from tests.shared.shared_toy import SharedToy
from tests.toy_model import write_artifact


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


@pytest.fixture
def shared(model: OnnxModel, tokenizer: Tokenizer) -> Iterator[SharedToy]:
    with TemporaryDirectory() as folder, SharedToy(Path(folder), model, tokenizer) as toy:  # a socket's path is short
        yield toy
