"""A few seconds of `scripts/fuzz.py` with fixed seeds; and that it finds what is wrong, small and to be run again."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flash_ls import answering, session
from flash_ls.document import Document
from scripts import fuzz
from scripts.fuzzing import cases, channel, drawn, edits, finding, mutations, parsers
from scripts.fuzzing.client import Client
from scripts.fuzzing.finding import Differs, Fault, Finding, Hang, smallest, time_limit
from scripts.fuzzing.pipe import Processes
from scripts.fuzzing.session import Runner

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with Runner(tmp_path) as runner:
        yield runner


@pytest.mark.parametrize("make", [cases.edit_case, cases.message_case, cases.stream_case])
@pytest.mark.parametrize("seed", range(6))
def test_a_case_does_no_harm(runner: Runner, make: Any, seed: int) -> None:
    runner.run(make(Random(seed)))


def test_what_hypothesis_draws_does_no_harm(runner: Runner) -> None:
    drawn.search(runner.run, 20, 0)


def test_a_real_process_is_not_harmed(tmp_path: Path) -> None:
    Processes(tmp_path).run(cases.stream_case(Random(1))[:60])


def test_no_frame_harms_another_connection(tmp_path: Path) -> None:
    engines = channel.Engines(tmp_path)
    for seed in range(20):
        engines.run(channel.case(Random(seed)))


def test_parsers_end_without_an_error(tmp_path: Path) -> None:
    for seed in range(150):
        parsers.Parsers(tmp_path).run(parsers.case(Random(seed)))


# --- that it finds what is wrong ---


def found(runner: Runner, seeds: int = 5) -> finding.Steps:
    """The smallest case that fails."""
    for seed in range(seeds):
        steps = cases.edit_case(Random(seed))
        if finding.fault_of(runner.run, steps):
            return smallest(runner.run, steps)
    raise AssertionError("nothing is found")


def test_a_document_that_differs_is_found(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = Document._resolve

    def wrong(self: Document, line: int, column: int) -> tuple[int, int]:
        """As if a column were one of characters."""
        line, index = resolve(self, line, column)
        content = self._lines[line].rstrip("\r\n")
        return line, index if content.isascii() else min(max(column, 0), len(content))

    monkeypatch.setattr(Document, "_resolve", wrong)
    steps = found(runner)
    assert len(steps) <= 4
    assert isinstance(finding.fault_of(runner.run, steps), Differs)
    monkeypatch.undo()


def test_an_error_in_a_handler_is_found(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(session.FlashServer, "changed", broken)
    assert isinstance(finding.fault_of(runner.run, found(runner)), Fault)


def test_a_request_that_is_not_answered_is_found(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.fuzzing.session.PATIENCE_S", 0.2)
    monkeypatch.setattr(answering.Answering, "complete", _never)
    body = {**edits.note("textDocument/didOpen", {"textDocument": {"uri": "x"}}), "id": 1}
    assert isinstance(finding.fault_of(runner.run, [{"raw": json.dumps(body)}]), Hang)


async def _never(*args: object) -> list[object]:
    await asyncio.sleep(60)
    return []


def test_what_takes_too_long_is_found() -> None:
    with pytest.raises(Hang), time_limit(0.2):
        re.fullmatch("(a*)*b", "a" * 40)


def test_a_finding_is_run_again(tmp_path: Path) -> None:
    path = Finding("parsers", "Hang", "", [{"target": "no such", "text": "", "language": "c", "cursor": 0}]).write(
        tmp_path
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command: list[str | Path] = [sys.executable, ROOT / "scripts" / "fuzz.py", "--replay", path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "KeyError: 'no such'\n")


def test_the_last_line_says_what_was_sent_and_found(tmp_path: Path) -> None:
    run = fuzz.Fuzz(0, time.monotonic() + 60, tmp_path / "findings", tmp_path)
    tallies = {name: run.kind(name, 200) for name in ("edits", "parsers")}
    told = fuzz.summary(tallies, 0)
    assert told["messages"] == 200
    assert (told["crashes"], told["hangs"], told["differing"]) == (0, 0, 0)
    assert json.loads(json.dumps(told))["kinds"]["parsers"]["cases"] == 200


def test_the_same_seed_makes_the_same_cases() -> None:
    for make in (cases.edit_case, cases.stream_case, parsers.case, channel.case):
        assert make(Random(3)) == make(Random(3)) != make(Random(4))


# --- the client's copy ---


@pytest.mark.parametrize(("encoding", "offset"), [("utf-16", 5), ("utf-8", 3), ("utf-32", 6)])
def test_the_copy_counts_as_the_protocol_says(encoding: str, offset: int) -> None:
    assert Client(encoding).offset("é\r\n😀bc", 1, 3) == offset


def test_mutations_reach_every_part_of_a_message() -> None:
    bodies = [mutations.body(Random(seed)) for seed in range(300)]
    assert any(b"NaN" in body for body in bodies)
    assert any(body.count(b"[") > 1000 for body in bodies)
    assert len(set(bodies)) > 250
