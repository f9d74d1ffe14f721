#!/usr/bin/env python3
"""Type text into a file through a real server process, and show what is suggested at every key and what it cost.

    scripts/type_along.py FILE:LINE:COL TEXT     types TEXT at a place numbered from 1; the file itself is not changed

If TEXT stands at that place already, it is taken out first and typed again. The last line of the output is JSON.
"""

import argparse
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from flash_ls.cli import parse_place  # noqa: E402
from flash_ls.source_file import snapshot_of_file  # noqa: E402
from tests.lsp_client import LspProcess  # noqa: E402

SERVER = [sys.executable, "-m", "flash_ls"]
LOADED = "reason=ready"
REQUEST = re.compile(r"complete file=.* reason=(\S+) ms=(\d+) prompt_tokens=(\d+) cached_tokens=(\d+)")
LOAD_S = 600
OPTIONS = {"budget_ms": 30_000}


@dataclass(frozen=True)
class Keystroke:
    """One key and the answer to it."""

    typed: str
    shown: str
    reason: str
    ms: float
    prompt_tokens: int
    cached_tokens: int

    @property
    def cached_share(self) -> float:
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


def wait_for(server: LspProcess, pattern: str, start: int, timeout_s: float) -> str:
    """The first line of the server's log from line `start` on that matches."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        for line in server.log[start:]:
            if re.search(pattern, line):
                return line
        if server.process.poll() is not None:
            break
        time.sleep(0.005)
    sys.exit("\n".join(["the server did not answer; its log:", *server.log]))


def press(server: LspProcess, uri: str, version: int, line: int, column: int, key: str) -> Keystroke:
    """Send one character and ask for the completion after it."""
    place = {"line": line, "character": column}
    server.change(uri, version, [{"range": {"start": place, "end": place}, "text": key}])
    logged, start = len(server.log), time.perf_counter()
    items = server.inline(uri, line, column + 1)
    ms = (time.perf_counter() - start) * 1e3
    match = REQUEST.search(wait_for(server, REQUEST.pattern, logged, 5))
    assert match is not None
    shown = items[0]["insertText"] if items else ""
    return Keystroke(key, shown, match[1], ms, int(match[3]), int(match[4]))


def type_text(path: Path, line: int, column: int, text: str) -> list[Keystroke]:
    """Type `text` at the place, from 0, of the opened file. One key first warms the cache and is not reported."""
    snapshot = snapshot_of_file(path, line, column, 4_000_000)
    before, after = snapshot.before, snapshot.after.removeprefix(text)
    uri = path.absolute().as_uri()
    with LspProcess(SERVER, timeout_s=60) as server:
        server.initialize(options=OPTIONS, encoding="utf-32")
        server.open(uri, "", before + after)
        wait_for(server, LOADED, 0, LOAD_S)
        server.inline(uri, line, column)
        keys = [press(server, uri, 2 + n, line, column + n, key) for n, key in enumerate(text)]
        server.request("shutdown")
    return keys


def table(keys: list[Keystroke], prefix: str) -> str:
    rows = ["cached tokens      ms  what the line shows: typed text and ⟦suggestion⟧"]
    typed = prefix
    for key in keys:
        typed += key.typed
        ghost = key.shown.split("\n")[0] + (" …" if "\n" in key.shown else "")
        tokens = f"{key.cached_tokens}/{key.prompt_tokens} {key.cached_share:4.0%}"
        rows.append(f"{tokens:>13} {key.ms:7.0f}  {typed}" + (f"⟦{ghost}⟧" if ghost else f"    ({key.reason})"))
    return "\n".join(rows)


def summary(keys: list[Keystroke]) -> dict[str, Any]:
    times = sorted(key.ms for key in keys)
    return {
        "keystrokes": len(keys),
        "cached_share_min": round(min(key.cached_share for key in keys), 4),
        "shown": sum(bool(key.shown) for key in keys),
        "ms_p50": round(times[len(times) // 2]),
        "ms_max": round(times[-1]),
        "last": asdict(keys[-1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=parse_place, metavar="FILE:LINE:COL")
    parser.add_argument("text")
    args = parser.parse_args()
    path, line, column = args.place
    keys = type_text(path, line - 1, column - 1, args.text)
    prefix = path.read_text(encoding="utf-8").split("\n")[line - 1][: column - 1]
    print(table(keys, prefix))
    print(json.dumps(summary(keys)))


if __name__ == "__main__":
    main()
