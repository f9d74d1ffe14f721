"""Reports of errors nobody expected: what is in them, what is not, and that they never stand in the way."""

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flash_ls import crash, doctor, trace
from flash_ls.config import Config
from flash_ls.crash import CrashReports
from flash_ls.errors import ModelError
from flash_ls.trace import PACKAGE
from tests.lsp_client import LspError, LspProcess, python_module
from tests.toy_model import write_artifact

log = logging.getLogger("flash_ls.test")
DIES = """
import faulthandler, os, signal, sys
from pathlib import Path
from flash_ls.crash import CrashReports
CrashReports(Path(sys.argv[1]), "server", dict).start()
planted_name = "planted text"
os.kill(os.getpid(), signal.SIGSEGV)
"""
ENDS = DIES.replace("os.kill(os.getpid(), signal.SIGSEGV)", "raise ValueError(planted_name)")
needs_posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals and modes")


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[CrashReports]:
    """Of this process, by what is logged alone."""
    handler = CrashReports(tmp_path, "server", lambda: {"reasons": ["shown"]})
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def written(home: Path) -> list[Path]:
    return sorted((home / "crashes").glob("*.json"))


def fail(number: int) -> None:
    """In another way for each number."""
    code = compile("\n" * number + "raise ValueError('planted')", "/home/jane/private_project/a.py", "exec")
    try:
        exec(code)
    except ValueError:
        log.exception("It failed.")


@needs_posix
def test_a_report_says_where_and_nothing_of_the_users(tmp_path: Path, reports: CrashReports) -> None:
    fail(4)
    [path] = written(tmp_path)
    report = json.loads(path.read_text())
    assert report["error"] == "ValueError"
    assert report["role"] == "server"
    assert report["reasons"] == ["shown"]
    assert report["trace"][1].startswith("tests/test_crash.py:")
    assert report["trace"][2] == "a.py:5 <module>"
    assert {"flash-ls", "python", "platform", "onnxruntime", "time"} <= report.keys()
    assert not [word for word in ("planted", "jane", "private_project", str(Path.home())) if word in path.read_text()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_it_came_from_is_told(tmp_path: Path, reports: CrashReports) -> None:
    try:
        try:
            dict[str, int]()["planted"]
        except KeyError as error:
            raise ZeroDivisionError("planted") from error
    except ZeroDivisionError:
        log.exception("It failed.")
    steps = json.loads(written(tmp_path)[0].read_text())["trace"]
    assert [step for step in steps if ":" not in step] == ["ZeroDivisionError", "KeyError"]


def test_the_newest_are_kept(tmp_path: Path, reports: CrashReports) -> None:
    for number in range(crash.KEPT + 3):
        fail(number)
    found = [json.loads(path.read_text())["trace"][2] for path in written(tmp_path)]
    assert found == [f"a.py:{number + 1} <module>" for number in range(3, crash.KEPT + 3)]
    assert crash.newest(tmp_path) == (written(tmp_path)[-1], json.loads(written(tmp_path)[-1].read_text()))


def test_the_same_is_reported_once(tmp_path: Path, reports: CrashReports) -> None:
    for _ in range(3):
        fail(1)
    assert len(written(tmp_path)) == 1


def test_what_is_expected_is_no_crash(tmp_path: Path, reports: CrashReports) -> None:
    log.error("The model is broken.")
    log.error("The model is broken.", exc_info=ModelError("The model is broken."))
    assert not written(tmp_path)


def test_a_folder_that_cannot_be_written_is_no_matter(tmp_path: Path, reports: CrashReports) -> None:
    (tmp_path / "crashes").write_text("no folder")
    fail(1)
    assert crash.newest(tmp_path) is None


def test_what_ends_a_thread_is_reported(tmp_path: Path, reports: CrashReports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    other = CrashReports(tmp_path, "server", dict)
    other.start()
    try:
        thread = threading.Thread(target=lambda: dict[str, int]()["planted"])
        thread.start()
        thread.join()
    finally:
        other.end()
        logging.getLogger().removeHandler(other)
    assert json.loads(written(tmp_path)[0].read_text())["error"] == "KeyError"
    assert not list((tmp_path / "crashes").glob("*.dump"))


@needs_posix
def test_what_native_code_says_as_it_dies_becomes_a_report(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGSEGV
    found = crash.newest(tmp_path)
    assert found is not None
    path, report = found
    assert "Segmentation fault" in report["error"]
    assert report["trace"] == ["<string>:7 <module>"]
    assert "planted" not in path.read_text()
    assert [one.suffix for one in path.parent.iterdir()] == [".json"]


@needs_posix
def test_what_a_killed_process_has_left_is_deleted(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as dead:
        pass
    (tmp_path / "crashes").mkdir()
    for name in (f"{dead.pid}.dump", f"{os.getpid()}.dump", "odd.dump"):
        (tmp_path / "crashes" / name).touch()
    assert crash.newest(tmp_path) is None
    assert [path.name for path in (tmp_path / "crashes").iterdir()] == [f"{os.getpid()}.dump"]


def test_what_ends_the_process_is_reported(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ENDS, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [path] = written(tmp_path)
    assert json.loads(path.read_text())["error"] == "ValueError"
    assert "planted" not in path.read_text() + done.stderr


def test_an_error_of_a_request_is_reported_and_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path))
    with LspProcess(python_module("tests.fake_server", "ready")) as client:
        client.initialize(options={"exclude": ["private_project"], "budget_ms": 2000})
        client.wait_until(lambda: any("reason=ready" in line for line in client.log))
        for number in range(2):
            uri = f"file:///home/private_project/{number}.py"
            client.open(uri, "python", "words\nplanted CRASH")
            client.inline(uri, 0, 5)
            with pytest.raises(LspError):
                client.inline(uri, 1, 13)
        report = read(tmp_path)
        boxes = [one["message"] for one in client.heard("window/showMessage")]
    assert boxes == ["flash-ls met an error of its own; `flash-ls doctor` says where the report of it is."]
    assert report["error"] == "ZeroDivisionError"
    assert any(step.startswith("tests/fake_server.py:") and "_misbehave" in step for step in report["trace"])
    assert report["reasons"] == ["shown", "error"]
    assert report["settings"]["budget_ms"] == 2000
    assert report["settings"]["model"] == "flash"
    assert not [word for word in ("planted", "private_project") if word in json.dumps(report)]


def test_an_error_while_loading_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path))
    with LspProcess(python_module("tests.fake_server", "broken")) as client:
        client.initialize()
        client.wait_until(lambda: any("error of its own" in line for line in client.log))
        assert read(tmp_path)["error"] == "ZeroDivisionError"


def test_the_doctor_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reports: CrashReports) -> None:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path))
    write_artifact(tmp_path / "toy")
    fail(1)
    [problem] = doctor.examine(Config(model=str(tmp_path / "toy"))).problems
    [path] = written(tmp_path)
    assert "ValueError" in problem
    assert str(path) in problem
    assert "open an issue" in problem
    path.write_text(path.read_text().replace('"flash-ls": "', '"flash-ls": "0.0.'))
    assert not doctor.examine(Config(model=str(tmp_path / "toy"))).problems, "another version had it"


def read(home: Path) -> dict[str, Any]:
    """The newest report, once there is one."""
    end = time.monotonic() + 10
    while (found := crash.newest(home)) is None:
        assert time.monotonic() < end, "nothing is reported"
        time.sleep(0.02)
    return found[1]


def test_of_a_death_in_native_code_the_calls_of_every_thread_are_known() -> None:
    deep = "".join(f'  File "{PACKAGE / "deep.py"}", line {line} in dig\n' for line in range(90))
    main_thread = f'  File "{PACKAGE / "shared" / "main.py"}", line 7 in run\n'
    dump = f"Fatal Python error: Aborted\n\nCurrent thread 0x1:\n{deep}\nThread 0x2:\n{main_thread}"
    steps = trace.native_steps(dump)
    assert steps[0] == "flash_ls/deep.py:0 dig"
    assert steps[-1] == "flash_ls/shared/main.py:7 run"
    assert len(steps) == trace.MOST_STEPS + 1
