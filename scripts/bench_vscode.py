#!/usr/bin/env python3
"""How long after a key its ghost text stands in VS Code's window, with the packed extension, the real server and model.

    scripts/bench_vscode.py [--file FILE] [--text TEXT]     types TEXT behind FILE without its last line

The next key follows PAUSE after the ghost text, or after LIMIT without any. The window's own clock: from the event of
the key to the change of the page. A key that agrees with what is shown keeps it: `kept`; the others had to be answered:
`new`. The last line of the output is JSON, in milliseconds.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.bench_neovim import LINES, percentiles
from tests.editors.code_server import ROOT, missing
from tests.editors.vscode import ASK, DISMISS, View, VSCode

SERVER = [sys.executable, "-m", "flash_ls"]
BUILD_S = 600
LIMIT_S = 1.5
PAUSE_S = 0.15
SETTINGS = {
    "flashLs.server.command": SERVER,
    "flashLs.statistics": False,
    "editor.autoClosingBrackets": "never",
    "editor.autoClosingQuotes": "never",
    "editor.autoIndent": "none",
}
"""What is typed stands in the file as it is."""


@dataclass(frozen=True)
class Key:
    typed: str
    kept: bool
    """It agrees with what was shown before it."""
    shown_ms: float | None
    """From the key to its ghost text, if there is any."""
    ghost: str


def press(vscode: VSCode, key: str, line: str, before: str) -> Key:
    """Type one character, after which the last line is `line`, behind the ghost text `before`."""
    timed = vscode.seconds_to_ghost("Enter" if key == "\n" else key, line, LIMIT_S)
    time.sleep(PAUSE_S)
    kept = before.startswith(key)
    return Key(key, kept, 1e3 * timed[0], timed[1]) if timed else Key(key, kept, None, "")


def type_text(vscode: VSCode, text: str) -> list[Key]:
    """Type a text, each key once the one before it is answered."""
    keys: list[Key] = []
    for index, character in enumerate(text):
        line = text[: index + 1].rpartition("\n")[2]
        keys.append(press(vscode, character, line, keys[-1].ghost if keys else ""))
    return keys


def await_model(vscode: VSCode) -> None:
    """Until the server suggests anything, which is then dismissed."""

    def suggests(view: View) -> bool:
        if not view.ghost:
            vscode.press(ASK)
        return view.ghost != ""

    vscode.wait(suggests, "the model does not answer", BUILD_S)
    vscode.press(DISMISS)


def measure(path: Path, text: str, home: Path) -> list[Key]:
    """Type a text behind a file without its last line."""
    source = path.read_text(encoding="utf-8").rstrip().rpartition("\n")[0] + "\n"
    folder = home / "work"
    folder.mkdir()
    with VSCode(home / "code") as vscode:
        vscode.show(folder, SETTINGS)
        vscode.open(folder / path.name, source)
        vscode.press("Control+End")
        await_model(vscode)
        return type_text(vscode, text)


def summary(keys: list[Key]) -> dict[str, Any]:
    kept = [key.shown_ms for key in keys if key.shown_ms is not None and key.kept]
    new = [key.shown_ms for key in keys if key.shown_ms is not None and not key.kept]
    return {
        "keys": len(keys),
        "ghosts": len(kept) + len(new),
        **percentiles(kept + new),
        "kept": {"keys": len(kept), **percentiles(kept)},
        "new": {"keys": len(new), **percentiles(new)},
    }


def table(keys: list[Key]) -> str:
    rows = [f"{'ms':>6}  typed, and the ghost text behind it"]
    for key in keys:
        first = key.ghost.partition("\n")[0]
        shown = "" if key.shown_ms is None else f"{key.shown_ms:.0f}"
        rows.append(f"{shown:>6}  {key.typed!r} ⟦{first}⟧")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=ROOT / "examples" / "bank.py", help="default: %(default)s")
    parser.add_argument("--text", default=LINES, help="what is typed; default: a method and a half")
    args = parser.parse_args()
    if reason := missing():
        parser.exit(1, f"{reason}\n")
    with tempfile.TemporaryDirectory() as home:
        keys = measure(args.file, args.text, Path(home))
    print(table(keys))
    print(json.dumps(summary(keys)))


if __name__ == "__main__":
    main()
