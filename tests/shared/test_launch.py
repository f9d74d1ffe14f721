"""Real processes: one engine for all, another when it dies, none left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flash_ls import crash, process
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.decode import GenerationParams
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.onnx_model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled, EngineLost, ModelError
from flash_ls.shared import channel, launch, messages
from flash_ls.shared.channel import Channel
from flash_ls.shared.launch import TAKEN, Launch, Meeting, meeting
from flash_ls.shared.loading import environment
from flash_ls.shared.remote import RemoteEngine

PROMPT = [5, 6, 7, 8] * 20
PARAMS = GenerationParams(6, frozenset())
WAIT_S = 60.0
LOOKS = 30
"""At a process that rests: threads at work rest too, for as long as they wait for each other."""
CONFIG = Config(precision="fp32", threads=1)
SETTINGS = json.dumps({"precision": "fp32", "threads": 1, "cache_mb": CONFIG.cache_mb})


class Place:
    """A home folder, the processes that run for it, and servers."""

    def __init__(self, home: Path, toy: Path, tokenizer: Tokenizer) -> None:
        self.home, self.tokenizer = home, tokenizer
        self.meeting: Meeting = meeting(home, toy, manifest.read(toy).revision, CONFIG)
        self.command = [sys.executable, "-m", "flash_ls", "engine", str(toy), SETTINGS]
        self.pids: set[int] = set()
        assert self.meeting.is_private

    def engine(self) -> RemoteEngine:
        return RemoteEngine(self._connect, self.tokenizer)

    def _connect(self, check: Callable[[], object]) -> tuple[Channel[messages.ToServer], messages.Hello]:
        found = Launch(self.meeting, self.command, environment(self.home)).connect(check)
        self.pids.add(found[1].pid)
        return found

    def wait_until_at_rest(self) -> None:
        end, looks = time.monotonic() + WAIT_S, 0
        while looks < LOOKS:
            looks = looks + 1 if all(process.rests(pid) for pid in self.pids) else 0
            assert time.monotonic() < end
            time.sleep(0.01)

    def kill(self, number: int = signal.SIGKILL) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@pytest.fixture
def place(
    tmp_path: Path, toy_folder: Path, model: OnnxModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path))
    there = Place(tmp_path, toy_folder, tokenizer)
    yield there
    there.kill()


def ask(engine: RemoteEngine) -> list[int]:
    return engine.generate(PROMPT, PARAMS, Deadline()).tokens


def test_two_that_start_at_once_end_as_one(place: Place, model: OnnxModel, tokenizer: Tokenizer) -> None:
    answers: list[list[int]] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(place.engine()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert answers == [LocalEngine(model, tokenizer).generate(PROMPT, PARAMS, Deadline()).tokens] * 3
    assert len(place.pids) == 1


def test_a_second_process_of_the_name_ends_at_once(place: Place) -> None:
    ask(place.engine())
    assert subprocess.run(place.command, stdin=subprocess.DEVNULL, timeout=WAIT_S, check=False).returncode == TAKEN


def test_a_killed_process_costs_one_answer(place: Place) -> None:
    engine = place.engine()
    answer = ask(engine)
    place.kill()
    with contextlib.suppress(EngineLost):
        ask(engine)
    assert ask(engine) == answer
    assert len(place.pids) == 2


def test_a_process_killed_while_it_decodes_costs_one_answer(place: Place) -> None:
    engine = place.engine()
    answer = ask(engine)

    def kill(text: str) -> bool:
        place.kill()
        return False

    with pytest.raises(EngineLost):
        engine.generate(PROMPT, GenerationParams(6, frozenset(), complete=kill), Deadline())
    assert ask(engine) == answer


def test_a_stuck_process_is_replaced(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it would be given for ever if it were at work."""
    monkeypatch.setattr(channel, "MOST_SILENCES", 10**6)
    engine = place.engine()
    answer = ask(engine)
    place.kill(signal.SIGSTOP)
    with pytest.raises(EngineLost):
        ask(engine)
    assert ask(engine) == answer
    assert len(place.pids) == 2


def test_a_process_that_dies_in_native_code_leaves_a_report(place: Place) -> None:
    engine = place.engine()
    answer = ask(engine)
    place.wait_until_at_rest()  # who called cannot always be told in the middle of a call
    place.kill(signal.SIGSEGV)
    with contextlib.suppress(EngineLost):
        ask(engine)
    assert ask(engine) == answer
    found = crash.newest(place.home)
    assert found is not None
    path, report = found
    assert "Segmentation fault" in report["error"]
    assert any(step.startswith("flash_ls/shared/main.py:") for step in report["trace"])
    assert str(place.home) not in path.read_text()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_told_to_end_ends_in_order(place: Place, told: signal.Signals) -> None:
    with subprocess.Popen(place.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + WAIT_S
        while not (place.meeting.folder / f"{place.meeting.name}.sock").exists():
            assert time.monotonic() < end, "it does not listen"
            time.sleep(0.02)
        engine = place.engine()
        answer = ask(engine)
        assert place.pids == {process.pid}
        process.send_signal(told)
        assert process.wait(WAIT_S) == 128 + told
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert {path.suffix for path in place.meeting.folder.iterdir()} <= {".lock", ".log"}
    assert not list((place.home / "crashes").iterdir())
    assert ask(engine) == answer


def test_a_process_that_is_stuck_when_a_server_comes_is_replaced(place: Place) -> None:
    answer = ask(place.engine())
    place.kill(signal.SIGSTOP)
    assert ask(place.engine()) == answer
    assert len(place.pids) == 2


def test_a_removed_socket_is_no_harm(place: Place) -> None:
    engine = place.engine()
    answer = ask(engine)
    (place.meeting.folder / f"{place.meeting.name}.sock").unlink()
    assert ask(engine) == answer
    assert ask(place.engine()) == answer
    assert len(place.pids) == 1


def test_only_its_user_may_connect(place: Place) -> None:
    ask(place.engine())
    assert (place.meeting.folder / f"{place.meeting.name}.sock").stat().st_mode & 0o077 == 0
    assert place.meeting.folder.stat().st_mode & 0o077 == 0


def test_who_cannot_start_says_why(place: Place, tmp_path: Path) -> None:
    place.command[4] = str(tmp_path / "nothing")
    with pytest.raises(ModelError, match="run `flash-ls model build`"):
        ask(place.engine())


def test_who_waits_for_a_start_may_be_cancelled(place: Place) -> None:
    deadline = Deadline()
    threading.Timer(0.1, deadline.cancel).start()
    engine = place.engine()
    with pytest.raises(Cancelled):
        engine.generate(PROMPT, PARAMS, deadline)
    assert ask(engine)
    assert len(place.pids) == 1


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o701])
def test_a_folder_that_is_open_to_others_is_not_used(place: Place, mode: int) -> None:
    assert place.meeting.is_private
    place.meeting.folder.chmod(mode)
    assert not place.meeting.is_private


def test_a_long_home_has_its_socket_elsewhere(toy_folder: Path, model: OnnxModel, tmp_path: Path) -> None:
    home = tmp_path.joinpath(*["long"] * 30)
    place = meeting(home, toy_folder, "0", CONFIG)
    assert len(os.fsencode(place.folder / f"{place.name}.sock")) <= launch.LONGEST_PATH


def test_other_settings_are_another_process(toy_folder: Path, model: OnnxModel, tmp_path: Path) -> None:
    names = {
        meeting(tmp_path, toy_folder, revision, config).name
        for revision in ("0", "1")
        for config in (
            CONFIG,
            Config(precision="int4"),
            Config(threads=3),
            Config(cache_mb=1),
            Config(min_confidence=0.9),
        )
    }
    assert len(names) == 2 * 4 + 2
