"""Nothing leaves the machine, of ours or of what we run on, and no code is kept."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flash_ls import presence
from flash_ls.cli import main
from tests.lsp_client import LspProcess, python_module
from tests.toy_model import write_artifact

ROOT = Path(__file__).resolve().parents[1]
USE = """
from pathlib import Path
from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.onnx_model import OnnxModel
folder = Path({folder!r})
model = OnnxModel(folder, manifest.read(folder), "fp32", threads=1)
model.forward([5, 6, 7], model.new_cache(), 1, Deadline())
"""


def test_running_a_model_leaves_nothing_in_the_users_folder(tmp_path: Path) -> None:
    """ONNX Runtime's releases collect telemetry unless ORT_DISABLE_TELEMETRY is set before they are imported."""
    write_artifact(tmp_path / "toy")
    home = tmp_path / "home"
    home.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    code = USE.format(folder=str(tmp_path / "toy"))
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=inherited | {"HOME": str(home)}, check=True)
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_nothing_of_the_code_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a session in which suggestions are shown, taken, refused and asked about."""
    home = tmp_path / "home"
    monkeypatch.setenv("FLASH_LS_HOME", str(home))
    folder, file = "private_project", "visible_name.py"
    with LspProcess(python_module("tests.fake_server", "ready")) as client:
        client.initialize()
        client.wait_until(lambda: any("reason=ready" in line for line in client.log))
        uri = f"file:///home/{folder}/{file}"
        client.open(uri, "python", "planted_code = 'AKIAQWERTYUIOPASDFGH'\n")
        for number, character in enumerate("planted_word("):
            place = {"line": 1, "character": number}
            client.change(uri, number + 2, [{"range": {"start": place, "end": place}, "text": character}])
            items = client.inline(uri, 1, number + 1)
        client.change(uri, 99, [{"range": items[0]["range"], "text": items[0]["insertText"]}])
        client.request("workspace/executeCommand", {"command": "flashLs.status"})
        _wait_for(home, file)
        while_running = _written(home)
        with pytest.raises(SystemExit):
            main(["status"])
        client.close()
    with pytest.raises(SystemExit):
        main(["stats"])
    kept = while_running + _written(home) + "\n".join(client.log) + capsys.readouterr().out
    assert (home / "statistics.html").exists()
    assert (home / "statistics.json").exists()
    assert file in kept, "only the name"
    assert not [word for word in ("planted", "AKIA", "word(", folder) if word in kept.replace(str(tmp_path), "")]


def _written(folder: Path) -> str:
    """The names and the text of all files."""
    return "\n".join(f"{path.name}\n{path.read_text()}" for path in folder.rglob("*") if path.is_file())


def _wait_for(home: Path, word: str) -> None:
    end = time.monotonic() + 10
    while word not in str(presence.running(presence.folder_in(home))):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)
