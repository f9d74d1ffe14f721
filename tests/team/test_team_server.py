"""What a user sees whose model is on a team's server: real servers over stdio, and the command line."""

import shutil
import socket
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from flash_ls.cli import main
from flash_ls.completer import Completer, Watch
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.source_file import snapshot_of_file
from tests.lsp_client import LspProcess, flash_ls
from tests.team.toy_team import TOKEN, ToyTeam
from tests.typist import Typist

TEXT = "def total(self):\n    return self\n\n\nprint"
OPTIONS = {"min_confidence": 0.0, "statistics": False}
WAIT_S = 60.0


def start(url: str, model: Path) -> LspProcess:
    client = LspProcess(flash_ls(), WAIT_S)
    client.initialize(options=OPTIONS | {"model": str(model), "engine_url": url})
    client.wait_until(lambda: any("load reason=" in line for line in client.log) or bool(boxes(client)))
    return client


def boxes(client: LspProcess) -> list[str]:
    return [said["message"] for said in client.heard("window/showMessage")]


def typist(client: LspProcess) -> Typist:
    return Typist(client, "file:///a.py", TEXT, len(TEXT), "python")


def test_suggestions_are_those_of_the_model_here(team: ToyTeam, toy_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(TEXT, encoding="utf-8")
    snapshot = snapshot_of_file(file, 4, 5, 1000)
    completer = Completer(team.beside(), team.described.prompt, Config(min_confidence=0.0))
    here = completer.unasked(snapshot, Deadline(), Watch())
    with start(team.url, toy_folder) as client:
        there = typist(client).ask()
        assert there.shown == here.text
        assert here.stats is not None
        assert there.prompt_tokens == here.stats.prompt_tokens
    assert {account.outcome for account in team.accounts} <= {"done", "cancelled"}


def test_a_server_that_is_away_costs_suggestions_and_no_box(team: ToyTeam, toy_folder: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    with start(f"http://127.0.0.1:{port}", toy_folder) as client:
        assert typist(client).ask().reason == "away"
        assert not boxes(client)
        assert client.process.poll() is None


def test_a_server_that_comes_back_is_used(team: ToyTeam, toy_folder: Path) -> None:
    team.statuses = [500] * 4
    with start(team.url, toy_folder) as client:
        first = typist(client)
        assert first.ask().reason == "away"
        assert first.ask().prompt_tokens
        assert not boxes(client)


def test_who_is_not_let_in_is_told_why(team: ToyTeam, toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASH_LS_ENGINE_TOKEN", TOKEN + "x")
    with start(team.url, toy_folder) as client:
        (said,) = boxes(client)
        assert "does not know your token" in said


def test_another_artifact_is_told(team: ToyTeam, toy_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_folder, tmp_path / "other")
    replace(team.described, revision="another").write(tmp_path / "other")
    with start(team.url, tmp_path / "other") as client:
        (said,) = boxes(client)
        assert "yours is another" in said


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


def test_without_ray_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "flash_ls.team.deployment", raising=False)
    assert run("serve") == 2
    assert "pip install 'flash-ls[serve]'" in capsys.readouterr().err
