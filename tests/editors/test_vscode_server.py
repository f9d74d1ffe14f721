"""The server of a real VS Code: missing, of another version, crashing, installed, and the model that it builds."""

import json
from typing import Any

import pytest

from flash_ls import __version__
from tests.editors.script import INLINE, Script
from tests.editors.vscode import ASK, CANCEL, RESTART, STATUS_ITEM
from tests.editors.vscode_stage import SAYS, Stage
from tests.lsp_client import python_module

OLD = {"name": "flash-ls", "version": "0.0.1"}
ON_THE_PATH = """#!/bin/sh
case "$*" in
    --version) echo {version} ;;
    *) exec {command} "$@" ;;
esac
"""


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
    own_window.script.play({"*": {"dies": True}})
    own_window.vscode.type("x")
    own_window.await_message("initialize", 2)


def test_what_is_known_later_replaces_what_is_shown(own_window: Stage) -> None:
    command = ["env", f"FLASH_LS_HOME={own_window.folder}", *python_module("tests.fake_server", "ready")]
    own_window.vscode.show(own_window.folder / "work", {"flashLs.server.command": command})
    own_window.vscode.open(own_window.folder / "work" / "a.txt")
    own_window.await_ready()
    own_window.vscode.type("LINES")
    own_window.await_ghost("LINES|")


# --- what it asks ---


def test_it_may_ask_for_its_settings_and_for_no_others(own_window: Stage) -> None:
    items = [{"section": "flashLs"}, {"section": "editor"}]
    request = {"id": "mine", "method": "workspace/configuration", "params": {"items": items}}
    own_window.script.server["says"] = [request, *SAYS]
    own_window.begin()
    own_window.vscode.wait_until(lambda: own_window.script.answers_to("mine") != [], "it is not answered")
    ((own, editor),) = own_window.script.answers_to("mine")
    assert (own["model"], editor) == ("flash", None)
    assert "languages" not in own


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
    own_window.await_notice("building the model 42%")
    own_window.vscode.click(CANCEL)
    own_window.vscode.wait(lambda view: "off" in view.status and "not built" in view.status, "it goes on")
    go = own_window.folder / "go"
    building.server.update(says=SAYS, commands={"model": {"prints": "building the model", "waits_for": str(go)}})
    building.play({})
    for cancelled in (True, False):
        own_window.vscode.click(STATUS_ITEM)
        own_window.vscode.choose("Build the model")
        own_window.await_notice("building the model")
        own_window.vscode.click(CANCEL) if cancelled else go.touch()
        own_window.vscode.wait(lambda view, end="off" if cancelled else "ready": end in view.status)  # type: ignore[misc]
    assert building.heard("command") == [["model", "build", "flash"]] * 2
    assert len(building.heard("initialize")) == 2


def test_what_is_typed_while_the_model_loads_is_asked_once_it_is_there(own_window: Stage) -> None:
    script = own_window.script
    go = own_window.folder / "go"
    ended = {"method": "$/progress", "params": {"token": "load", "value": {"kind": "end"}}}
    script.server.update(says=loading(42), later={"waits_for": str(go), "says": [*SAYS, ended]})
    script.play({"a": "bc"})
    own_window.vscode.show(own_window.folder / "work", {"flashLs.server.command": script.command})
    own_window.await_notice("building the model 42%")
    own_window.vscode.open(own_window.folder / "work" / "a.py", "a")
    own_window.vscode.press("Control+End")
    for _ in range(5):
        own_window.vscode.press(ASK)
        own_window.vscode.view()
    assert script.heard(INLINE) == []
    go.touch()
    own_window.await_ghost("bc")
    own_window.vscode.wait(lambda view: not any("building" in notice for notice in view.notices), "the notice stays")


def test_a_build_that_fails_says_why(own_window: Stage) -> None:
    own_window.script.server["commands"] = {"model": {"prints": "flash-ls: the disk is full.", "code": 1}}
    own_window.begin()
    own_window.vscode.click(STATUS_ITEM)
    own_window.vscode.choose("Build the model")
    own_window.await_notice("the disk is full")
