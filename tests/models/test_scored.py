"""Cases become samples that end as they should."""

import json
from pathlib import Path

import pytest

from models import scored
from models.data import load
from tests.toy_model import FORM, write_artifact

CASE = {
    "id": "1",
    "repo": "toy/toy",
    "path": "a.py",
    "kind": "line",
    "prefix": "def f(self):\n    return ",
    "suffix": "\n",
}


def samples(folder: Path, monkeypatch: pytest.MonkeyPatch, *given: str) -> Path:
    write_artifact(folder / "artifact")
    (folder / "cases.jsonl").write_text(json.dumps(CASE | {"middle": "self.a"}) + "\n")
    (folder / "files.jsonl").write_text(
        json.dumps({"repo": "toy/toy", "path": "b.py", "text": "def g(): pass\n"}) + "\n"
    )
    options = ["--artifact", str(folder / "artifact"), "--out", str(folder / "out.npz"), *given]
    monkeypatch.setattr("sys.argv", ["scored.py", *options])
    scored.main()
    return folder / "out.npz"


def test_a_case_is_one_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--cases", str(tmp_path / "cases.jsonl"), "--files", str(tmp_path / "files.jsonl")]
    (sample,) = load(samples(tmp_path, monkeypatch, *given))
    assert (sample.language, sample.kind) == ("python", "line")
    assert sample.tokens[-1] == FORM.stop_ids[0]
    assert 0 < sample.prompt < len(sample.tokens) - 1


def test_cases_have_to_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        samples(tmp_path, monkeypatch)
    assert "say either --suite or --cases" in capsys.readouterr().err
