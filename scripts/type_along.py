#!/usr/bin/env python3
"""Type text into a file through a real server process, and show what is suggested at every key and what it cost.

    scripts/type_along.py FILE:LINE:COL TEXT     types TEXT at a place numbered from 1; the file itself is not changed

If TEXT stands at that place already, it is taken out first and typed again. The last line of the output is JSON.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flash_ls.cli import parse_place
from flash_ls.config import Config
from flash_ls.document import Snapshot
from flash_ls.source_file import snapshot_of_file
from tests.lsp_client import LspProcess, flash_ls
from tests.typist import Keystroke, Typist

SERVER = flash_ls("--in-process")
"""With the model in the process whose memory is measured."""
LARGEST_FILE = 4_000_000
PATIENCE_S = 600
"""The first start builds the model."""
OPTIONS = {"budget_ms": 30_000, "statistics": False}


@dataclass(frozen=True)
class Session:
    """What one server process did."""

    keys: list[Keystroke]
    first: Keystroke
    """The request before the first key, with nothing cached."""
    ready_s: float
    """From the start of the process until it could answer."""
    rss_mb: float
    """Memory at the end."""


def type_text(snapshot: Snapshot, text: str, model: str, precision: str = "auto") -> Session:
    """One keystroke for each character."""
    after = snapshot.after.removeprefix(text)
    start = time.perf_counter()
    with LspProcess(SERVER, timeout_s=PATIENCE_S) as server:
        server.initialize(options=OPTIONS | {"model": model, "precision": precision})
        server.wait_until(lambda: any("reason=ready" in line for line in server.log))
        ready_s = time.perf_counter() - start
        typist = Typist(server, snapshot.uri, snapshot.before + after, snapshot.cursor)
        first = typist.ask()
        keys = [typist.type(character) for character in text]
        return Session(keys, first, ready_s, resident_mb(server.process.pid))


def resident_mb(pid: int) -> float:
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True).stdout) / 1024


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


def summary(session: Session) -> dict[str, Any]:
    keys = session.keys
    times = sorted(key.ms for key in keys)
    return {
        "keystrokes": len(keys),
        "shown": sum(bool(key.shown) for key in keys),
        "cached_share_min": round(min(key.cached_share for key in keys), 4),
        "ms": {"first": round(session.first.ms), "p50": round(times[len(times) // 2]), "max": round(times[-1])},
        "ready_s": round(session.ready_s, 1),
        "rss_mb": round(session.rss_mb),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=parse_place, metavar="FILE:LINE:COL")
    parser.add_argument("text")
    parser.add_argument("--model", default=Config().model, help="default: %(default)s")
    parser.add_argument("--precision", default=Config().precision, help="default: %(default)s")
    args = parser.parse_args()
    path, line, column = args.place
    snapshot = snapshot_of_file(path, line - 1, column - 1, LARGEST_FILE)
    session = type_text(snapshot, args.text, args.model, args.precision)
    print(table(session.keys, snapshot.before.rpartition("\n")[2]))
    print(json.dumps(summary(session)))


if __name__ == "__main__":
    main()
