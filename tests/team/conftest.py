"""A toy model behind HTTP, in a thread of the test's own process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flash_ls.engine import manifest
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from tests.shared.conftest import model, tokenizer, toy_folder
from tests.team.toy_team import TOKEN, ToyTeam

__all__ = ["model", "team", "tokenizer", "toy_folder"]


@pytest.fixture
def team(
    toy_folder: Path, model: OnnxModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ToyTeam]:
    monkeypatch.setenv("FLASH_LS_ENGINE_TOKEN", TOKEN)
    with ToyTeam(manifest.read(toy_folder), model, tokenizer) as server:
        yield server
