"""VS Code as a service for a browser, code-server: where it is installed, and a process of it with our extension.

    FLASH_LS_HOME/vscode-rig-VERSION/       written by `scripts/setup_vscode.py`
        package.json, package-lock.json     copies of editors/vscode/test/rig, what is pinned there
        node_modules/                       code-server, a Node that runs it, playwright-core
        installed.json                      the lock file again, once all of it is there

Knows nothing of pytest nor of pages. Every wait has a limit.
"""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flash_ls.artifact import store

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "editors" / "vscode"
VSIX = EXTENSION / "flash-ls.vsix"
PINS = EXTENSION / "test" / "rig"
PINNED = ("package.json", "package-lock.json", ".npmrc")
VERSION = str(json.loads((PINS / "package.json").read_text(encoding="utf-8"))["dependencies"]["code-server"])
HOME = store.home()
"""Kept from the start, as tests give the product another one."""
RIG = HOME / f"vscode-rig-{VERSION}"
STAMP = RIG / "installed.json"
MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}
MACHINE = platform.machine().lower()
NODE = next(RIG.glob(f"node_modules/node-*{sys.platform}-{MACHINES.get(MACHINE, MACHINE)}/bin/node"), Path("node"))
CODE_SERVER = RIG / "node_modules" / "code-server" / "out" / "node" / "entry.js"
BROWSERS = (
    "chromium",
    "google-chrome",
    "google-chrome-stable",
    "chromium-browser",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
BUILT = ("node_modules", "dist", "images", "test", VSIX.name)
"""In the extension's folder, but no source of its package."""
START_S = 60.0
END_S = 10.0
POLL_S = 0.02

SETTINGS: dict[str, Any] = {
    "chat.disableAIFeatures": True,
    "editor.minimap.enabled": False,
    "editor.quickSuggestions": {"other": "off", "comments": "off", "strings": "off"},
    "editor.suggestOnTriggerCharacters": False,
    "editor.wordBasedSuggestions": "currentDocument",
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": "off",
    "extensions.ignoreRecommendations": True,
    "files.autoSave": "off",
    "files.hotExit": "off",
    "git.enabled": False,
    "security.workspace.trust.enabled": False,
    "telemetry.telemetryLevel": "off",
    "workbench.localHistory.enabled": False,
    "workbench.reduceMotion": "on",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
}
"""Of an editor that says nothing unless it is asked."""
MACHINE_SETTINGS = "flashLs.server."
"""Settings that VS Code reads from the service's machine, not from its user."""
KEYS = [
    {"key": "alt+l", "command": "editor.action.inlineSuggest.acceptNextLine", "when": "inlineSuggestionVisible"},
    {"key": "alt+a", "command": "flashLs.trigger"},
    {"key": "alt+o", "command": "flashLs.toggle"},
]
"""Of commands that have no key by themselves."""


def is_installed() -> bool:
    """Whether the rig is whole, and of the versions that are pinned."""
    return STAMP.is_file() and STAMP.read_bytes() == (PINS / "package-lock.json").read_bytes()


def chromium() -> str | None:
    """The program of a browser: as `FLASH_LS_CHROMIUM` says, or what is on the path."""
    named = os.environ.get("FLASH_LS_CHROMIUM")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


def missing() -> str | None:
    """What is not installed, if something is not."""
    if not is_installed():
        return "VS Code is not installed: run scripts/setup_vscode.py, which says what it lacks"
    if chromium() is None:
        return "no Chromium: install it, or name it by FLASH_LS_CHROMIUM"
    if not (EXTENSION / "node_modules").is_dir():
        return "no packages to build the extension with: run scripts/setup_vscode.py"
    return None


def environment() -> dict[str, str]:
    """That of this process, in which `node` is the rig's, and nothing on the path is a `flash-ls`."""
    path = [folder for folder in os.get_exec_path() if not (Path(folder) / "flash-ls").exists()]
    python_path = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    own = {"PATH": os.pathsep.join([str(NODE.parent), *path]), "PYTHONPATH": os.pathsep.join(python_path)}
    return {**os.environ, **own, "PYTHON": sys.executable}


def packed() -> Path:
    """The extension as a user installs it, packed anew if a source is younger.

    Raises `AssertionError` with what npm wrote, if it cannot be packed.
    """
    sources = [path for path in EXTENSION.iterdir() if path.name not in BUILT] + [ROOT / "flash_ls"]
    files = [file for path in sources for file in [path, *path.rglob("*")] if "__pycache__" not in file.parts]
    if not VSIX.exists() or max(file.stat().st_mtime for file in files) > VSIX.stat().st_mtime:
        command = ["npm", "run", "package"]
        done = subprocess.run(command, cwd=EXTENSION, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return VSIX


class CodeServer:
    """A process with the extension installed, ended with the `with` block.

    `home` takes what it writes; `environment` is put over that of the tests.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.programs = home / "user" / "bin"
        """The first folder on the path of its user's shell, which VS Code takes over; empty."""
        self.programs.mkdir(parents=True)
        (home / "user" / ".profile").write_text('PATH="$HOME/bin:$PATH"\n')
        self._own = environment or {}
        for folder in ("User", "Machine"):
            (home / "data" / folder).mkdir(parents=True)
        (home / "config.yaml").write_text("bind-addr: 127.0.0.1:0\nauth: none\ncert: false\n")
        (home / "data" / "User" / "keybindings.json").write_text(json.dumps(KEYS))
        self.configure({})
        self._install(packed())
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.address = self._await_address()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def configure(self, settings: Mapping[str, object]) -> None:
        """The settings of the user and of the machine."""
        machine = {key: value for key, value in settings.items() if key.startswith(MACHINE_SETTINGS)}
        user = {**SETTINGS, **{key: value for key, value in settings.items() if key not in machine}}
        for folder, those in (("User", user), ("Machine", machine)):
            path = self.home / "data" / folder / "settings.json"
            path.write_text(json.dumps(those), encoding="utf-8")

    def close(self) -> None:
        """With the hosts of extensions and the language servers."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, sign)
                self._process.wait(END_S)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    @property
    def _log(self) -> Path:
        return self.home / "code-server.log"

    def _command(self, *arguments: str) -> list[str]:
        folders = [f"--user-data-dir={self.home / 'data'}", f"--extensions-dir={self.home / 'extensions'}"]
        quiet = ["--disable-telemetry", "--disable-update-check"]
        return [str(NODE), str(CODE_SERVER), f"--config={self.home / 'config.yaml'}", *folders, *quiet, *arguments]

    def _environment(self) -> dict[str, str]:
        """A home of its own. The product's cache folder stays where it is."""
        names = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
        homes = dict.fromkeys(names, str(self.home / "user"))
        return {**environment(), "SHELL": "/bin/sh", "FLASH_LS_HOME": str(HOME), **homes, **self._own}

    def _install(self, vsix: Path) -> None:
        command = self._command("--install-extension", str(vsix))
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, timeout=START_S)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    def _await_address(self) -> str:
        """Where it listens. Raises `AssertionError` with its log if it does not."""
        end = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < end:
            log = self._log.read_text(encoding="utf-8", errors="replace")
            if found := re.search(r"listening on (http://127\.0\.0\.1:\d+)", log):
                return found[1]
            time.sleep(POLL_S)
        self.close()
        raise AssertionError(f"code-server does not start:\n{self._log.read_text(encoding='utf-8')}")
