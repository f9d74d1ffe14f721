"""Machines as they are: an old Python, no network, a build that was cut off, a home that is read-only, two servers at
once, and Windows.
"""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flash_ls import presence
from flash_ls.artifact import store
from flash_ls.secrets import is_secret_file
from flash_ls.uri import path_of
from tests.artifact.toy_build import BUILDING, toy_entry
from tests.lsp_client import INLINE, LspProcess, python_module
from tests.toy_model import NAME, write_gguf

ROOT = Path(__file__).resolve().parents[1]
SHOWS_PROGRESS = {**INLINE, "window": {"workDoneProgress": True}}
WAIT_S = 60
WAITING = "waiting for another process that builds the model"
NO_NETWORK = """
import sys


def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        print("network:", event, file=sys.stderr, flush=True)
        raise OSError("there is no network")


sys.addaudithook(refuse)
"""
"""Run by every Python that finds it as `sitecustomize`."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upstream") / "upstream.gguf"
    write_gguf(path)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FLASH_LS_HOME, not made yet."""
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def never(tmp_path: Path) -> Path:
    """A file that there will not be."""
    return tmp_path / "never"


def start(weights: Path, until: Path | None = None, before: Sequence[str] = ()) -> LspProcess:
    """A server of the toy, which loads; a build waits for the file `until`. `before` is put before its command."""
    options = ["--until", str(until)] if until else []
    client = LspProcess([*before, *python_module("tests.toy_server", str(weights), *options)], timeout_s=60)
    client.initialize(capabilities=SHOWS_PROGRESS, options={"model": NAME, "precision": "int8"})
    return client


def building(weights: Path, until: Path) -> LspProcess:
    """A server in the middle of a build."""
    client = start(weights, until)
    await_log(client, f"toy: {BUILDING}")
    return client


def kill(client: LspProcess) -> None:
    client.process.kill()
    client.hang_up()


def logged(client: LspProcess, text: str) -> bool:
    return any(text in line for line in list(client.log))


def await_log(client: LspProcess, text: str) -> None:
    client.wait_until(lambda: logged(client, text))


def answers(client: LspProcess) -> bool:
    """Whether the model has been asked for a suggestion, and no error came of it."""
    await_log(client, "reason=ready")
    client.open("file:///a.py", "python", "def f(self):\n    return ")
    client.inline("file:///a.py", 1, 11, triggerKind=1)
    await_log(client, "complete file=a.py")
    return not (client.faults or logged(client, "reason=error"))


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def shown(client: LspProcess) -> list[str]:
    """What the progress of a load says to the user."""
    return [part["value"].get("message", "") for part in client.heard("$/progress")]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- Python ---


def test_an_old_python_is_refused_by_pip_and_by_setup(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    done = subprocess.run(
        [tmp_path / "scripts" / "setup"], env={**os.environ, "PYTHON": str(old)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("flash-ls needs Python 3.11 or newer; install it or name it: PYTHON=")
    assert names_in(tmp_path) == ["python3", "scripts"]


# --- the network ---


def test_without_a_network_the_model_is_built_and_used(
    weights: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    asking = "import socket; socket.create_connection(('127.0.0.1', 9))"
    asked = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True)
    assert "there is no network" in asked.stderr, "what the server does would not be seen"
    with start(weights) as client:
        assert answers(client)
        assert logged(client, f"toy: {BUILDING}")
        assert client.heard("window/showMessage") == []
        assert not logged(client, "network:")


# --- a build that is cut off ---


def test_a_server_killed_while_it_builds_is_no_trouble_for_the_next(weights: Path, home: Path, never: Path) -> None:
    kill(building(weights, until=never))
    assert any(name.startswith(".partial-") for name in names_in(home / "models"))
    with start(weights) as client:
        assert answers(client)
        assert logged(client, f"toy: {BUILDING}")
    assert names_in(home / "models") == sorted([store.folder_of(toy_entry(weights)).name, f"{NAME}.lock"])
    assert presence.running(presence.folder_in(home)) == []


def test_a_built_model_is_not_built_again(weights: Path, home: Path) -> None:
    with start(weights) as client:
        assert answers(client)
    with start(weights) as client:
        assert answers(client)
        assert not logged(client, f"toy: {BUILDING}")


# --- two servers ---


def test_two_servers_at_once_build_once_and_both_answer(weights: Path, home: Path, tmp_path: Path) -> None:
    with building(weights, until=tmp_path / "go") as first, start(weights) as second:
        second.wait_until(lambda: WAITING in shown(second))
        (tmp_path / "go").touch()
        assert answers(first)
        assert answers(second)
        assert not logged(second, f"toy: {BUILDING}")
        until(lambda: len(presence.running(presence.folder_in(home))) == 2)


def test_a_server_that_waits_builds_when_the_builder_is_killed(weights: Path, home: Path, never: Path) -> None:
    builder = building(weights, until=never)
    with start(weights) as client:
        await_log(client, f"toy: {WAITING}")
        kill(builder)
        assert answers(client)
        assert logged(client, f"toy: {BUILDING}")


# --- a home that is read-only ---


@pytest.fixture
def bound() -> list[str]:
    """What is put before a command so that permissions hold for it, for root too."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv")
    return ["setpriv", "--bounding-set=-dac_override"]


def make_read_only(folder: Path) -> list[Path]:
    """The folder and all in it, in the order in which they can be made writable again."""
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o500 if path.is_dir() else 0o400)
    return paths


def test_a_built_model_is_used_in_a_home_that_is_read_only(weights: Path, home: Path, bound: list[str]) -> None:
    with start(weights) as client:
        assert answers(client)
    paths = make_read_only(home)
    before = [path.stat().st_mtime_ns for path in paths]
    try:
        with start(weights, before=bound) as client:
            assert answers(client)
            assert client.heard("window/showMessage") == []
            assert client.close() == 0
        assert not client.faults
        assert [path.stat().st_mtime_ns for path in paths] == before
    finally:
        for path in paths:
            path.chmod(0o700)


def test_a_model_that_cannot_be_built_in_a_read_only_home_is_one_sentence(
    weights: Path, home: Path, bound: list[str]
) -> None:
    home.mkdir(mode=0o500)
    with start(weights, before=bound) as client:
        client.wait_until(lambda: client.heard("window/showMessage") != [])
        [message] = [told["message"] for told in client.heard("window/showMessage")]
        assert message.startswith(f"Cannot write to {home / 'models'} (Permission denied); ")
        assert message.endswith("mend the permissions, or set FLASH_LS_HOME to another folder.")
        client.open("file:///a.py", "python", "x")
        assert client.inline("file:///a.py", 0, 1) is None
    assert not client.faults


# --- Windows ---

SPELLINGS = ["file:///c%3A/Users/Me/a.py", "file:///C:/Users/Me/a.py", "file:///c:/Users/Me/a.py"]


def fake(options: dict[str, Any] | None = None, root: str | None = None) -> LspProcess:
    client = LspProcess(python_module("tests.fake_server", "ready"), timeout_s=60)
    client.initialize(options=options, root=root)
    await_log(client, "reason=ready")
    return client


def test_a_file_on_a_drive_is_one_file_however_it_is_spelled(home: Path) -> None:
    opened, changed, asked = SPELLINGS
    with fake(root="file:///c%3A/Users/Me") as client:
        client.open(opened, "python", "a = 1\r\nret\r\n")
        place = {"line": 1, "character": 3}
        client.change(changed, 2, [{"range": {"start": place, "end": place}, "text": "urn"}])
        [item] = client.inline(asked, 1, 6)
        assert item["insertText"] == "return|"
        status = client.request("workspace/executeCommand", {"command": "flashLs.status"})
        assert status["entries"][-1]["file"] == "a.py"
        assert status["entries"][-1]["language"] == "python"
        client.notify("textDocument/didClose", {"textDocument": {"uri": changed}})
        assert client.inline(asked, 1, 6) is None
    assert not client.faults
    assert not logged(client, "Users"), "folders are nobody's business"


@pytest.mark.parametrize("uri", ["file:///c%3A/Users/Me/.env", "file:///C:/Users/Me/.ENV", "file://server/share/.env"])
def test_a_secret_file_on_a_drive_is_one(uri: str) -> None:
    assert is_secret_file(path_of(uri))


def test_columns_do_not_count_line_ends(home: Path) -> None:
    with fake() as client:
        for number, end in enumerate(["\n", "\r\n", "\r"]):
            uri = f"file:///{number}.py"
            client.open(uri, "python", f"first{end}CLOSE 😀(😀){end}last")
            [item] = client.inline(uri, 1, 9)
            assert item["insertText"] == "CLOSE 😀(|😀)"
            assert item["range"] == {"start": {"line": 1, "character": 9}, "end": {"line": 1, "character": 12}}
