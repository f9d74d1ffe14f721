"""Real servers over stdio that share one engine process."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flash_ls import presence
from tests.lsp_client import LspProcess, flash_ls
from tests.toy_model import write_artifact
from tests.typist import Keystroke, Typist

TEXT = "def total(self):\n    return self\n\n\nprint"
OPTIONS = {"precision": "int8", "threads": 1, "min_confidence": 0.0, "statistics": False}
WAIT_S = 60.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path))
    yield tmp_path
    for pid in engines(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def engines(home: Path) -> set[int]:
    """The engine processes of a home folder."""
    wanted = f"FLASH_LS_HOME={home}".encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_engine = b"\0flash_ls\0engine\0" in (path / "cmdline").read_bytes()
            if is_engine and wanted in (path / "environ").read_bytes().split(b"\0"):
                found.add(int(path.name))
    return found


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact in a precision that is served."""
    folder = tmp_path_factory.mktemp("toy") / "artifact"
    write_artifact(folder, ["int8"])
    return folder


def start(toy: Path, *arguments: str) -> LspProcess:
    client = LspProcess(flash_ls(*arguments), WAIT_S)
    client.initialize(options=OPTIONS | {"model": str(toy)})
    client.wait_until(lambda: any("load reason=" in line for line in client.log))
    return client


def typed(client: LspProcess, above: str = "") -> Keystroke:
    """Who opens a file and asks at its end; `above` makes it a text that is not known yet."""
    text = above + TEXT
    return Typist(client, f"file:///{above.strip()}.py", text, len(text), "python").ask()


needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux lists processes in /proc")


@needs_proc
def test_windows_share_the_model_and_what_it_has_read(home: Path, toy: Path) -> None:
    with start(toy) as one, start(toy) as two, start(toy, "--in-process") as alone:
        expected = typed(alone).shown
        first, again = typed(one), typed(two)
        assert (first.shown, again.shown) == (expected, expected)
        assert first.cached_tokens == 0
        assert again.cached_tokens == again.prompt_tokens - 1
        assert len(engines(home)) == 1


@needs_proc
def test_a_killed_engine_costs_one_suggestion_and_no_box(home: Path, toy: Path) -> None:
    with start(toy) as client:
        assert typed(client).prompt_tokens
        for pid in engines(home):
            os.kill(pid, signal.SIGKILL)
        missed = typed(client, "a\n")
        assert missed.reason == "restarting" or missed.prompt_tokens
        assert typed(client, "b\n").prompt_tokens
        assert not client.heard("window/showMessage")
        assert client.process.poll() is None


@needs_proc
def test_the_engine_outlives_the_server_that_started_it(home: Path, toy: Path) -> None:
    with start(toy) as one, start(toy) as two:
        before = engines(home)
        one.close()
        assert typed(two).prompt_tokens
        assert engines(home) == before != set()


@needs_proc
def test_the_status_tells_what_servers_and_engine_hold(home: Path, toy: Path) -> None:
    def told(name: str) -> list[object]:
        return [report[name] for report in presence.running(presence.folder_in(home)) if name in report]

    with start(toy) as one:
        assert typed(one).prompt_tokens
        until(lambda: told("documents") == [1] and told("slots") == [1])
        one.notify("textDocument/didClose", {"textDocument": {"uri": "file:///.py"}})
        until(lambda: told("documents") == [0])


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
