"""The larger model in a real server process: what the user sees of it, and what is nowhere to be seen."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from flash_ls.config import Config
from flash_ls.server import create_server
from tests.completions_server import CompletionsFake, completions_server
from tests.lsp_client import INLINE, LspProcess, python_module

KEY = "sk-live-9876543210abcdef"
TOLD = {**INLINE, "experimental": {"flashLs": {"refresh": True, "status": True}}}
URI = "file:///home/a.py"
WAIT_S = 20.0


@pytest.fixture
def fake() -> Iterator[CompletionsFake]:
    with completions_server() as fake:
        yield fake


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLASH_LS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLASH_LS_PRO_KEY", KEY)
    return tmp_path / "home"


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def started(options: dict[str, Any], text: str) -> LspProcess:
    client = LspProcess(python_module("tests.fake_server", "ready"))
    client.initialize(TOLD, options)
    client.wait_until(lambda: any("reason=ready" in line for line in client.log))
    client.open(URI, "python", text)
    return client


def is_loaded(client: LspProcess, name: str) -> bool:
    """Whether the larger model of this name can be asked."""
    return name in (said := str(report(client)["pro"])) and "not loaded" not in said


def texts(client: LspProcess, column: int, invoked: bool = False) -> list[str]:
    return [item["insertText"] for item in client.inline(URI, 0, column, triggerKind=1 if invoked else 2) or []]


def report(client: LspProcess) -> dict[str, Any]:
    return dict(client.request("workspace/executeCommand", {"command": "flashLs.status"}))


def shown_by_the_command(home: Path) -> str:
    """What `flash-ls status` prints."""
    command = [sys.executable, "-m", "flash_ls", "status"]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"FLASH_LS_HOME": str(home)}
    )
    return said.stdout


def test_a_server_by_its_address_betters_what_was_shown(fake: CompletionsFake, home: Path) -> None:
    fake.parts = ["alpha = ", "2"]
    with started({"pro_url": fake.url, "pro_model": "big"}, "alpha") as client:
        until(lambda: is_loaded(client, "big"))
        assert texts(client, 5, invoked=True) == ["alpha|"]
        until(lambda: client.heard("flashLs/refresh"))
        assert client.heard("flashLs/refresh") == [{"uri": URI, "better": True}]
        assert texts(client, 5) == [" = 2"]
        assert texts(client, 5, invoked=True) == [" = 2", "alpha|"]
        assert fake.asked[0].headers["authorization"] == f"Bearer {KEY}"
        host = re.escape(fake.url.removeprefix("http://").removesuffix("/v1"))
        sentence = rf"big at {host} was asked 1 times, 1 of 60 in this hour\."
        until(lambda: any(re.fullmatch(sentence, said["pro"]) for said in client.heard("flashLs/status")))
        assert re.fullmatch(sentence, report(client)["pro"])
        assert report(client)["pro_requests"]["better"] == 1
        until(lambda: re.search(sentence, shown_by_the_command(home)))
        assert_secret(client, home)


def assert_secret(client: LspProcess, home: Path) -> None:
    """The key is in no log, no message and no file."""
    assert KEY not in "\n".join(client.log)
    assert KEY not in json.dumps([client.notifications, report(client)])
    assert not [path for path in home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize("settings", [{"pro_url": "http://127.0.0.1:9"}, {"pro": "toy"}], ids=str)
async def test_a_server_by_its_address_is_asked_for_bodies_too(settings: dict[str, str], tmp_path: Path) -> None:
    server = create_server(lambda config, progress: Mock(), tmp_path, Config(**settings))  # type: ignore[arg-type]
    await server.load_pro()
    assert server.pro.answers is not None
    assert server.pro.for_bodies == ("pro_url" in settings)
    server.stop()


@pytest.mark.parametrize("fault", ["down", "garbage", "refused"])
def test_a_fault_leaves_what_was_shown_and_is_told(fake: CompletionsFake, home: Path, fault: str) -> None:
    match fault:
        case "down":
            fake.url = "http://127.0.0.1:9/v1"
        case "garbage":
            fake.raw = f"<html>{KEY}</html>\n".encode()
        case "refused":
            fake.status = 401
    with started({"pro_url": fake.url}, "alpha") as client:
        until(lambda: is_loaded(client, "127.0.0.1"))
        assert texts(client, 5, invoked=True) == ["alpha|"]
        until(lambda: "flashLs.pro" in report(client)["pro"] or "FLASH_LS_PRO_KEY" in report(client)["pro"])
        assert report(client)["pro"].count(". ") == 1
        assert report(client)["state"] == "ready"
        assert texts(client, 5, invoked=True) == ["alpha|"]
        assert client.heard("flashLs/refresh") == []
        assert client.heard("window/showMessage") == []
        assert_secret(client, home)


def test_a_model_of_this_machine_by_its_name(home: Path) -> None:
    with started({"pro": "larger"}, "alpha") as client:
        until(lambda: is_loaded(client, "larger"))
        assert texts(client, 5, invoked=True) == ["alpha|"]
        until(lambda: client.heard("flashLs/refresh"))
        assert texts(client, 5) == ["larger: alpha"]
        assert report(client)["pro"] == "larger was asked 1 times, 1 of 60 in this hour."


def test_nothing_is_asked_unless_it_is_set(fake: CompletionsFake, home: Path) -> None:
    with started({}, "alpha") as client:
        assert texts(client, 5, invoked=True) == ["alpha|"]
        time.sleep(0.5)
        assert (report(client)["pro"], report(client)["pro_requests"]) == ("", None)
        assert client.heard("flashLs/refresh") == []


def test_another_one_may_be_set_at_any_time(fake: CompletionsFake, home: Path) -> None:
    fake.parts = ["alpha!"]
    with started({"pro": "larger"}, "alpha") as client:
        client.notify("workspace/didChangeConfiguration", {"settings": {"flashLs": {"pro": "", "pro_url": fake.url}}})
        until(lambda: is_loaded(client, "127.0.0.1"))
        texts(client, 5, invoked=True)
        until(lambda: fake.asked)
        client.notify("workspace/didChangeConfiguration", {"settings": {"flashLs": {"pro": "", "pro_url": ""}}})
        until(lambda: report(client)["pro"] == "")


@pytest.mark.parametrize("url", ["http://user:{}@localhost/v1", "http://localhost/v1?key={}", "ftp://{}", "{}"])
def test_a_key_in_the_address_is_refused_and_not_repeated(home: Path, url: str) -> None:
    with started({"pro_url": url.format(KEY)}, "alpha") as client:
        until(lambda: client.heard("window/showMessage"))
        (said,) = client.heard("window/showMessage")
        assert said["message"].startswith("Setting pro_url must")
        assert_secret(client, home)
