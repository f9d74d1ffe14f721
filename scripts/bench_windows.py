#!/usr/bin/env python3
"""What several windows cost: memory in all, and how long one waits while others are idle or type too.

    scripts/bench_windows.py FILE [FILE …] [--windows 1 4 8] [--keys 40]

Each window is a server process of its own with one of the files open, as an editor has it; they share the process that
has the model, or with --in-process each has a model of its own. Memory is the proportional set size (PSS) of all these
processes, which counts what they share once. In the last line but the JSON's, one types while the others are idle, then
while two more type. The last line of the output is JSON.
"""

import argparse
import json
import statistics
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.replaying.process import proportional_mb
from scripts.report import table
from scripts.type_along import OPTIONS, PATIENCE_S
from tests.lsp_client import LspProcess, flash_ls
from tests.typist import Keystroke, Typist

SERVER = flash_ls()
EVERYTHING = {"min_confidence": 0.0}


class Window:
    """A server with one file open, and somebody who types its lines again, one below the other."""

    def __init__(self, command: Sequence[str], path: Path) -> None:
        self.server = LspProcess(command, timeout_s=PATIENCE_S)
        self.server.initialize(options=OPTIONS | EVERYTHING)
        self.server.wait_until(lambda: any("reason=ready" in line for line in self.server.log))
        text = path.read_text(encoding="utf-8")
        middle = text.index("\n", len(text) // 2) + 1
        self._rest = text[middle:]
        self._typist = Typist(self.server, path.resolve().as_uri(), text[:middle], middle)
        self._typist.ask()

    def type(self, keys: int) -> list[Keystroke]:
        typed, self._rest = self._rest[:keys], self._rest[keys:]
        return [self._typist.type(character) for character in typed]


@contextmanager
def windows(count: int, files: Sequence[Path], command: Sequence[str]) -> Iterator[list[Window]]:
    with ExitStack() as stack:
        opened = [Window(command, files[number % len(files)]) for number in range(count)]
        for window in opened:
            stack.callback(window.server.close)
        yield opened


def engines() -> set[int]:
    """The processes that have a model for others."""
    commands = {path.parent.name: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")}
    return {int(number) for number, command in commands.items() if b"\0flash_ls\0engine\0" in command}


def type_together(opened: Sequence[Window], keys: int) -> list[list[Keystroke]]:
    """What each got; all type at the same time."""
    typed: list[list[Keystroke]] = [[] for _ in opened]

    def work(place: int) -> None:
        typed[place] = opened[place].type(keys)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(opened))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return typed


def waited(keys: Sequence[Keystroke]) -> dict[str, float]:
    """Milliseconds of those that the model answered."""
    ms = sorted(key.ms for key in keys if key.prompt_tokens) or [0.0]
    return {"n": len(ms), "p50": round(statistics.median(ms), 1), "p95": round(ms[int(0.95 * (len(ms) - 1))], 1)}


def measure(count: int, args: argparse.Namespace) -> dict[str, object]:
    command = [*SERVER, "--in-process"] if args.in_process else SERVER
    with windows(count, args.files, command) as opened:
        alone = waited(opened[0].type(args.keys))
        three = waited([key for keys in type_together(opened[:3], args.keys) for key in keys])
        pids = {window.server.process.pid for window in opened} | (set() if args.in_process else engines())
        memory = {"processes": len(pids), "pss_mb": round(sum(map(proportional_mb, pids)))}
        return {"windows": count, **memory, "one_types_ms": alone, "three_type_ms": three if count >= 3 else None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--keys", type=int, default=40, help="of each who types (default: %(default)s)")
    parser.add_argument("--in-process", action="store_true")
    args = parser.parse_args()
    said = [measure(count, args) for count in args.windows]
    print(table([list(said[0]), *([str(value) for value in one.values()] for one in said)]))
    print(json.dumps({"windows": said}))


if __name__ == "__main__":
    main()
