"""The packed extension in a real VS Code: what stands in its window, in the file and on the wire.

Most tests use a server that answers as they say, by the line before the cursor.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flash_ls import __version__
from tests.editors.code_server import HOME, ROOT, VSIX, missing
from tests.editors.script import SILENT, Answer, Script
from tests.editors.vscode import ACCEPT, ASK, DISMISS, LINE, MENU, STATUS_ITEM, SUITE, UNDO, WORD, View, VSCode
from tests.lsp_client import python_module

INLINE = "textDocument/inlineCompletion"
SETUP = str(ROOT / "scripts" / "setup_vscode.py")
SAID = {"state": "ready", "reason": "unsure", "message": "A sentence from the server."}
OLD = {"name": "flash-ls", "version": "0.0.1"}
SAYS = [{"method": "flashLs/status", "params": SAID}]
SUITE_TESTS = re.findall(r'^test\("(.+?)"', (SUITE / "tests.js").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def vscode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VSCode]:
    if reason := missing():
        pytest.skip(reason)
    with VSCode(tmp_path_factory.mktemp("vscode")) as vscode:
        yield vscode


class Stage:
    """The window, a server that follows a script, and a folder of files that are edited."""

    def __init__(self, vscode: VSCode, folder: Path) -> None:
        self.vscode = vscode
        self.folder = folder
        self.script = Script(folder / "server", encoding="utf-16", says=SAYS, told={})
        self._numbers = itertools.count()
        (folder / "work").mkdir()

    def begin(self, text: str = "", answers: dict[str, str | Answer] | None = None) -> Path:
        """A new file with that text, open in the window and in the server."""
        self.script.play({})
        new = self.vscode.show(self.folder / "work", {"flashLs.server.command": self.script.command})
        self.await_ready()
        self.script.forget()
        path = self.folder / "work" / f"file{next(self._numbers)}.py"
        self.vscode.open(path, text)
        self.vscode.wait_until(lambda: self.knows(path), f"the server does not get {path.name}")
        if new:
            self.await_asking()
        self.script.play(answers or {})
        return path

    def await_asking(self) -> None:
        """Until VS Code listens to the keys in its editor, and nothing it asked is without an answer."""

        def asks(view: View) -> bool:
            self.vscode.press(ASK)
            return bool(self.script.heard(INLINE))

        self.vscode.wait(asks, "the server is not asked")
        self.script.forget()

    def await_ready(self) -> None:
        self.vscode.wait(lambda view: "ready" in view.status, "the server is not ready")

    def knows(self, path: Path) -> bool:
        opened = self.script.heard("textDocument/didOpen")
        return any(document["textDocument"]["uri"].endswith(path.name) for document in opened)

    def await_message(self, method: str, times: int = 1) -> Any:
        self.vscode.wait_until(lambda: len(self.script.heard(method)) >= times, f"the server does not get {method}")
        return self.script.heard(method)[-1]

    def await_ghost(self, text: str) -> View:
        return self.vscode.wait(lambda view: view.ghost == text, f"{text!r} is not suggested")

    def await_lines(self, *lines: str) -> View:
        return self.vscode.wait(lambda view: view.lines == list(lines), f"the file is not {lines}")


@pytest.fixture(scope="module")
def shared_stage(vscode: VSCode, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(vscode, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def stage(shared_stage: Stage, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """The window that most tests have in common, each with a file of its own."""
    yield shared_stage
    shared_stage.vscode.press("Escape", "Escape")


@pytest.fixture
def own_stage(vscode: VSCode, tmp_path: Path) -> Iterator[Stage]:
    """A window of the test's own, for what the others would suffer from."""
    yield Stage(vscode, tmp_path)
    vscode.leave()


# --- the package ---


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


@pytest.fixture(scope="module")
def results(vscode: VSCode, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the tests in the host ended with, by their names."""
    folder = tmp_path_factory.mktemp("suite")
    script = Script(folder, encoding="utf-16", says=SAYS, told=SAID)
    for name in ("one", "two"):
        (folder / name).mkdir()
    workspace = folder / "suite.code-workspace"
    workspace.write_text(json.dumps({"folders": [{"path": "one"}, {"path": "two"}]}))
    vscode.leave()
    vscode.server.configure({"flashLs.server.command": script.command})
    vscode.run_suite(workspace)
    lines = (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return {result["name"]: result for result in map(json.loads, lines)}


@pytest.mark.parametrize("name", SUITE_TESTS)
def test_in_the_host(results: dict[str, dict[str, Any]], name: str) -> None:
    assert "error" not in results[name], results[name]["error"]


# --- suggestions ---


def test_a_suggestion_is_in_the_window_and_not_in_the_file(stage: Stage) -> None:
    path = stage.begin("\nlast = 1\n", {"ret": "urn [\n    x,\n]"})
    stage.vscode.type("ret")
    view = stage.await_ghost("urn [\n    x,\n]")
    assert view.lines == ["ret", "last = 1", ""]
    assert stage.vscode.saved(path) == "ret\nlast = 1\n"


def test_tab_accepts_and_doubles_no_bracket(stage: Stage) -> None:
    path = stage.begin("", {"print(na": {"texts": ["me, end)"], "range": [0, 1]}})
    stage.vscode.type("print(na")
    assert stage.await_ghost("me, end").lines == ["print(na)"]
    stage.vscode.press(ACCEPT)
    assert stage.await_lines("print(name, end)").ghost == ""
    assert stage.vscode.saved(path) == "print(name, end)"


def test_words_and_lines_are_accepted_one_by_one(stage: Stage) -> None:
    stage.begin("", {"x": "yz(one, two)\nthree\nfour"})
    stage.vscode.type("x")
    stage.await_ghost("yz(one, two)\nthree\nfour")
    stage.vscode.press(WORD)
    stage.await_lines("xyz")
    stage.await_ghost("(one, two)\nthree\nfour")
    stage.vscode.press(LINE)
    stage.await_lines("xyz(one, two)", "")


def test_escape_dismisses_and_the_next_key_asks_again(stage: Stage) -> None:
    stage.begin("", {"a": "bc", "ab": "cd"})
    stage.vscode.type("a")
    stage.await_ghost("bc")
    stage.vscode.press(DISMISS)
    assert stage.await_ghost("").lines == ["a"]
    stage.vscode.type("b")
    stage.await_ghost("cd")


def test_one_undo_restores_what_was_typed(stage: Stage) -> None:
    stage.begin("first\n", {"ab": "cd\nef"})
    stage.vscode.press("Control+End")
    stage.vscode.type("ab")
    stage.await_ghost("cd\nef")
    stage.vscode.press(ACCEPT)
    stage.await_lines("first", "abcd", "ef")
    stage.vscode.press(UNDO)
    stage.await_lines("first", "ab")


def test_what_does_not_agree_goes(stage: Stage) -> None:
    stage.begin("", {"a": "bcd", "*": SILENT})
    stage.vscode.type("a")
    stage.await_ghost("bcd")
    stage.vscode.type("b")
    stage.await_ghost("cd")
    stage.vscode.type("x")
    assert stage.await_ghost("").lines == ["abx"]


def test_a_suggestion_goes_on_from_the_row_of_the_menu(stage: Stage) -> None:
    answers: dict[str, str | Answer] = {
        "dep": {"texts": ["depositor(amount)"], "range": [-3, 0]},
        "depositor": "(amount)",
    }
    stage.begin("depositor = 1\n", answers)
    stage.vscode.press("Control+End")
    stage.vscode.type("dep")
    stage.await_ghost("ositor(amount)")
    stage.vscode.press(MENU)
    stage.vscode.wait(lambda view: any("depositor" in row for row in view.popup), "there is no menu")
    stage.await_ghost("ositor(amount)")
    told = [asked["context"].get("selectedCompletionInfo") for asked in stage.script.heard(INLINE)]
    assert [info["text"] for info in told if info] == ["depositor"]
    stage.vscode.press(ACCEPT)
    stage.await_lines("depositor = 1", "depositor")
    stage.await_ghost("(amount)")
    stage.vscode.press(ACCEPT)
    stage.await_lines("depositor = 1", "depositor(amount)")


def test_emoji_umlauts_and_line_ends_of_windows(stage: Stage) -> None:
    path = stage.begin("s = '😀ö'\r\n", {"t = '😀ö": {"texts": ["ß'\nu"], "range": [0, 1]}})
    stage.vscode.press("Control+End")
    stage.vscode.type("t = '😀ö")
    stage.await_ghost("ß\nu")
    stage.vscode.press(ACCEPT)
    stage.await_lines("s = '😀ö'", "t = '😀öß'", "u")
    assert stage.vscode.saved(path) == "s = '😀ö'\r\nt = '😀öß'\r\nu"


def test_who_asks_gets_several(stage: Stage) -> None:
    stage.begin("a", {"a": {"texts": ["1", "2", "3"]}})
    stage.vscode.press("Control+End", ASK)
    stage.await_ghost("1")
    stage.vscode.press("Alt+]")
    stage.await_ghost("2")
    assert stage.script.heard(INLINE)[0]["context"]["triggerKind"] == 1


# --- the status bar and its menu ---


def test_the_status_bar_tells_a_reader_of_the_screen_what_is(stage: Stage) -> None:
    stage.begin()
    stage.vscode.wait(lambda view: "ready" in view.status and SAID["message"] in view.status)


def test_the_menu_turns_suggestions_off_and_on(stage: Stage) -> None:
    path = stage.begin("", {"a": "bc", "xyz": "!"})
    stage.vscode.click(STATUS_ITEM)
    view = stage.vscode.wait(lambda view: len(view.picks) > 5, "the menu does not open")
    for words in ("off", "python", path.name, "Why", "log", "Restart"):
        assert any(words in row for row in view.picks), view.picks
    stage.vscode.choose("Turn off")
    stage.vscode.wait(lambda view: "off" in view.status, "the status bar does not say that it is off")
    stage.vscode.type("x")
    stage.await_lines("x")
    stage.vscode.click(STATUS_ITEM)
    stage.vscode.choose("Turn on")
    stage.vscode.wait(lambda view: "ready" in view.status, "the status bar does not say that it is on")
    stage.vscode.type("yz")
    stage.await_ghost("!")
    assert min(asked["position"]["character"] for asked in stage.script.heard(INLINE)) > 1


# --- what goes wrong ---


def test_a_server_that_is_not_there(own_stage: Stage) -> None:
    own_stage.vscode.show(own_stage.folder / "work", {"flashLs.server.command": ["/nowhere/flash-ls"]})
    view = own_stage.vscode.wait(lambda view: bool(view.notices), "nothing is said")
    assert any("/nowhere/flash-ls" in notice for notice in view.notices)
    own_stage.vscode.wait(lambda view: "error" in view.status, "the status bar does not say so")


def test_a_server_of_another_version(own_stage: Stage) -> None:
    own_stage.script = Script(own_stage.folder / "old", encoding="utf-16", says=SAYS, info=OLD)
    own_stage.begin()
    own_stage.vscode.wait(lambda view: any("0.0.1" in notice for notice in view.notices), "nothing is said")


def test_a_server_that_dies_is_started_again(own_stage: Stage) -> None:
    own_stage.begin("", {"d": {"dies": True}, "a": "bc"})
    own_stage.vscode.type("d")
    own_stage.await_message("initialize")
    own_stage.await_ready()
    own_stage.vscode.type("\n")
    own_stage.vscode.type("a")
    own_stage.await_ghost("bc")


def test_a_server_that_dies_again_and_again_is_told_of_once(own_stage: Stage) -> None:
    own_stage.begin("", {"*": {"dies": True}})
    for starts in range(1, 4):
        own_stage.vscode.type("x")
        own_stage.await_message("initialize", starts)
        own_stage.await_ready()
    own_stage.vscode.type("x")
    view = own_stage.vscode.wait(lambda view: "Restart" in view.buttons, "nobody is asked what to do")
    assert len(view.notices) == 1
    own_stage.script.play({"a": "bc"})
    own_stage.script.forget()
    own_stage.vscode.click('.notification-list-item .monaco-button:has-text("Restart")')
    own_stage.await_message("initialize")
    own_stage.await_ready()
    own_stage.vscode.press("Control+1", "Control+End")
    own_stage.vscode.type("\na")
    own_stage.await_ghost("bc")


def test_what_is_known_later_replaces_what_is_shown(own_stage: Stage) -> None:
    command = ["env", f"FLASH_LS_HOME={own_stage.folder}", *python_module("tests.fake_server", "ready")]
    own_stage.vscode.show(own_stage.folder / "work", {"flashLs.server.command": command})
    own_stage.vscode.open(own_stage.folder / "work" / "a.txt")
    own_stage.await_ready()
    own_stage.vscode.type("LINES")
    own_stage.await_ghost("LINES|")


# --- the installation ---


FAKE_PYTHON = """#!/bin/sh
case "$*" in
    -c*) echo {version} ;;
    "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; sleep {seconds} ;;
    "-m pip"*) printf '#!/bin/sh\\nexec {command}\\n' >"${{0%/*}}/flash-ls"; chmod +x "${{0%/*}}/flash-ls" ;;
esac
"""
"""A Python of some version that makes environments in so many seconds, and installs the scripted server."""
INSTALL = '.notification-list-item .monaco-button:has-text("Install")'
CANCEL = '.notification-list-item .monaco-button:has-text("Cancel")'


def offered(stage: Stage, version: str = "3.12", seconds: int = 0) -> Path:
    """A window without a server, in which its installation is offered; the folder of what is installed."""
    python = stage.folder / "python"
    python.write_text(FAKE_PYTHON.format(version=version, seconds=seconds, command=" ".join(stage.script.command)))
    python.chmod(0o755)
    storage = stage.vscode.home / "data" / "User" / "globalStorage" / "flash-ls.flash-ls"
    shutil.rmtree(storage, ignore_errors=True)
    stage.vscode.show(stage.folder / "work", {"flashLs.server.python": str(python)})
    stage.vscode.wait(lambda view: any("Install" in button for button in view.buttons), "nothing is offered")
    return storage / f"server-{__version__}"


def test_the_server_is_installed_and_started(own_stage: Stage) -> None:
    own_stage.script.play({"a": "bc"})
    folder = offered(own_stage)
    own_stage.vscode.click(INSTALL)
    own_stage.await_ready()
    own_stage.vscode.open(own_stage.folder / "work" / "a.py")
    own_stage.await_asking()
    own_stage.vscode.type("a")
    own_stage.await_ghost("bc")
    assert (folder / "bin" / "flash-ls").exists()


def test_an_installation_that_is_cancelled_leaves_nothing(own_stage: Stage) -> None:
    folder = offered(own_stage, seconds=600)
    own_stage.vscode.click(INSTALL)
    own_stage.vscode.wait_until(folder.exists, "the installation does not begin")
    own_stage.vscode.wait(lambda view: "Cancel" in view.buttons, "it cannot be cancelled")
    own_stage.vscode.click(CANCEL)
    own_stage.vscode.wait_until(lambda: not folder.exists(), "something is left")


def test_a_python_that_is_too_old(own_stage: Stage) -> None:
    folder = offered(own_stage, version="3.9")
    own_stage.vscode.click(INSTALL)
    own_stage.vscode.wait(lambda view: any("3.11" in notice for notice in view.notices), "nothing is said")
    assert not folder.exists()
