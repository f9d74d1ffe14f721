"""Nothing leaves the machine, of ours or of what we run on."""

import os
import subprocess
import sys
from pathlib import Path

from tests.toy_model import write_artifact

ROOT = Path(__file__).resolve().parents[1]
USE = """
from pathlib import Path
from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.model import OnnxModel
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
