"""A real VS Code and a server that follows a script, as tests of the extension use them."""

import itertools
from pathlib import Path
from typing import Any

from tests.editors.script import INLINE, Answer, Script
from tests.editors.vscode import ASK, View, VSCode

SAID = {"state": "ready", "reason": "unsure", "message": "A sentence from the server."}
SAYS = [{"method": "flashLs/status", "params": SAID}]
TOLD = {"state": "ready", "reason": "comment", "message": "A sentence about the last request."}


class Stage:
    """The window, a server that follows a script, and a folder of files that are edited."""

    def __init__(self, vscode: VSCode, folder: Path) -> None:
        self.vscode = vscode
        self.folder = folder
        self.script = Script(folder / "server", encoding="utf-16", says=SAYS, told=TOLD)
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

    def await_notice(self, words: str) -> None:
        self.vscode.wait(lambda view: any(words in notice for notice in view.notices), f"{words!r} is not said")

    def await_ghost(self, text: str) -> View:
        return self.vscode.wait(lambda view: view.ghost == text, f"{text!r} is not suggested")

    def await_lines(self, *lines: str) -> View:
        return self.vscode.wait(lambda view: view.lines == list(lines), f"the file is not {lines}")
