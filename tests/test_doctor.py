"""The doctor measures what it says it measures, and says what is missing."""

from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from flash_ls import doctor
from flash_ls.config import Config
from flash_ls.engine.decode import PREFILL_CHUNK
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.tokenizer import Tokenizer
from tests.engine.toy_drafters import WatchedModel
from tests.scripted_model import ScriptedModel
from tests.toy_model import SHAPE, write_artifact, write_tokenizer

Usage = namedtuple("Usage", "total used free")


class Anything(ScriptedModel):
    """Needs no prompt."""

    def _logits(self, tokens: list[int]) -> FloatArray:
        return np.zeros(SHAPE.vocabulary, np.float32)


def test_every_timed_pass_feeds_all_its_tokens(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer.json")
    model = WatchedModel(Anything(Tokenizer(tmp_path / "tokenizer.json"), ""))
    report = doctor.Report()
    doctor._time_model(report, model)
    assert model.widths == [PREFILL_CHUNK] * doctor.RUNS + [1] * doctor.RUNS
    assert "tokens/s" in report.facts[-1][1]


@pytest.mark.parametrize(("free", "told"), [(10**9, True), (2 * 10**9, False)])
def test_too_little_space_for_a_build_is_told(
    free: int, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "none"))
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(free, 0, free))
    problems = doctor.examine(Config()).problems
    assert any("flash-ls model build" in problem for problem in problems)
    assert any("A build needs 1.3 GB" in problem for problem in problems) == told


def test_a_precision_that_the_model_does_not_have_is_told(tmp_path: Path) -> None:
    write_artifact(tmp_path / "toy")
    report = doctor.examine(Config(model=str(tmp_path / "toy"), precision="int4"))
    assert any(problem.startswith("The model has no precision 'int4'") for problem in report.problems)
    assert "precision" not in dict(report.facts)
