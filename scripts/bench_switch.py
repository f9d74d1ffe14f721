#!/usr/bin/env python3
"""How soon the first suggestion comes in a file that was not open before, and in one that is returned to.

    scripts/bench_switch.py FILE [FILE …] [--root FOLDER] [--lines 1000]

Each file is opened by a real server, with so many lines of it and of the others, in a project of FOLDER. In its middle
a line is typed again: its first half at once, then a key, with no pause before the request. Then the one before is
returned to, and its line typed on. The last line of the output is JSON.
"""

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.type_along import OPTIONS, PATIENCE_S, SERVER, resident_mb
from tests.lsp_client import LspProcess
from tests.typist import Keystroke, Typist

EVERYTHING = {"min_confidence": 0.0}
"""All is shown, so that each request is answered with a text."""


@dataclass
class Visit:
    """A file, the typist in it, what is still to be typed there, and the two requests that are timed."""

    typist: Typist
    rest: str
    first: Keystroke
    again: Keystroke | None = None


def visit(server: LspProcess, path: Path, text: str) -> Visit:
    """Open a file and type half of a line in its middle."""
    lines = text.split("\n")
    middle = next(at for at in range(len(lines) // 2, len(lines)) if len(lines[at].strip()) > 20)
    line, lines[middle] = lines[middle], ""
    typist = Typist(server, path.as_uri(), "\n".join(lines), len("\n".join(lines[:middle])) + 1)
    half = len(line) // 2
    typist.replace(typist.cursor, typist.cursor, line[: half - 1])
    return Visit(typist, line[half:], typist.type(line[half - 1]))


def run(paths: list[Path], root: Path, length: int) -> tuple[list[Visit], float]:
    """All visits, and the server's memory at the end in MB."""
    texts = [path.read_text(encoding="utf-8").split("\n") for path in paths]
    with LspProcess(SERVER, timeout_s=PATIENCE_S) as server:
        server.initialize(options=OPTIONS | EVERYTHING, root=root.resolve().as_uri())
        server.wait_until(lambda: any("reason=ready" in line for line in server.log))
        server.wait_until(lambda: any("index files=" in line for line in server.log))
        visits: list[Visit] = []
        for number, path in enumerate(tqdm(paths, disable=None)):
            lines = [line for text in texts[number:] + texts[:number] for line in text][:length]
            visits.append(visit(server, path.resolve(), "\n".join(lines)))
            if number:
                before = visits[-2]
                before.again = before.typist.type(before.rest[:1])
        return visits, resident_mb(server.process.pid)


def times(keys: list[Keystroke]) -> dict[str, float]:
    ms = sorted(key.ms for key in keys)
    return {"n": len(ms), "p50": round(statistics.median(ms)), "max": round(ms[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--root", type=Path, default=Path(), help="of the project (default: here)")
    parser.add_argument("--lines", type=int, default=1000, help="of each file (default: %(default)s)")
    args = parser.parse_args()
    visits, rss_mb = run(args.files, args.root, args.lines)
    for name, key in [(v.typist.uri.rpartition("/")[2], key) for v in visits for key in (v.first, v.again) if key]:
        print(f"{name:30} {key.cached_tokens:5}/{key.prompt_tokens:<5} {key.ms:6.0f} ms  {key.reason}")
    returned = times([one.again for one in visits if one.again])
    print(json.dumps({"cold_ms": times([one.first for one in visits]), "back_ms": returned, "rss_mb": round(rss_mb)}))


if __name__ == "__main__":
    main()
