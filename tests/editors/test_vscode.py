"""The extension as it is packed, and through the API of VS Code, in its host."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flash_ls import __version__
from tests.editors import again
from tests.editors.code_server import HOME, ROOT, VSIX
from tests.editors.script import Script
from tests.editors.vscode import SUITE, VSCode
from tests.editors.vscode_stage import SAID, SAYS

SETUP = str(ROOT / "scripts" / "setup_vscode.py")
SUITE_TESTS = re.findall(r'^test\("(.+?)"', (SUITE / "tests.js").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_package_has_what_runs_and_no_more(vscode: VSCode) -> None:
    with zipfile.ZipFile(VSIX) as package:
        names = package.namelist()
    assert "extension/dist/extension.js" in names
    assert f"extension/dist/server/flash_ls-{__version__}-py3-none-any.whl" in names
    assert not [name for name in names if re.search(r"/(node_modules|src|test|scripts)/|\.map$", name)]


def run_setup(path: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path, "FLASH_LS_HOME": str(home)}
    return subprocess.run([sys.executable, SETUP], env=environment, capture_output=True, text=True)


def test_the_setup_says_in_a_sentence_what_it_lacks(tmp_path: Path) -> None:
    done = run_setup("/nowhere", tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"The tests of the VS Code extension are skipped: .*npm.*\.\n", done.stderr)


def test_the_setup_begins_again_what_was_interrupted(tmp_path: Path) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho npm error no registry >&2\nexit 1\n")
    npm.chmod(0o755)
    for _ in range(2):
        done = run_setup(f"{tmp_path}:/usr/bin:/bin", tmp_path / "home")
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "no registry" in done.stderr


def test_the_setup_does_nothing_where_all_is_there(vscode: VSCode) -> None:
    done = run_setup(os.environ["PATH"], HOME)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- in the extension's host ---


Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def results(vscode: VSCode, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the tests in the host ended with, by their names; if one fails all are run once more, for those that did."""
    first = run_suite(vscode, tmp_path_factory.mktemp("suite"))
    failed = [result for result in first.values() if "error" in result]
    for result in failed:
        again.note(request.config, result["name"], result["error"].splitlines()[0])
    second = run_suite(vscode, tmp_path_factory.mktemp("suite")) if failed else {}
    return first | {result["name"]: second[result["name"]] for result in failed}


def run_suite(vscode: VSCode, folder: Path) -> Results:
    script = Script(folder, encoding="utf-16", says=SAYS, told=SAID, commands={"stats": {"page": "<h1>42</h1>"}})
    for name in ("one", "two", "three"):
        (folder / name).mkdir()
    workspace = folder / "suite.code-workspace"
    workspace.write_text(json.dumps({"folders": [{"path": "one"}, {"path": "two"}]}))
    vscode.driver.ask("goto", "about:blank")  # the window before it shall not see these settings
    vscode.leave()
    vscode.server.configure({"flashLs.server.command": script.command})
    vscode.run_suite(workspace)
    lines = (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return {result["name"]: result for result in map(json.loads, lines)}


@pytest.mark.parametrize("name", SUITE_TESTS)
def test_in_the_host(results: dict[str, dict[str, Any]], name: str) -> None:
    assert "error" not in results[name], results[name]["error"]
