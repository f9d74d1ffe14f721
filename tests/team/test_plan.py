"""A server that would be unsafe does not start, and says why."""

import socket
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest

from flash_ls.cli import TEAM_OPTIONS, main
from flash_ls.errors import ConfigError
from flash_ls.team.plan import Plan
from tests.team.toy_team import TOKEN


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """What would start the server."""
    deployment = ModuleType("flash_ls.team.deployment")
    monkeypatch.setattr(deployment, "run", started := Mock(), raising=False)
    monkeypatch.setitem(sys.modules, "flash_ls.team.deployment", deployment)
    monkeypatch.setenv("FLASH_LS_ENGINE_TOKEN", TOKEN)
    return started


def serve(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(["serve", *arguments])
    return int(exit_info.value.code or 0)


def test_the_plan_is_that_of_the_command_line(run: Mock, toy_folder: Path, model: object) -> None:
    assert serve("--model", str(toy_folder), "--replicas", "3", "--target", "1.5", "--metrics-port", "0") == 0
    (plan,) = run.call_args.args
    assert plan == Plan(toy_folder, plan.digests, replicas=3, target=1.5, metrics_port=0)
    assert TOKEN not in repr(plan)


def test_every_field_has_an_option() -> None:
    assert set(TEAM_OPTIONS) | {"folder", "digests"} == set(Plan.__dataclass_fields__)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "everybody on the way could read"),
        (["--certificate", "cert.pem"], "give both --certificate and --key"),
        (["--certificate", "none.pem", "--key", "none.pem"], "no certificate and key in PEM"),
        (["--tokens", "none"], "cannot be read"),
    ],
)
def test_what_is_unsafe_or_missing_is_said(
    run: Mock, toy_folder: Path, model: object, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert serve("--model", str(toy_folder), *arguments) == 2
    assert said in capsys.readouterr().err
    run.assert_not_called()


def test_without_a_token_there_is_no_server(
    run: Mock, toy_folder: Path, model: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FLASH_LS_ENGINE_TOKEN")
    assert serve("--model", str(toy_folder)) == 2
    assert "16 characters or more" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_needs_no_certificate(host: str) -> None:
    Plan(Path(), (), host=host, port=0, metrics_port=0).check()
    with pytest.raises(ConfigError):
        Plan(Path(), (), host="10.0.0.1", port=0, metrics_port=0).check()


def test_a_port_in_use_is_said() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match="give another with --host or --port"):
            Plan(Path(), (), port=port, metrics_port=0).check()
        with pytest.raises(ConfigError, match="give another with --metrics-port"):
            Plan(Path(), (), port=0, metrics_port=port).check()
    with pytest.raises(ConfigError, match="cannot be listened on"):
        Plan(Path(), (), port=70_000, metrics_port=0).check()
