"""The server of a real VS Code: missing, of another version, crashing, installed, and the model that it builds."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flash_ls import __version__
from tests.editors.script import Script
from tests.editors.vscode import CANCEL, INSTALL, RESTART, STATUS_ITEM
from tests.editors.vscode_stage import SAYS, Stage
from tests.lsp_client import python_module

OLD = {"name": "flash-ls", "version": "0.0.1"}
ON_THE_PATH = """#!/bin/sh
case "$*" in
    --version) echo {version} ;;
    *) exec {command} "$@" ;;
esac
"""
FAKE_PYTHON = """#!/bin/sh
case "$*" in
    -c*) echo {version} ;;
    "-m venv"*)
        mkdir -p "$3/bin"
        cp "$0" "$3/bin/python"
        echo made >>{made}
        until [ -e {go} ]; do sleep 0.1; done ;;
    "-m pip"*) printf '#!/bin/sh\\nexec {command}\\n' >"${{0%/*}}/flash-ls"; chmod +x "${{0%/*}}/flash-ls" ;;
esac
"""
"""A Python of some version that makes environments once a file is there, and installs the scripted server."""


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


# --- which server ---


@pytest.mark.parametrize(("version", "used"), [(__version__, True), ("0.0.1", False)])
def test_one_on_the_path_is_used_if_it_is_of_the_same_version(own_window: Stage, version: str, used: bool) -> None:
    program = own_window.vscode.server.programs / "flash-ls"
    program.write_text(ON_THE_PATH.format(version=version, command=" ".join(own_window.script.command)))
    program.chmod(0o755)
    try:
        own_window.vscode.show(own_window.folder / "work", {})
        own_window.vscode.wait(lambda view: ("ready" if used else "error") in view.status, "it is another")
    finally:
        program.unlink()
    assert len(own_window.script.heard("initialize")) == used


@pytest.mark.parametrize("trusted", [True, False])
def test_a_workspace_names_the_server_and_the_model_only_if_it_is_trusted(own_window: Stage, trusted: bool) -> None:
    theirs = Script(own_window.folder / "theirs", encoding="utf-16", says=SAYS)
    work = own_window.folder / "work"
    (work / ".vscode").mkdir()
    settings = {"flashLs.server.command": theirs.command, "flashLs.model": "theirs", "flashLs.min_confidence": 0.7}
    (work / ".vscode" / "settings.json").write_text(json.dumps(settings))
    trust = {"security.workspace.trust.enabled": not trusted, "security.workspace.trust.startupPrompt": "never"}
    own_window.vscode.show(work, {**trust, "flashLs.server.command": own_window.script.command})
    own_window.await_ready()
    asked, other = (theirs, own_window.script) if trusted else (own_window.script, theirs)
    (sent,) = asked.heard("initialize")
    options = sent["initializationOptions"]
    assert (options["model"], options["min_confidence"]) == ("theirs" if trusted else "flash", 0.7)
    assert other.heard("initialize") == []


def test_turned_off_from_the_start_there_is_none_until_it_is_turned_on(own_window: Stage) -> None:
    settings = {"flashLs.server.command": own_window.script.command, "flashLs.enabled": False}
    own_window.vscode.show(own_window.folder / "work", settings)
    own_window.vscode.wait(lambda view: "off" in view.status, "it is not off")
    own_window.vscode.click(STATUS_ITEM)
    own_window.vscode.wait(lambda view: len(view.picks) > 5, "the menu does not open")
    assert own_window.script.heard("initialize") == []
    own_window.vscode.choose("Turn on")
    own_window.await_ready()


# --- the installation ---


def programmed(window: Stage, version: str, waits: bool) -> Path:
    """A Python of that version, which makes environments once the file `go` is there."""
    python, go = window.folder / "python", window.folder / "go"
    command = " ".join(window.script.command)
    python.write_text(FAKE_PYTHON.format(version=version, go=go, made=window.folder / "made", command=command))
    python.chmod(0o755)
    go.touch() if not waits else go.unlink(missing_ok=True)
    return python


def offered(window: Stage, version: str = "3.12", waits: bool = False) -> Path:
    """A window without a server, in which its installation is offered; the folder of what is installed."""
    python = programmed(window, version, waits)
    storage = window.vscode.home / "data" / "User" / "globalStorage" / "flash-ls.flash-ls"
    shutil.rmtree(storage, ignore_errors=True)
    show_offer(window, window.folder / "work", python)
    return storage / f"server-{__version__}"


def show_offer(window: Stage, folder: Path, python: Path) -> None:
    window.vscode.show(folder, {"flashLs.server.python": str(python)})
    window.vscode.wait(lambda view: "Install" in view.buttons, "nothing is offered")


def ask_for_offer(window: Stage) -> None:
    """By the menu: a notice goes after a while."""
    window.vscode.click(STATUS_ITEM)
    window.vscode.choose("Install the server")
    window.vscode.wait(lambda view: "Install" in view.buttons, "nothing is offered")


def await_notice(window: Stage, words: str) -> None:
    window.vscode.wait(lambda view: any(words in notice for notice in view.notices), f"{words!r} is not said")


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


def test_two_windows_install_one_server(own_window: Stage) -> None:
    offered(own_window, waits=True)
    own_window.vscode.turn_to(1)
    (own_window.folder / "other").mkdir()
    show_offer(own_window, own_window.folder / "other", own_window.folder / "python")
    own_window.vscode.click(INSTALL)
    await_notice(own_window, "virtual environment")
    own_window.vscode.turn_to(0)
    ask_for_offer(own_window)
    own_window.vscode.click(INSTALL)
    await_notice(own_window, "another window")
    (own_window.folder / "go").touch()
    own_window.await_ready()
    own_window.vscode.turn_to(1)
    own_window.await_ready()
    own_window.vscode.close_window()
    assert (own_window.folder / "made").read_text() == "made\n"
    assert len(own_window.script.heard("initialize")) == 2


def test_an_installation_that_is_cancelled_leaves_nothing_and_may_begin_again(own_window: Stage) -> None:
    folder = offered(own_window, waits=True)
    own_window.vscode.click(INSTALL)
    own_window.vscode.wait_until(folder.exists, "the installation does not begin")
    own_window.vscode.wait(lambda view: "Cancel" in view.buttons, "it cannot be cancelled")
    own_window.vscode.click(CANCEL)
    own_window.vscode.wait_until(lambda: not folder.exists(), "something is left")
    (own_window.folder / "go").touch()
    ask_for_offer(own_window)
    own_window.vscode.click(INSTALL)
    own_window.await_ready()


def test_a_python_that_is_too_old(own_window: Stage) -> None:
    folder = offered(own_window, version="3.9")
    own_window.vscode.click(INSTALL)
    await_notice(own_window, "3.11")
    assert not folder.exists()


# --- the model ---


def loading(percentage: int) -> list[dict[str, Any]]:
    """What a server says that builds its model."""
    token = "load"
    report = {"kind": "report", "message": "building the model", "percentage": percentage}
    return [
        {"method": "flashLs/status", "params": {"state": "loading", "reason": "loading", "message": "Not loaded yet."}},
        {"id": "progress", "method": "window/workDoneProgress/create", "params": {"token": token}},
        {"method": "$/progress", "params": {"token": token, "value": {"kind": "begin", "title": "flash-ls"}}},
        {"method": "$/progress", "params": {"token": token, "value": report}},
    ]


def test_a_build_that_is_cancelled_is_begun_again_by_the_menu(own_window: Stage) -> None:
    building = Script(own_window.folder / "building", encoding="utf-16", says=loading(42))
    own_window.vscode.show(own_window.folder / "work", {"flashLs.server.command": building.command})
    own_window.vscode.wait(lambda view: "loading 42%. building the model" in view.status, "the share is not shown")
    await_notice(own_window, "building the model 42%")
    own_window.vscode.click(CANCEL)
    own_window.vscode.wait(lambda view: "off" in view.status and "not built" in view.status, "it goes on")
    go = own_window.folder / "go"
    building.server.update(says=SAYS, commands={"model": {"prints": "building the model", "waits_for": str(go)}})
    building.play({})
    for cancelled in (True, False):
        own_window.vscode.click(STATUS_ITEM)
        own_window.vscode.choose("Build the model")
        await_notice(own_window, "building the model")
        own_window.vscode.click(CANCEL) if cancelled else go.touch()
        own_window.vscode.wait(lambda view, end="off" if cancelled else "ready": end in view.status)  # type: ignore[misc]
    assert building.heard("command") == [["model", "build", "flash"]] * 2
    assert len(building.heard("initialize")) == 2


def test_a_build_that_fails_says_why(own_window: Stage) -> None:
    own_window.script.server["commands"] = {"model": {"prints": "flash-ls: the disk is full.", "code": 1}}
    own_window.begin()
    own_window.vscode.click(STATUS_ITEM)
    own_window.vscode.choose("Build the model")
    await_notice(own_window, "the disk is full")
