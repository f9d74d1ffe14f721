#!/usr/bin/env python3
"""A new user's minute: from an empty home to the first suggestion, step by step, in Neovim and in VS Code.

    scripts/new_user.py [neovim] [vscode]     both, if none is named; takes 800 MB of network and 2.5 GB of disk each

Neovim: the server is installed by pip, and the model built, on the command line, as the plugin's readme says. VS Code:
the packed extension offers to install the server, a click accepts it, and the rest comes by itself. Caches of pip are
empty too. What the editor says on the way is printed as it comes. The last line of the output is JSON, in seconds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.editors import code_server, neovim
from tests.editors.code_server import ROOT, VSIX, packed
from tests.editors.neovim import Neovim
from tests.editors.vscode import INSTALL, View, VSCode

BANK = ROOT / "examples" / "bank.py"
TYPED = "other.de"
INSTALL_S = 900.0
BUILD_S = 900.0
FIRST_S = 120.0
NEITHER: Mapping[str, str] = {"FLASH_LS_HOME": "", "PYTHONPATH": ""}
"""Empty is as good as not set: no server and no model but those of the new user."""


class Steps:
    """Seconds of each step, by what it brings."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        print(f"{name} ...", flush=True)
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)
        print(f"{self.seconds[name]:6.1f} s  {name}", flush=True)


class Ear:
    """Prints what the window says, once each."""

    def __init__(self) -> None:
        self._heard: set[str] = set()

    def until(self, condition: Callable[[View], bool]) -> Callable[[View], bool]:
        """The same condition, while everything is heard."""

        def looked(view: View) -> bool:
            for sentence in (view.status, *view.notices):
                if sentence not in self._heard:
                    self._heard.add(sentence)
                    print(f"          {sentence}", flush=True)
            return condition(view)

        return looked


def source() -> str:
    """The example without the words that are typed."""
    return BANK.read_text(encoding="utf-8").rstrip().removesuffix(TYPED)


def in_vscode(home: Path) -> dict[str, float]:
    """From the sources of the extension to the first ghost text."""
    steps, ear = Steps(), Ear()
    work = home / "work"
    work.mkdir()
    VSIX.unlink(missing_ok=True)
    with steps.step("the extension is packed"):
        packed()
    with steps.step("it is installed, VS Code started"):
        vscode = VSCode(home / "code", NEITHER)
    with vscode:
        with steps.step("a file is open"):
            vscode.show(work, {})
            vscode.open(work / BANK.name, source())
        with steps.step("the server is offered"):
            vscode.wait(ear.until(lambda view: "Install" in view.buttons), "nothing is offered")
        with steps.step("the server is installed"):
            vscode.click(INSTALL)
            vscode.wait(ear.until(lambda view: "loading" in view.status), "it is not installed", INSTALL_S)
        with steps.step("the model is built"):
            vscode.wait(ear.until(lambda view: "ready" in view.status), "it is not built", BUILD_S)
        with steps.step("the first suggestion"):
            vscode.press("Control+1", "Control+End")
            vscode.type(TYPED)
            vscode.wait(ear.until(lambda view: view.ghost != ""), "nothing is suggested", FIRST_S)
    return steps.seconds


def first_ghost(home: Path, environment: Mapping[str, str]) -> None:
    """Start Neovim, type and see ghost text."""
    with Neovim(home / "state", environment) as nvim:
        nvim.setup(["flash-ls"])
        nvim.open(home / BANK.name, source())
        nvim.type("GA")
        nvim.insert(TYPED)
        nvim.wait(lambda: nvim.ghost() != "", "nothing is suggested", FIRST_S)


def in_neovim(home: Path) -> dict[str, float]:
    """From a checkout to the first ghost text, and to that of the next start."""
    steps, venv = Steps(), home / "venv"
    names = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    path = os.pathsep.join([str(venv / "bin"), *os.get_exec_path()])
    environment = {**NEITHER, **dict.fromkeys(names, str(home / "user")), "PATH": path}

    def run(*words: str) -> None:
        subprocess.run(words, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)

    with steps.step("the server is installed"):
        run(sys.executable, "-m", "venv", str(venv))
        run(str(venv / "bin" / "pip"), "install", "--quiet", f"{ROOT}[model]")
    with steps.step("the model is built"):
        run(str(venv / "bin" / "flash-ls"), "model", "build")
    with steps.step("the first suggestion"):
        first_ghost(home, environment)
    with steps.step("that of the next start"):
        first_ghost(home, environment)
    return steps.seconds


EDITORS = {"neovim": (in_neovim, neovim.missing), "vscode": (in_vscode, code_server.missing)}


def minute(editor: str) -> dict[str, float | str]:
    """The seconds of each step and of all, or what is missing."""
    measure, missing = EDITORS[editor]
    if reason := missing():
        return {"missing": reason}
    print(editor, flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:  # its engine process may still write
        seconds = measure(Path(home))
    return {**seconds, "all": round(sum(seconds.values()), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("editors", nargs="*", metavar="editor", choices=[*EDITORS, []], help=" or ".join(EDITORS))
    editors = parser.parse_args().editors or list(EDITORS)
    print(json.dumps({editor: minute(editor) for editor in editors}))


if __name__ == "__main__":
    main()
