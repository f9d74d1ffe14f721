"""The server that the extension for VS Code installs, by a Python and a pip that do as a test says."""

import shutil
from pathlib import Path

import pytest

from flash_ls import __version__
from tests.editors.neovim import is_running
from tests.editors.vscode import CANCEL, INSTALL, STATUS_ITEM, button
from tests.editors.vscode_stage import Stage

OLD = {"name": "flash-ls", "version": "0.0.1"}
FAKE_PYTHON = """#!/bin/sh
cd {folder}
echo "$*" >>ran
case "$*" in
    -c*) echo {version}; exit {code} ;;
    "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip"*)
        echo $$ >pip
        echo Collecting numpy
        until [ -e go ]; do sleep 0.1; done
        [ -e broken ] && echo "ERROR: No matching distribution" && exit 1
        printf '#!/bin/sh\\nexec {command}\\n' >"${{0%/*}}/flash-ls"
        chmod +x "${{0%/*}}/flash-ls" ;;
esac
"""
"""A Python of some version, without what makes environments if its code is not 0. What it ran is in the file `ran`. Its
pip installs the scripted server once the file `go` is there, unless one `broken` is."""


class Python:
    """Such a Python, and what it was asked."""

    def __init__(self, window: Stage, path: Path | None = None, version: str = "3.12", code: int = 0) -> None:
        self.folder = window.folder
        self.path = path or window.folder / "python"
        command = " ".join(window.script.command)
        self.path.write_text(FAKE_PYTHON.format(folder=self.folder, version=version, code=code, command=command))
        self.path.chmod(0o755)

    def let_go(self) -> None:
        (self.folder / "go").touch()

    def ran(self, module: str) -> list[str]:
        """The words of each `python -m` with it."""
        return [line for line in (self.folder / "ran").read_text().splitlines() if line.startswith(f"-m {module}")]


def storage(window: Stage) -> Path:
    return window.vscode.home / "data" / "User" / "globalStorage" / "flash-ls.flash-ls"


def show_offer(window: Stage, folder: Path, python: str | Path) -> None:
    window.vscode.show(folder, {"flashLs.server.python": str(python)})
    await_offer(window)


def await_offer(window: Stage) -> None:
    window.vscode.wait(lambda view: "Install" in view.buttons, "nothing is offered")


def ask_for_offer(window: Stage) -> None:
    """By the menu: a notice goes after a while."""
    window.vscode.click(STATUS_ITEM)
    window.vscode.choose("Install the server")
    await_offer(window)


def begin(window: Stage, python: str | Path) -> Path:
    """A window without a server, in which its installation is offered and accepted; the folder of what is installed."""
    shutil.rmtree(storage(window), ignore_errors=True)
    show_offer(window, window.folder / "work", python)
    window.vscode.click(INSTALL)
    return storage(window) / f"server-{__version__}"


def test_the_server_is_installed_and_started(own_window: Stage) -> None:
    own_window.script.play({"a": "bc"})
    python = Python(own_window)
    folder = begin(own_window, python.path)
    own_window.await_notice("looking for numpy")
    assert own_window.script.heard("initialize") == []
    python.let_go()
    own_window.await_ready()
    own_window.vscode.open(own_window.folder / "work" / "a.py")
    own_window.await_asking()
    own_window.vscode.type("a")
    own_window.await_ghost("bc")
    assert (folder / "bin" / "flash-ls").exists()
    (pip,) = python.ran("pip")
    assert pip.endswith(f"flash_ls-{__version__}-py3-none-any.whl[model]")


def test_two_windows_install_one_server(own_window: Stage) -> None:
    python = Python(own_window)
    begin(own_window, python.path)
    own_window.await_notice("looking for numpy")
    own_window.vscode.turn_to(1)
    (own_window.folder / "other").mkdir()
    show_offer(own_window, own_window.folder / "other", python.path)
    own_window.vscode.click(INSTALL)
    own_window.await_notice("another window installs the server")
    python.let_go()
    own_window.await_ready()
    own_window.vscode.close_window()
    own_window.await_ready()
    assert len(python.ran("venv")) == len(python.ran("pip")) == 1
    assert len(own_window.script.heard("initialize")) == 2


def test_an_installation_that_is_cancelled_leaves_nothing_and_may_begin_again(own_window: Stage) -> None:
    python = Python(own_window)
    folder = begin(own_window, python.path)
    own_window.await_notice("looking for numpy")
    own_window.vscode.click(CANCEL)
    own_window.vscode.wait_until(lambda: not folder.exists(), "something is left")
    python.let_go()
    ask_for_offer(own_window)
    own_window.vscode.click(INSTALL)
    own_window.await_ready()


def test_a_window_that_is_closed_ends_what_it_installs_and_the_next_begins_again(own_window: Stage) -> None:
    python = Python(own_window)
    begin(own_window, python.path)
    own_window.await_notice("looking for numpy")
    (own_window.folder / "other").mkdir()
    show_offer(own_window, own_window.folder / "other", python.path)
    pip = int((own_window.folder / "pip").read_text())
    own_window.vscode.wait_until(lambda: not is_running(pip), "it goes on")
    python.let_go()
    own_window.vscode.click(INSTALL)
    own_window.await_ready()


def test_an_installation_that_fails_says_why_and_may_be_tried_again(own_window: Stage) -> None:
    python = Python(own_window)
    python.let_go()
    (own_window.folder / "broken").touch()
    folder = begin(own_window, python.path)
    own_window.await_notice("No matching distribution")
    assert not folder.exists()
    (own_window.folder / "broken").unlink()
    own_window.vscode.click(button("Try Again"))
    own_window.await_ready()


def test_a_server_of_its_own_that_is_of_another_version_is_installed_anew(own_window: Stage) -> None:
    own_window.script.server["info"] = OLD
    own_window.script.play({})
    python = Python(own_window)
    python.let_go()
    begin(own_window, python.path)
    own_window.await_notice("the server is version 0.0.1")
    own_window.script.server["info"] = {**OLD, "version": __version__}
    own_window.script.play({})
    own_window.vscode.click(button("Reinstall"))
    own_window.await_message("initialize", 2)
    own_window.await_ready()
    assert len(python.ran("venv")) == 2


def test_the_first_python_that_is_new_enough_is_taken(own_window: Stage) -> None:
    """`python3` comes first, `python3.14` second."""
    programs = own_window.vscode.server.programs
    old, new = (
        Python(own_window, programs / name, version) for name, version in (("python3", "3.9"), ("python3.14", "3.14"))
    )
    new.let_go()
    try:
        begin(own_window, "")
        own_window.await_ready()
    finally:
        old.path.unlink()
        new.path.unlink()


@pytest.mark.parametrize(
    ("version", "code", "said"),
    [("3.9", 0, "is Python 3.9; install Python 3.11 or newer"), ("3.12", 1, "on Debian install python3.12-venv")],
)
def test_a_python_that_cannot_be_used(own_window: Stage, version: str, code: int, said: str) -> None:
    folder = begin(own_window, Python(own_window, version=version, code=code).path)
    own_window.await_notice(said)
    assert not folder.exists()


def test_a_python_that_is_not_there(own_window: Stage) -> None:
    begin(own_window, "/nowhere/python")
    own_window.await_notice("/nowhere/python, which does not start; correct it in your settings")


def test_a_folder_that_cannot_be_written(own_window: Stage) -> None:
    shutil.rmtree(storage(own_window), ignore_errors=True)
    storage(own_window).touch()
    try:
        show_offer(own_window, own_window.folder / "work", Python(own_window).path)
        own_window.vscode.click(INSTALL)
        own_window.await_notice("cannot be written; mend its permissions")
    finally:
        storage(own_window).unlink()
