"""However a server is told to end, it ends in order: the books closed, nothing left behind, no traceback."""

import os
import signal
import time
from pathlib import Path

import pytest

from flash_ls import presence
from flash_ls.statistics import Statistics, total
from tests.lsp_client import LspProcess, python_module

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
WAIT_S = 60.0
ENDS = {signal.SIGTERM: 143, signal.SIGINT: 130, None: 1}
"""How the server is told, None being the end of its input, and its exit code."""


def end(client: LspProcess, told: signal.Signals | None) -> int:
    """The exit code."""
    if told is None:
        return client.hang_up()
    client.process.send_signal(told)
    code = client.process.wait(WAIT_S)
    client.hang_up()
    return code


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path))
    return tmp_path


def left(home: Path) -> list[str]:
    """What is in the home folder but the statistics and folders."""
    files = (path for path in home.rglob("*") if path.is_file())
    return [path.name for path in files if not path.name.startswith("statistics.")]


@pytest.mark.parametrize("told", ENDS)
@pytest.mark.parametrize("work", ["", "BUSY", "STUBBORN"])
def test_a_server_ends_in_order(home: Path, told: signal.Signals | None, work: str) -> None:
    client = LspProcess(python_module("tests.fake_server", "ready"), WAIT_S)
    client.initialize()
    client.wait_until(lambda: any("reason=ready" in line for line in client.log))
    client.open("file:///a.py", "python", f"words\n{work}")
    client.inline("file:///a.py", 0, 5)
    if work:
        client.start_inline("file:///a.py", 1, 9)
        client.wait_until(lambda: f"fake: {work.lower()}" in client.log)
    while not presence.running(presence.folder_in(home)):
        time.sleep(0.02)
    assert end(client, told) == ENDS[told]
    assert not client.faults
    assert total(Statistics(home).load())["reason/shown"] in (1, 2)
    assert left(home) == []


@pytest.mark.parametrize("told", ENDS)
def test_a_server_that_loads_ends_in_order(home: Path, told: signal.Signals | None) -> None:
    client = LspProcess(python_module("tests.fake_server", "endless"), WAIT_S)
    client.initialize()
    client.wait_until(lambda: any("fake: builds" in line for line in client.log))
    assert end(client, told) == ENDS[told]
    assert not client.faults
    assert left(home) == []


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_nobody_greeted_ends_in_order(home: Path, told: signal.Signals) -> None:
    client = LspProcess(python_module("tests.fake_server", "ready"), WAIT_S)
    end_by = time.monotonic() + WAIT_S
    while not list(home.rglob("*.dump")):
        assert time.monotonic() < end_by, "it does not start"
        time.sleep(0.02)
    time.sleep(0.1)
    assert end(client, told) == ENDS[told]
    assert not client.faults
    assert left(home) == []


def test_who_asked_for_the_end_gets_a_good_code(home: Path) -> None:
    client = LspProcess(python_module("tests.fake_server", "ready"), WAIT_S)
    client.initialize()
    client.request("shutdown")
    assert end(client, signal.SIGTERM) == 0
