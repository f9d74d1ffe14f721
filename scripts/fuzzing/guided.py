"""Coverage-guided fuzzing with Atheris (libFuzzer): inputs that reach new code in `flash_ls` are kept and changed.

    python -m scripts.fuzzing.guided RESULT RUNS SEED CORPUS

An input is where the generators take their chance from, so that a change of a byte is a change of a decision. Its first
byte says what is made: edits, mutated messages or input of a parser. RESULT is written again and again: how many
messages and inputs there were, and the finding, if there is one.
"""

import json
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import atheris

with atheris.instrument_imports(include=["flash_ls"]):
    from scripts.fuzzing import cases, edits, mutations, parsers
    from scripts.fuzzing.finding import Finding, Steps, fault_of, smallest
    from scripts.fuzzing.session import Runner

TOGETHER = 12
"""Messages of one input."""
LONGEST = 512
"""Bytes of one input."""
WRITES = 10
"""Inputs between two results."""


class Bytes(Random):
    """Chance that comes from bytes, and is nothing but zeros where they end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self._data, self._at = data, 0

    def random(self) -> float:
        return self.getrandbits(32) / 2**32

    def getrandbits(self, k: int) -> int:
        size = (k + 7) // 8
        part = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(part, "little") & ((1 << k) - 1)


class Guided:
    """What libFuzzer calls, and the result so far."""

    def __init__(self, result: Path, home: Path) -> None:
        self._result = result
        self._runners: dict[str, Any] = {"messages": Runner(home), "parsers": parsers.Parsers(home)}
        self.counts = {"messages": 0, "inputs": 0}
        self._runs = 0

    def one(self, data: bytes) -> None:
        chance = Bytes(data)
        kind = chance.randrange(4)
        steps = parsers.case(chance) if kind == 3 else _messages(chance, kind)
        self._run("parsers" if kind == 3 else "messages", steps)

    def _run(self, kind: str, steps: Steps) -> None:
        runner = self._runners[kind]
        self.counts["inputs" if kind == "parsers" else "messages"] += len(steps)
        self._runs += 1
        if error := fault_of(runner.run, steps):
            small = smallest(runner.run, steps)
            found = Finding(kind, type(error).__name__, str(error), small)
            self.write(vars(found))
            raise error
        if self._runs % WRITES == 0:
            self.write(None)

    def write(self, found: object) -> None:
        self._result.write_text(json.dumps(self.counts | {"finding": found}), encoding="utf-8")


def _messages(chance: Random, kind: int) -> Steps:
    """Few messages, most of them meant or most of them mutated."""
    steps: Steps = [{"own": message} for message in edits.sequence(chance, TOGETHER if kind == 0 else 2)]
    others = [{"raw": mutations.body(chance).decode("latin-1")} for _ in range(0 if kind == 0 else TOGETHER - 2)]
    return [{"encoding": chance.choice(cases.ENCODINGS)}, *steps, *others]


def main() -> None:
    result, runs, seed, corpus = sys.argv[1:5]
    with tempfile.TemporaryDirectory() as home:
        guided = Guided(Path(result), Path(home))
        options = [f"-runs={runs}", f"-seed={seed}", f"-max_len={LONGEST}", "-timeout=120", "-rss_limit_mb=4096"]
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", corpus], guided.one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
