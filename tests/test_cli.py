"""The command line as people use it, with the toy model: answers, and one clear sentence for everything wrong."""

import json
import re
import time
from pathlib import Path

import pytest

from flash_ls.cli import main
from flash_ls.deadline import Spent
from flash_ls.engine import manifest
from flash_ls.outcomes import Record
from flash_ls.presence import Presence, folder_in
from flash_ls.statistics import Statistics
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


def test_status_where_nothing_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 0
    assert "No flash-ls of yours is running" in capsys.readouterr().out
    assert run("status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert not home.exists()


def test_status_of_a_server(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    presence = Presence(folder_in(home))
    presence.write({"state": "loading", "message": "It loads.", "model": "toy"})
    assert run("status") == 0
    assert "loading: It loads." in capsys.readouterr().out
    assert run("status", "--json") == 0
    assert [report["model"] for report in json.loads(capsys.readouterr().out)] == ["toy"]
    presence.remove()


def counted(home: Path) -> None:
    statistics = Statistics(home)
    statistics.add(Record(time.time(), "python", "line", 12, 12, "accepted", 80.0, 0.65))
    statistics.spent(time.time(), Spent(cpu_ms=3_600_000))
    statistics.flush()


def test_stats_are_a_page(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counted(home)
    assert run("stats") == 0
    path, told = capsys.readouterr().out.strip().split("\n")
    assert Path(path).is_relative_to(home)
    assert "python" in Path(path).read_text()
    assert "browser" in told
    other = tmp_path / "new" / "page.html"
    assert run("stats", "--out", str(other), "--watts", "20", "--price", "0.5") == 0
    assert "20 W" in other.read_text()
    assert "0.50 EUR" in other.read_text()


def test_stats_as_numbers(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counted(home)
    assert run("stats", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["total"]["outcome/python/accepted"] == 1
    assert list(told["days"].values()) == [told["total"]]


def test_stats_are_deleted_with_their_page(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counted(home)
    run("stats")
    capsys.readouterr()
    assert run("stats", "--delete") == 0
    assert "flashLs.statistics" in capsys.readouterr().out
    assert not [path for path in home.rglob("*") if path.suffix in (".json", ".html")]
    assert Statistics(home).load() == {}
    assert run("stats", "--delete") == 0


def test_stats_that_cannot_be_written_or_deleted(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("stats", "--out", str(tmp_path)) == 2
    assert "--out" in sentence(capsys)
    (home / "statistics.json").mkdir(parents=True)
    assert run("stats", "--delete") == 2
    assert "by hand" in sentence(capsys)
    assert run("stats") == 0


@pytest.mark.parametrize("arguments", [["--watts", "-1"], ["--price", "nan"], ["--json", "--delete"]])
def test_stats_of_nonsense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stats", *arguments) == 2
    assert "error:" in capsys.readouterr().err
