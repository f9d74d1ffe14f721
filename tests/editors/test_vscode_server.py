"""The server of a real VS Code: missing, of another version, crashing, installed, and the model that it builds."""

import shutil
from pathlib import Path

from flash_ls import __version__
from tests.editors.script import Script
from tests.editors.vscode import CANCEL, INSTALL, RESTART
from tests.editors.vscode_stage import SAYS, Stage
from tests.lsp_client import python_module

OLD = {"name": "flash-ls", "version": "0.0.1"}


# --- what goes wrong ---


def test_a_server_that_is_not_there(own_window: Stage) -> None:
    own_window.vscode.show(own_window.folder / "work", {"flashLs.server.command": ["/nowhere/flash-ls"]})
    view = own_window.vscode.wait(lambda view: bool(view.notices), "nothing is said")
    assert any("/nowhere/flash-ls" in notice for notice in view.notices)
    own_window.vscode.wait(lambda view: "error" in view.status, "the status bar does not say so")


def test_a_server_of_another_version(own_window: Stage) -> None:
    own_window.script = Script(own_window.folder / "old", encoding="utf-16", says=SAYS, info=OLD)
    own_window.begin()
    own_window.vscode.wait(lambda view: any("0.0.1" in notice for notice in view.notices), "nothing is said")


def test_a_server_that_dies_is_started_again(own_window: Stage) -> None:
    own_window.begin("", {"d": {"dies": True}, "a": "bc"})
    own_window.vscode.type("d")
    own_window.await_message("initialize")
    own_window.await_ready()
    own_window.vscode.type("\n")
    own_window.vscode.type("a")
    own_window.await_ghost("bc")


def test_a_server_that_dies_again_and_again_is_told_of_once(own_window: Stage) -> None:
    own_window.begin("", {"*": {"dies": True}})
    for starts in range(1, 4):
        own_window.vscode.type("x")
        own_window.await_message("initialize", starts)
        own_window.await_ready()
    own_window.vscode.type("x")
    view = own_window.vscode.wait(lambda view: "Restart" in view.buttons, "nobody is asked what to do")
    assert len(view.notices) == 1
    own_window.script.play({"a": "bc"})
    own_window.script.forget()
    own_window.vscode.click(RESTART)
    own_window.await_message("initialize")
    own_window.await_ready()
    own_window.vscode.press("Control+1", "Control+End")
    own_window.vscode.type("\na")
    own_window.await_ghost("bc")


def test_what_is_known_later_replaces_what_is_shown(own_window: Stage) -> None:
    command = ["env", f"FLASH_LS_HOME={own_window.folder}", *python_module("tests.fake_server", "ready")]
    own_window.vscode.show(own_window.folder / "work", {"flashLs.server.command": command})
    own_window.vscode.open(own_window.folder / "work" / "a.txt")
    own_window.await_ready()
    own_window.vscode.type("LINES")
    own_window.await_ghost("LINES|")


# --- the installation ---


FAKE_PYTHON = """#!/bin/sh
case "$*" in
    -c*) echo {version} ;;
    "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; sleep {seconds} ;;
    "-m pip"*) printf '#!/bin/sh\\nexec {command}\\n' >"${{0%/*}}/flash-ls"; chmod +x "${{0%/*}}/flash-ls" ;;
esac
"""
"""A Python of some version that makes environments in so many seconds, and installs the scripted server."""


def offered(window: Stage, version: str = "3.12", seconds: int = 0) -> Path:
    """A window without a server, in which its installation is offered; the folder of what is installed."""
    python = window.folder / "python"
    python.write_text(FAKE_PYTHON.format(version=version, seconds=seconds, command=" ".join(window.script.command)))
    python.chmod(0o755)
    storage = window.vscode.home / "data" / "User" / "globalStorage" / "flash-ls.flash-ls"
    shutil.rmtree(storage, ignore_errors=True)
    window.vscode.show(window.folder / "work", {"flashLs.server.python": str(python)})
    window.vscode.wait(lambda view: any("Install" in button for button in view.buttons), "nothing is offered")
    return storage / f"server-{__version__}"


def test_the_server_is_installed_and_started(own_window: Stage) -> None:
    own_window.script.play({"a": "bc"})
    folder = offered(own_window)
    own_window.vscode.click(INSTALL)
    own_window.await_ready()
    own_window.vscode.open(own_window.folder / "work" / "a.py")
    own_window.await_asking()
    own_window.vscode.type("a")
    own_window.await_ghost("bc")
    assert (folder / "bin" / "flash-ls").exists()


def test_an_installation_that_is_cancelled_leaves_nothing(own_window: Stage) -> None:
    folder = offered(own_window, seconds=600)
    own_window.vscode.click(INSTALL)
    own_window.vscode.wait_until(folder.exists, "the installation does not begin")
    own_window.vscode.wait(lambda view: "Cancel" in view.buttons, "it cannot be cancelled")
    own_window.vscode.click(CANCEL)
    own_window.vscode.wait_until(lambda: not folder.exists(), "something is left")


def test_a_python_that_is_too_old(own_window: Stage) -> None:
    folder = offered(own_window, version="3.9")
    own_window.vscode.click(INSTALL)
    own_window.vscode.wait(lambda view: any("3.11" in notice for notice in view.notices), "nothing is said")
    assert not folder.exists()
