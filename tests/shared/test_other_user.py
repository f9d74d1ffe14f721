"""Another user of the machine finds nothing to read, to connect to or to put something in the place of."""

import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Listener
from pathlib import Path

import pytest

from flash_ls.shared import channel
from flash_ls.shared.launch import Meeting, meeting
from tests.lsp_client import LspProcess, flash_ls
from tests.shared.test_launch import CONFIG
from tests.shared.test_sharing import engines
from tests.toy_model import write_artifact
from tests.typist import Typist

NOBODY = 65534
OPTIONS = {"precision": "int8", "threads": 1, "min_confidence": 0.0}
WAIT_S = 60.0
TEXT = "def total(self):\n    return self\n\n\nprint"
pytestmark = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user"
)


def as_nobody(work: Callable[[], object]) -> str:
    """What it returns in a process of another user, or the name of the error that it raises."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            said = repr(work())
        except BaseException as error:
            said = type(error).__name__
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that all users can look into, with a short name."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder).resolve()


@pytest.fixture
def home(public: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder in which a server and its engine process are at work."""
    home = public / "home"
    home.mkdir()
    write_artifact(public / "toy", ["int8"])
    monkeypatch.setenv("FLASH_LS_HOME", str(home))
    with LspProcess(flash_ls(), WAIT_S) as client:
        client.initialize(options=OPTIONS | {"model": str(public / "toy")})
        client.wait_until(lambda: any("load reason=" in line for line in client.log))
        assert Typist(client, "file:///a.py", TEXT, len(TEXT), "python").ask().prompt_tokens
        until(lambda: bool(list((home / "run").glob("[0-9]*.json"))))
        yield home
    for pid in engines(home):
        os.kill(pid, 9)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def connected(path: Path) -> bytes:
    """What an engine process says to who connects."""
    with socket.socket(socket.AF_UNIX) as mine:
        mine.settimeout(WAIT_S)
        mine.connect(str(path))
        return mine.recv(100)


def test_another_user_gets_nothing(home: Path) -> None:
    run = home / "run"
    sock = next(run.glob("*.sock"))
    assert b"Hello" in connected(sock)
    tries: dict[str, Callable[[], object]] = {
        "connect": lambda: connected(sock),
        "list": lambda: os.listdir(run),
        "read": lambda: [path.read_bytes() for path in files],
        "put": lambda: (run / "other.sock").symlink_to("/tmp"),
        "remove": lambda: sock.unlink(),
    }
    files = [path for path in run.iterdir() if path.is_file()]
    assert {name: as_nobody(attempt) for name, attempt in tries.items()} == dict.fromkeys(tries, "PermissionError")


def test_the_engine_process_asks_the_system_who_connects(home: Path) -> None:
    """Whatever the modes are by now."""
    sock = next((home / "run").glob("*.sock"))
    sock.chmod(0o777)
    sock.parent.chmod(0o755)
    assert b"Hello" in connected(sock)
    assert as_nobody(lambda: connected(sock)) in (repr(b""), "ConnectionResetError")


def test_all_that_is_said_of_the_user_is_for_the_user_alone(home: Path, public: Path) -> None:
    private = [home / "run", *(home / "run").iterdir(), *home.glob("statistics*")]
    assert {path.suffix for path in private} >= {".json", ".lock", ".sock", ".log"}
    assert {
        path.name: oct(stat.S_IMODE(path.lstat().st_mode)) for path in private if path.lstat().st_mode & 0o077
    } == {}
    others = [path for path in home.rglob("*") if path not in private]
    assert not [path for path in others if path.lstat().st_mode & 0o022]


@pytest.fixture
def squatted(public: Path, monkeypatch: pytest.MonkeyPatch) -> Meeting:
    """Where a server with a long home looks, in a temporary folder that all users share."""
    shared = public / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    place = meeting(public.joinpath(*["long"] * 30), public, "0", CONFIG)
    assert place.folder.parent == shared
    return place


def test_the_place_in_a_shared_folder_is_private(squatted: Meeting) -> None:
    assert squatted.is_private
    assert as_nobody(lambda: os.listdir(squatted.folder)) == "PermissionError"
    assert as_nobody(lambda: squatted.folder.rename(squatted.folder.with_name("mine"))) == "PermissionError"


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777])
def test_a_folder_that_another_user_made_first_is_not_used(squatted: Meeting, mode: int) -> None:
    assert as_nobody(lambda: squatted.folder.mkdir()) == "None"
    assert as_nobody(lambda: squatted.folder.chmod(mode)) == "None"
    assert not squatted.is_private


@pytest.mark.parametrize("to", ["theirs", "ours"])
def test_a_link_that_another_user_made_first_is_not_followed(squatted: Meeting, public: Path, to: str) -> None:
    (public / "ours").mkdir(mode=0o700)
    theirs = squatted.folder.parent / "theirs"
    assert as_nobody(lambda: theirs.mkdir(mode=0o777)) == "None"
    target = {"theirs": theirs, "ours": public / "ours"}[to]
    assert as_nobody(lambda: squatted.folder.symlink_to(target)) == "None"
    assert not squatted.is_private


def test_nothing_is_said_to_a_process_of_another_user(squatted: Meeting) -> None:
    """That listens where ours should be."""
    squatted.folder.mkdir(mode=0o777)
    squatted.folder.chmod(0o777)
    ready, done = os.pipe()
    listening = threading.Thread(target=lambda: heard.append(as_nobody(lambda: listen(squatted, done))))
    heard: list[str] = []
    listening.start()
    os.read(ready, 1)
    with pytest.raises(PermissionError):
        channel.connect(*squatted)
    listening.join(WAIT_S)
    assert heard == ["'EOFError'"]


def listen(place: Meeting, ready: int) -> object:
    """What somebody hears who listens there, or how it ends."""
    with Listener(channel.address(*place), "AF_UNIX") as listener:
        Path(channel.address(*place)).chmod(0o777)
        os.write(ready, b"1")
        with listener.accept() as connection:
            try:
                return connection.recv_bytes()
            except (EOFError, OSError) as error:
                return type(error).__name__
