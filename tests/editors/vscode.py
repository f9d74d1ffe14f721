"""A real VS Code in a real browser: keys go in, and what its window shows comes out.

Knows nothing of pytest. Every wait has a limit. Used by the tests and by `scripts/bench_vscode.py`.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote, urlencode

from tests.editors.code_server import EXTENSION, NODE, POLL_S, RIG, CodeServer, chromium

DRIVER = EXTENSION / "test" / "driver.mjs"
SUITE = EXTENSION / "test" / "host"
WIDTH, HEIGHT = 1000, 640
WAIT_S = 45.0
START_S = 60.0
SUITE_S = 300.0


def button(label: str) -> str:
    """That of a notice."""
    return f'.notification-list-item .monaco-button:has-text("{label}")'


INSTALL, CANCEL, RESTART = map(button, ("Install", "Cancel", "Restart"))
STATUS_ITEM = '.statusbar-item[id$="flashLs.status"]'
ACCEPT, WORD, LINE, DISMISS, ASK, MENU, UNDO, SAVE = (
    "Tab",
    "Control+ArrowRight",
    "Alt+l",
    "Escape",
    "Alt+a",
    "Control+Space",
    "Control+z",
    "Control+s",
)
TOGGLE = "Alt+o"
"""Keys; those with `Alt` are the rig's own."""


@dataclass(frozen=True)
class View:
    """What a reader sees."""

    ready: bool
    """The workbench is drawn."""
    tab: str
    """The name of the file."""
    unsaved: bool
    lines: list[str]
    """What the file has, as far as it is in sight."""
    ghost: str
    """The suggestion."""
    bar: str
    """All of the status bar."""
    status: str
    """What the item in the status bar says to a screen reader."""
    notices: list[str]
    buttons: list[str]
    """Of the notices."""
    asking: bool
    """A line to write in is open at the top."""
    picks: list[str]
    """The rows of a list below it."""
    popup: list[str]
    """The rows of the completion menu."""


class Driver:
    """The browser's process: one request, one answer."""

    def __init__(self, home: Path) -> None:
        program = chromium()
        assert program, "there is no Chromium"
        command = [str(NODE), str(DRIVER), str(RIG), program, str(home / "profile"), str(WIDTH), str(HEIGHT)]
        self._errors = (home / "browser.log").open("w")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            start_new_session=True,
        )

    def ask(self, what: str, *given: object) -> Any:
        """Have it done. Raises `AssertionError` with the browser's reason if it cannot be."""
        stdin, stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        stdin.write(json.dumps({"do": what, "with": given}) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline() or '{"error": "the browser has ended"}')
        if "error" in answer:
            raise AssertionError(f"{what}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        _pipe(self._process.stdin).close()
        try:
            self._process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._errors.close()


class VSCode:
    """A service and its window, ended with the `with` block; the arguments are those of `CodeServer`."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.server = CodeServer(home, environment)
        self.driver = Driver(home)
        self._shown: tuple[Path, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.driver.close()
        self.server.close()

    def show(self, folder: Path, settings: Mapping[str, object]) -> bool:
        """The window with that folder and the user's settings, anew unless it is as wanted already; whether it is new.

        The first keys in the first editor of a new window may come before VS Code listens to them for suggestions.
        """
        wanted = (folder, json.dumps(settings))
        if self._shown == wanted:
            return False
        self.driver.ask("goto", "about:blank")  # the window before it shall not see the settings of this one
        self.server.configure(settings)
        self.driver.ask("goto", f"{self.server.address}/?{urlencode({'folder': str(folder)})}")
        self.wait(lambda view: view.ready, "the workbench does not come", START_S)
        self._shown = wanted
        return True

    def leave(self) -> None:
        """Have the next window made anew, whatever it is."""
        self._shown = None

    def turn_to(self, number: int) -> None:
        """Another window, empty if it is new: 0 is the first. All that is done and seen is in it from now on."""
        self.driver.ask("window", number)
        self.leave()

    def close_window(self) -> None:
        """Close one that is not the first, and turn to that."""
        self.driver.ask("close")
        self.leave()

    def run_suite(self, workspace: Path) -> None:
        """Run the tests of the extension's host in a window of their own, which write their results beside it."""
        paths = [["extensionDevelopmentPath", remote(SUITE)], ["extensionTestsPath", remote(SUITE / "index.js")]]
        query = urlencode({"workspace": str(workspace), "payload": json.dumps(paths)}, quote_via=quote)
        self.driver.ask("suite", f"{self.server.address}/?{query}", 1e3 * SUITE_S)

    def open(self, path: Path, text: str = "") -> None:
        """A file with that text, the cursor at its start."""
        path.write_bytes(text.encode())
        self.press("Control+p")
        self.wait(lambda view: view.asking, "the list of files does not open")
        self.type(str(path))
        self.wait(lambda view: any(path.name in pick for pick in view.picks), f"{path} is not found")
        self.press("Enter")
        self.wait(lambda view: view.tab == path.name and bool(view.lines), f"{path} does not open")

    def type(self, text: str) -> None:
        """Keys, one for each character; a line's end is Enter."""
        self.driver.ask("type", text)

    def press(self, *keys: str) -> None:
        """Keys by their names, one after the other: `Tab`, `Control+z`."""
        for key in keys:
            self.driver.ask("press", key)

    def click(self, selector: str) -> None:
        self.driver.ask("click", selector)

    def choose(self, words: str) -> None:
        """The first row of the open list that has these words."""
        view = self.wait(lambda view: any(words in row for row in view.picks), f"there is no row {words!r}")
        row = next(row for row in view.picks if words in row)
        self.click(f'.quick-input-list .monaco-list-row[aria-label="{row}"]')
        self.wait(lambda view: not view.asking, "the list does not close")

    def view(self) -> View:
        return View(**self.driver.ask("call", "look"))

    def saved(self, path: Path) -> str:
        """The file's text once it is saved, its line ends as they are on the disk."""
        self.press(SAVE)
        self.wait(lambda view: not view.unsaved, f"{path} is not saved")
        return path.read_bytes().decode()

    def wait(
        self, condition: Callable[[View], bool], what: str = "it does not happen", seconds: float = WAIT_S
    ) -> View:
        """Look until it is so; what is seen then. Raises `AssertionError` with what is seen at last, and a picture."""
        end = time.monotonic() + seconds
        while not condition(view := self.view()):
            if time.monotonic() > end:
                picture = self.home / "failed.png"
                self.picture(picture)
                raise AssertionError(f"{what}; {view}; {picture}")
            time.sleep(POLL_S)
        return view

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """The same for what cannot be seen."""
        self.wait(lambda view: condition(), what)

    def picture(self, path: Path, clip: Mapping[str, int] | None = None) -> None:
        """A PNG of the window, or of a part of it in pixels: x, y, width, height."""
        self.driver.ask("screenshot", str(path), clip)

    def seconds_to_ghost(self, key: str, line: str, limit_s: float) -> tuple[float, str] | None:
        """Press a key after which the last line is `line`: when ghost text stands behind it, in seconds, and which.

        None if none comes within the limit. The page's own clock: from the key's event to the change of the page.
        """
        self.driver.ask("call", "arm", line)
        self.press(key)
        found = self.driver.ask("call", "time", 1e3 * limit_s)
        return (found["ms"] / 1e3, found["ghost"]) if found else None


def remote(path: Path) -> str:
    """A path of the service's machine, as the window's address has it."""
    return f"vscode-remote://remote{path}"


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
