#!/usr/bin/env python3
"""Install what the tests of the VS Code extension need: VS Code as code-server, its Node, a browser and its driver.

    scripts/setup_vscode.py        outside of the checkout, in the cache folder; does nothing when all is there

Versions are pinned, and what is downloaded is checked, by editors/vscode/test/rig/package-lock.json. Where something
cannot be had, one sentence says so, the exit code is 1, and the tests are skipped.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import filelock

from tests.editors.code_server import EXTENSION, PINNED, PINS, RIG, STAMP, chromium, is_installed

PACKAGES = EXTENSION / "node_modules" / ".package-lock.json"
VSCODE = RIG / "node_modules" / "code-server" / "lib" / "vscode"
"""Its dependencies are pinned by a file of its own."""
CODES = ("code ", "errno ", "syscall ")
QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
APT = ("apt-get", "install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core")


class Lacking(RuntimeError):
    """What cannot be had, as a sentence."""


def reason(output: str) -> str:
    """The line that says what went wrong, in what npm or apt wrote."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [
        line.removeprefix("npm error").strip() for line in lines if "error" in line.lower() or line.startswith("E:")
    ]
    sentences = [line for line in told if " " in line and not line.startswith(CODES)]
    return next(iter([*sentences, *lines[-1:]]), "no reason is given")


def run(command: Sequence[str], folder: Path, what: str) -> None:
    """Run a command in a folder. Raises `Lacking` with its reason, if it fails."""
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        why = reason(done.stdout + done.stderr).rstrip(".")
        raise Lacking(f"{what} cannot be installed ({why}); check the network and run this again.")


def npm_ci(folder: Path, what: str, *options: str) -> None:
    """Install what the folder's lock file names. Raises `Lacking`."""
    npm = shutil.which("npm")
    if npm is None:
        raise Lacking("There is no npm; install Node.js 20 or newer with npm.")
    run([npm, "ci", *QUIET, *options], folder, what)


def install_rig() -> None:
    """VS Code, Node and the browser's driver. Raises `Lacking`. What was interrupted is begun again."""
    if is_installed():
        return
    print(f"Installing VS Code for the tests into {RIG} (some 600 MB, once) ...", flush=True)
    STAMP.unlink(missing_ok=True)
    for name in PINNED:
        shutil.copyfile(PINS / name, RIG / name)
    npm_ci(RIG, "VS Code")
    npm_ci(VSCODE, "VS Code", "--omit=dev", "--omit=optional", "--legacy-peer-deps")
    shutil.copyfile(RIG / "package-lock.json", STAMP)


def install_packages() -> None:
    """What the extension is built with. Raises `Lacking`."""
    lock = EXTENSION / "package-lock.json"
    if not PACKAGES.exists() or PACKAGES.stat().st_mtime < lock.stat().st_mtime:
        npm_ci(EXTENSION, "The packages of the extension")


def install_browser() -> None:
    """Chromium, where Debian has it and we may. Raises `Lacking`."""
    if chromium():
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise Lacking("There is no Chromium; install it, or name it by FLASH_LS_CHROMIUM.")
    print("Installing Chromium for the tests ...", flush=True)
    try:
        run(APT, RIG, "Chromium")
    except Lacking:  # the lists of packages may be old, or missing
        run(("apt-get", "update"), RIG, "Chromium")
        run(APT, RIG, "Chromium")


def main() -> int:
    try:
        RIG.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(RIG.with_suffix(".lock")):
            install_rig()
            install_packages()
            install_browser()
    except (Lacking, OSError) as error:
        print(f"The tests of the VS Code extension are skipped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
