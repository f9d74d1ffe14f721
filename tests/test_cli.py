"""The command line as people use it, with the toy model: answers, and one clear sentence for everything wrong."""

import json
import re
from pathlib import Path

import pytest

from flash_ls.cli import main
from flash_ls.engine import manifest
from tests.toy_model import write_artifact


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("cli") / "toy"
    write_artifact(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What stderr ends with, which has to be one sentence of ours."""
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last.startswith("flash-ls: ")
    assert last.endswith(".")
    return last


def test_complete_prints_json(toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\ny = x\n")
    assert run("complete", f"{file}:2:6", "--json", "--model", toy) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["start"] == 11
    assert answer["stats"]["prompt_tokens"] > 5


def test_complete_shows_the_code_around_and_the_cost(
    toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\ny = x\n")
    assert run("complete", f"{file}:2:6", "--model", toy) == 0
    shown = capsys.readouterr().out
    assert "x = 1\ny = x⟦" in shown
    assert "prefill:" in shown


BAD_FILES = {
    "missing.py": (None, "No such file"),
    "folder.py": ("folder", "Is a directory"),
    "binary.py": (b"\x7fELF\0\0", "binary"),
    "latin.py": ("größe".encode("latin-1"), "UTF-8"),
    "large.py": (b"x = 1\n" * 8_400_000, "50 MB"),
    "short.py": (b"x = 1\n", "no place 9:9"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_completed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, said = BAD_FILES[name]
    if content == "folder":
        (tmp_path / name).mkdir()
    elif isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    assert run("complete", f"{tmp_path / name}:9:9") == 2
    assert said in sentence(capsys)


@pytest.mark.parametrize("name", ["empty.py", "unknown.qqq"])
def test_a_file_that_can(name: str, toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).touch()
    assert run("complete", f"{tmp_path / name}:1:1", "--json", "--model", toy) == 0
    assert json.loads(capsys.readouterr().out)["start"] == 0


def test_a_place_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("complete", "file.py") == 2
    assert "is not FILE:LINE:COL" in capsys.readouterr().err


def test_an_unknown_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").touch()
    assert run("complete", f"{tmp_path / 'a.py'}:1:1", "--model", "gpt-9") == 2
    assert "flash, qwen2.5-coder-0.5b-small" in sentence(capsys)


def test_model_list_path_and_verify(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model", "list") == 0
    assert re.search(r"^flash +not built  Apache-2.0", capsys.readouterr().out, re.MULTILINE)
    assert run("model", "path") == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.is_relative_to(home)
    assert run("model", "verify") == 2
    assert str(folder) in sentence(capsys)


def test_build_from_a_wrong_file_leaves_nothing(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong.gguf").write_bytes(b"GGUF")
    assert run("model", "build", "--weights", str(tmp_path / "wrong.gguf")) == 2
    assert "sha256" in sentence(capsys)
    assert [path.name for path in (home / "models").iterdir()] == ["flash.lock"]


def test_the_doctor_times_a_model_and_finds_nothing_wrong(toy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--model", toy) == 0
    shown = capsys.readouterr().out
    assert "tokens/s" in shown
    assert "fp32" in shown
    assert "Nothing is wrong." in shown


def test_the_doctor_names_an_altered_file(toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    altered = tmp_path / "altered"
    write_artifact(altered)
    (altered / manifest.TOKENIZER_FILE).write_text("{}")
    assert run("doctor", "--model", str(altered)) == 1
    assert manifest.TOKENIZER_FILE in capsys.readouterr().out
