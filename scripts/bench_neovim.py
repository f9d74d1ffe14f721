#!/usr/bin/env python3
"""How long after a key its ghost text stands on Neovim's screen, with the real plugin, server and model.

    scripts/bench_neovim.py [--file FILE] [--text TEXT]     types TEXT behind FILE without its last line

The next key is typed once the last is answered. A key that agrees with what is shown keeps it: its time is that of the
screen, not of the model; `answer` is until the model's own. The last line of the output is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.editors.neovim import POLL_S, ROOT, Neovim

SERVER = [sys.executable, "-m", "flash_ls"]
BUILD_S = 600
KEY_S = 30.0
LINES = """        other.deposit(amount)
        self.history.append(f"transfer {amount} to {other.owner}")

    def statement(self) -> str:
        lines = [f"{self.owner}: {self.balance}"]
        for entry in self.history:
            lines.append(entry)
        return "\\n".join(lines)
"""
COUNT = """
_G.asked, _G.answered = 0, 0
local client = require("flash_ls.server").client()
local request = client.request
client.request = function(self, method, params, handler, buffer)
  if method ~= "textDocument/inlineCompletion" then
    return request(self, method, params, handler, buffer)
  end
  _G.asked = _G.asked + 1
  local number = _G.asked
  return request(self, method, params, function(...)
    handler(...)
    _G.answered = number
  end, buffer)
end
"""
LOOK = """
local current, row, cells = require("flash_ls.session").current(), vim.fn.screenrow(), {}
if not current then
  return _G.asked, _G.answered, ""
end
for column = 1, vim.o.columns do
  cells[column] = vim.fn.screenstring(row, column)
end
local first = current.before .. current.text:match("^[^\\n]*")
local drawn = vim.startswith(table.concat(cells), first:sub(1, vim.o.columns))
return _G.asked, _G.answered, drawn and current.text or ""
"""


@dataclass(frozen=True)
class Key:
    """Milliseconds from the key."""

    typed: str
    ghost: str
    """What stands behind the cursor once the key is answered."""
    shown_ms: float
    """Until ghost text stands on the screen, or none for good."""
    answer_ms: float
    """Until the model's own answer stands there."""


def look(nvim: Neovim) -> tuple[int, int, str]:
    """The number of the last request and of the last that was answered, and the ghost text that the screen has."""
    asked, answered, ghost = nvim.lua(f"return {{(function() {LOOK} end)()}}")
    return asked, answered, ghost


def press(nvim: Neovim, key: str) -> Key:
    """Type one character and wait for its answer."""
    before, shown_ms = look(nvim)[0], 0.0
    start = time.perf_counter()
    nvim.type({"<": "<lt>", "\n": "<CR>"}.get(key, key))
    while (ms := 1e3 * (time.perf_counter() - start)) < 1e3 * KEY_S:
        asked, answered, ghost = look(nvim)
        shown_ms = shown_ms or (ms if ghost and asked > before else 0.0)
        if asked > before and asked == answered:
            return Key(key, ghost, shown_ms or ms, ms)
        time.sleep(POLL_S / 2)
    raise TimeoutError(f"{key!r} is not answered; the screen is {nvim.screen()}")


def type_text(path: Path, text: str, home: Path) -> list[Key]:
    """Type a text behind a file without its last line."""
    source = path.read_text(encoding="utf-8").rstrip().rpartition("\n")[0] + "\n"
    with Neovim(home / "state") as nvim:
        nvim.setup(SERVER, settings={"statistics": False})
        nvim.open(home / path.name, source)
        nvim.api.command("setlocal indentexpr= noautoindent")
        nvim.lua(COUNT)
        nvim.type("Go")
        await_model(nvim)
        return [press(nvim, character) for character in text]


def await_model(nvim: Neovim) -> None:
    """Until the server suggests anything, which is then dismissed."""

    def suggests() -> bool:
        nvim.lua("require('flash_ls').trigger()")
        nvim.pause(0.3)
        return nvim.ghost() != ""

    nvim.wait(suggests, "the model does not answer", BUILD_S)
    nvim.lua("require('flash_ls').dismiss()")


def percentiles(times: list[float]) -> dict[str, float]:
    if len(times) < 2:
        return {}
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    return {"p50": round(statistics.median(times), 1), "p95": round(cuts[-1], 1)}


def summary(keys: list[Key]) -> dict[str, Any]:
    ghosts = [key for key in keys if key.ghost]
    kept = [key for key in ghosts if key.shown_ms < key.answer_ms]
    new = [key.shown_ms for key in ghosts if key.shown_ms == key.answer_ms]
    return {
        "keys": len(keys),
        "ghosts": len(ghosts),
        "kept": len(kept),
        **percentiles([key.shown_ms for key in ghosts]),
        "new": percentiles(new),
        "answer": percentiles([key.answer_ms for key in keys]),
    }


def table(keys: list[Key]) -> str:
    rows = [f"{'ms':>6} {'answer':>7}  typed, and the ghost text behind it"]
    for key in keys:
        first = key.ghost.partition("\n")[0]
        rows.append(f"{key.shown_ms:6.0f} {key.answer_ms:7.0f}  {key.typed!r} ⟦{first}⟧")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=ROOT / "examples" / "bank.py", help="default: %(default)s")
    parser.add_argument("--text", default=LINES, help="what is typed; default: a method and a half")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        keys = type_text(args.file, args.text, Path(home))
    print(table(keys))
    print(json.dumps(summary(keys)))


if __name__ == "__main__":
    main()
