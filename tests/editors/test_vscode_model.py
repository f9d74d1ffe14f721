"""The packed extension in a real VS Code with the real server and the real model, as a developer uses it.

With `FLASH_LS_PICTURES=FOLDER` the pictures of the extension's readme are taken on the way and put there.
"""

import itertools
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.editors.code_server import ROOT, missing
from tests.editors.vscode import (
    ACCEPT,
    ASK,
    DISMISS,
    HEIGHT,
    LINE,
    MENU,
    SAVE,
    STATUS_ITEM,
    UNDO,
    WIDTH,
    WORD,
    View,
    VSCode,
)
from tests.lsp_client import python_module

pytestmark = pytest.mark.model

SETTINGS = {
    "flashLs.min_confidence": 0,
    "flashLs.statistics": False,
    "workbench.editor.limit.enabled": True,
    "workbench.editor.limit.value": 1,
}
SIDE_BAR = "Control+b"
BUILD_S = 600
STAYS_S = 2.0
"""The first start builds the model."""
BANK = (ROOT / "examples" / "bank.py").read_text(encoding="utf-8").rstrip()
BEFORE = BANK.removesuffix("other.de")
GREETING = """def greet(größe):
    smile = "😀"
    return f"{smile} {"""


class Desk:
    """The window, and the process id of the server that serves it."""

    def __init__(self, vscode: VSCode, folder: Path) -> None:
        self.vscode = vscode
        self.folder = folder
        self._pid = folder / "pid"
        self._numbers = itertools.count()
        (folder / "work").mkdir()
        command = ["sh", "-c", 'echo $$ >"$0"; exec "$@"', str(self._pid), *python_module("flash_ls")]
        vscode.show(folder / "work", {**SETTINGS, "flashLs.server.command": command})
        vscode.press(SIDE_BAR)

    @property
    def pid(self) -> int:
        return int(self._pid.read_text())

    def begin(self, text: str, name: str = "") -> Path:
        """A new file with that text, the cursor at its end."""
        path = self.folder / "work" / (name or f"file{next(self._numbers)}.py")
        self.vscode.open(path, text)
        self.vscode.press("Control+End")
        return path

    def await_model(self) -> None:
        """Until the model answers who asks; what it says is dismissed."""

        def answers(view: View) -> bool:
            if not view.ghost:
                self.vscode.press(ASK)
            return view.ghost != ""

        self.vscode.wait(answers, "the model does not answer", BUILD_S)
        self.vscode.press(DISMISS)

    def suggested(self) -> str:
        """The ghost text once it is there."""
        return self.vscode.wait(lambda view: view.ghost != "", "nothing is suggested").ghost

    def body(self) -> str:
        """A ghost text of several lines that stays: what was typed along with may give way to another answer."""
        text, since = "", time.monotonic()

        def stays(view: View) -> bool:
            nonlocal text, since
            if view.ghost != text:
                text, since = view.ghost, time.monotonic()
            return "\n" in text and time.monotonic() - since > STAYS_S

        return self.vscode.wait(stays, "no body is suggested").ghost

    def await_last(self, line: str) -> View:
        return self.vscode.wait(lambda view: view.lines[-1] == line, f"the last line is not {line!r}")

    def picture(self, name: str, clip: Mapping[str, int]) -> None:
        if folder := os.environ.get("FLASH_LS_PICTURES"):
            self.vscode.picture(Path(folder).resolve() / name, clip)


@pytest.fixture(scope="module")
def warm_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One window and one server for all, once the model answers."""
    if reason := missing():
        pytest.skip(reason)
    with VSCode(tmp_path_factory.mktemp("vscode")) as vscode:
        desk = Desk(vscode, tmp_path_factory.mktemp("model"))
        desk.begin(BANK)
        desk.await_model()
        yield desk


@pytest.fixture
def desk(warm_desk: Desk) -> Iterator[Desk]:
    yield warm_desk
    warm_desk.vscode.press("Escape", "Escape", SAVE)


def test_type_see_and_accept_where_the_editor_closed_the_bracket(desk: Desk) -> None:
    desk.begin(BEFORE)
    desk.vscode.type("other.deposit(")
    assert desk.suggested() == "amount"
    desk.await_last("        other.deposit()")
    desk.vscode.press(ACCEPT)
    desk.await_last("        other.deposit(amount)")
    desk.vscode.press(UNDO)
    desk.await_last("        other.deposit()")


def test_a_body_of_many_lines_and_its_words_and_lines(desk: Desk) -> None:
    desk.begin(BANK[: BANK.index("        if amount")] + "       ", "bank.py")
    desk.vscode.type(" ")
    text = desk.body()
    desk.picture("ghost.png", {"x": 53, "y": 263, "width": 720, "height": 248})
    first, second = text.split("\n")[:2]
    desk.vscode.press(WORD)
    desk.await_last(f"        {text.split(maxsplit=1)[0]}")
    desk.vscode.press(LINE)
    desk.vscode.wait(lambda view: f"        {first}" in view.lines, "the line is not accepted")
    desk.vscode.press(LINE)
    desk.vscode.wait(lambda view: second in view.lines, "the second line is not accepted")


def test_dismiss_and_move_on(desk: Desk) -> None:
    desk.begin(BEFORE)
    desk.vscode.type("other.de")
    desk.suggested()
    desk.vscode.press(DISMISS)
    desk.vscode.wait(lambda view: view.ghost == "", "it stays")
    desk.vscode.type("p")
    desk.suggested()
    desk.vscode.press("ArrowLeft")
    desk.vscode.wait(lambda view: view.ghost == "", "it stays where the cursor is not")
    desk.await_last("        other.dep")


def test_what_agrees_stays(desk: Desk) -> None:
    desk.begin(BEFORE)
    desk.vscode.type("other.de")
    desk.suggested()
    for typed in range(1, 5):
        desk.vscode.type("posi"[typed - 1])
        desk.vscode.wait(lambda view, typed=typed: view.ghost == "posit(amount)"[typed:], "it does not stay")  # type: ignore[misc]
    desk.vscode.press(ACCEPT)
    desk.await_last("        other.deposit(amount)")


def test_beside_the_menu_of_the_editor(desk: Desk) -> None:
    desk.begin(BEFORE)
    desk.vscode.type("other.depo")
    desk.suggested()
    desk.vscode.press(MENU)
    desk.vscode.wait(lambda view: any("deposit" in row for row in view.popup), "there is no menu")
    desk.vscode.wait(lambda view: view.ghost.startswith("sit"), "nothing is suggested beside the menu")
    desk.vscode.press(ACCEPT)
    desk.await_last("        other.deposit")
    assert desk.suggested().startswith("(amount")
    desk.vscode.press(ACCEPT)
    desk.await_last("        other.deposit(amount)")


def test_emoji_and_umlauts(desk: Desk) -> None:
    path = desk.begin(GREETING)
    desk.vscode.type("gr")
    text = desk.suggested()
    assert text.startswith("öße}")
    desk.vscode.press(ACCEPT)
    desk.vscode.wait(lambda view: view.ghost == "")
    assert desk.vscode.saved(path) == f"{GREETING}gr{text}"


def test_the_menu_turns_it_off_and_on(desk: Desk) -> None:
    desk.begin(BEFORE, "account.py")
    desk.vscode.click(STATUS_ITEM)
    desk.vscode.wait(lambda view: len(view.picks) > 5, "the menu does not open")
    desk.picture("menu.png", {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT})
    desk.vscode.choose("Turn off")
    desk.vscode.wait(lambda view: "off" in view.status, "it is not off")
    desk.vscode.type("other.de")
    desk.await_last("        other.de")
    desk.vscode.click(STATUS_ITEM)
    desk.vscode.choose("Turn on")
    desk.vscode.wait(lambda view: "ready" in view.status, "it is not on")
    assert desk.vscode.view().ghost == ""
    desk.vscode.type("p")
    assert desk.suggested() == "osit(amount)"


def test_killed_in_the_middle_it_comes_back(desk: Desk) -> None:
    desk.begin(BEFORE)
    desk.vscode.type("other.de")
    desk.suggested()
    old = desk.pid
    os.kill(old, signal.SIGKILL)
    desk.vscode.wait_until(lambda: desk.pid != old, "no new server is started")
    desk.vscode.wait(lambda view: "ready" in view.status, "it does not become ready", BUILD_S)
    desk.vscode.type("p")
    desk.vscode.wait(lambda view: view.ghost == "osit(amount)", "it suggests nothing, or what it did before")
