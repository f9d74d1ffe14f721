"""A real Neovim and a server that follows a script, as tests of the plugin use them."""

from pathlib import Path
from typing import Any

from tests.editors.neovim import Neovim
from tests.editors.script import INLINE, Answer, Script

ACCEPT, WORD, LINE, NEXT, PREVIOUS, DISMISS, TRIGGER = (
    "<Tab>",
    "<M-w>",
    "<M-l>",
    "<M-n>",
    "<M-p>",
    "<C-]>",
    "<M-Bslash>",
)


class Stage:
    """A Neovim, a server that follows a script, and files that are edited."""

    def __init__(self, nvim: Neovim, folder: Path) -> None:
        self.nvim = nvim
        self.folder = folder
        self.script = Script(folder)

    def begin(self, text: str = "", answers: dict[str, str | Answer] | None = None, **options: Any) -> None:
        """The plugin set up, and a file open."""
        self.script.play(answers or {})
        self.nvim.setup(self.script.command, **options)
        self.nvim.open(self.folder / "a.py", text)

    def await_message(self, method: str, times: int = 1) -> Any:
        self.nvim.wait(lambda: len(self.script.heard(method)) >= times, f"the server does not get {method}")
        return self.script.heard(method)[-1]

    def await_asked(self, column: int) -> None:
        """Until the server was asked for a column of this many units."""
        here = f"the server is not asked at {column}"
        asked = self.script.heard
        self.nvim.wait(lambda: [at["position"]["character"] for at in asked(INLINE)][-1:] == [column], here)

    def await_quiet(self) -> None:
        """Until nothing is asked that has not been answered."""
        pending = "return next(require('flash_ls.server').client().requests) ~= nil"
        self.nvim.wait(lambda: not self.nvim.lua(pending), "a request is not answered")

    def await_ghost(self, text: str) -> None:
        self.nvim.wait(lambda: self.nvim.ghost() == text, f"{text!r} is not suggested")

    def await_lines(self, *lines: str) -> None:
        self.nvim.wait(lambda: self.nvim.lines() == list(lines), f"the buffer is not {lines}")

    def await_nothing(self) -> None:
        self.nvim.wait(lambda: self.nvim.marks() == 0, "ghost text stays")
        assert self.nvim.ghost() == ""
