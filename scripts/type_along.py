#!/usr/bin/env python3
"""Type text into a file through a real server process, and show what is suggested at every key and what it cost.

    scripts/type_along.py FILE:LINE:COL TEXT     types TEXT at a place numbered from 1; the file itself is not changed

If TEXT stands at that place already, it is taken out first and typed again. The last line of the output is JSON.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.cli import parse_place
from flash_ls.document import Snapshot
from flash_ls.source_file import snapshot_of_file
from tests.lsp_client import LspProcess
from tests.typist import Keystroke, Typist

SERVER = [sys.executable, "-m", "flash_ls"]
LARGEST_FILE = 4_000_000
PATIENCE_S = 600
"""The first start builds the model."""
OPTIONS = {"budget_ms": 30_000}


def type_text(snapshot: Snapshot, text: str) -> list[Keystroke]:
    """One keystroke for each character. A request before the first of them, not reported, fills the cache."""
    after = snapshot.after.removeprefix(text)
    with LspProcess(SERVER, timeout_s=PATIENCE_S) as server:
        server.initialize(options=OPTIONS)
        server.wait_until(lambda: any("reason=ready" in line for line in server.log))
        typist = Typist(server, snapshot.uri, snapshot.before + after, snapshot.cursor)
        typist.ask()
        return [typist.type(character) for character in text]


def table(keys: list[Keystroke], line: str) -> str:
    """A row for each key; `line` is what stood before the cursor on its line."""
    rows = [f"{'cached tokens':>15} {'ms':>6}  the line: typed text and ⟦suggestion⟧"]
    for key in keys:
        line += key.typed
        first, more, _ = key.shown.partition("\n")
        ghost = f"⟦{first}{' …' if more else ''}⟧" if first else f"    ({key.reason})"
        tokens = f"{key.cached_tokens}/{key.prompt_tokens} {key.cached_share:4.0%}"
        rows.append(f"{tokens:>15} {key.ms:6.0f}  {line}{ghost}")
    return "\n".join(rows)


def summary(keys: list[Keystroke]) -> dict[str, Any]:
    times = sorted(key.ms for key in keys)
    return {
        "keystrokes": len(keys),
        "shown": sum(bool(key.shown) for key in keys),
        "cached_share_min": round(min(key.cached_share for key in keys), 4),
        "ms": {"p50": round(times[len(times) // 2]), "max": round(times[-1])},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=parse_place, metavar="FILE:LINE:COL")
    parser.add_argument("text")
    args = parser.parse_args()
    path, line, column = args.place
    snapshot = snapshot_of_file(path, line - 1, column - 1, LARGEST_FILE)
    keys = type_text(snapshot, args.text)
    print(table(keys, snapshot.before.rpartition("\n")[2]))
    print(json.dumps(summary(keys)))


if __name__ == "__main__":
    main()
