"""Where keys come from, and where they may go."""

import sys
from types import SimpleNamespace

import pytest

from flash_ls.credential import credential, may_be_sent

VARIABLE = "A_KEY"


def test_the_key_comes_from_the_environment_else_from_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert credential(VARIABLE, "host") == ""
    known = SimpleNamespace(get_password=lambda service, user: f"{service} {user}")
    monkeypatch.setitem(sys.modules, "keyring", known)
    assert credential(VARIABLE, "host") == "flash-ls host"
    monkeypatch.setenv(VARIABLE, "sk-a\n")
    assert credential(VARIABLE, "host") == "sk-a"


def test_a_locked_keyring_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_password(service: str, user: str) -> str:
        raise RuntimeError("locked")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=get_password))
    assert credential(VARIABLE, "host") == ""


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "::1"])
def test_this_machine_may_be_told_unencrypted(host: str) -> None:
    assert may_be_sent("http", host)


@pytest.mark.parametrize("host", ["example.org", "localhost.example.org", "10.0.0.2", "128.0.0.1", "0.0.0.0", ""])
def test_others_only_encrypted(host: str) -> None:
    assert not may_be_sent("http", host)
    assert may_be_sent("https", host)
