"""Where code may be sent, and with which token."""

import sys
from types import ModuleType
from unittest.mock import Mock

import pytest

from flash_ls.errors import ConfigError
from flash_ls.team.site import Site, site

TOKEN = "0123456789abcdef"


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASH_LS_ENGINE_TOKEN", TOKEN)
    monkeypatch.setitem(sys.modules, "keyring", None)  # the user's own is not asked


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://host", Site(True, "host", 443, "", TOKEN)),
        ("https://host:8443/team/", Site(True, "host", 8443, "/team", TOKEN)),
        ("http://localhost:1", Site(False, "localhost", 1, "", TOKEN)),
        ("http://127.8.0.1", Site(False, "127.8.0.1", 80, "", TOKEN)),
        ("http://[::1]:9", Site(False, "::1", 9, "", TOKEN)),
    ],
)
def test_urls(url: str, expected: Site) -> None:
    assert site(url, False) == expected


@pytest.mark.parametrize(
    "url", ["http://host", "http://10.0.0.1:8443", "http://localhost.evil.org", "http://127.0.0.1.nip.io"]
)
def test_code_is_not_sent_unencrypted_unless_the_user_says_so(url: str) -> None:
    with pytest.raises(ConfigError, match=r"use https, or set flashLs.engine_unencrypted"):
        site(url, False)
    assert not site(url, True).encrypted


@pytest.mark.parametrize(
    "url",
    ["host:8443", "ftp://host", "https://", "https://host:none", "https://host:99999", "https://[", "https:host", "/"],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a url like .*; correct flashLs.engine_url"):
        site(url, True)


@pytest.mark.parametrize("url", ["https://me:secret@host", "https://host/?token=1", "https://host#part"])
def test_urls_have_no_secrets(url: str) -> None:
    with pytest.raises(ConfigError, match="more than a host") as raised:
        site(url, True)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("token", ["", "short", "with spaces in between", "line\nbreak-aaaaaaaaaaaa"])
def test_a_token_is_needed(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("FLASH_LS_ENGINE_TOKEN", token)
    with pytest.raises(ConfigError, match=r"The token for host .*; set FLASH_LS_ENGINE_TOKEN, or run `keyring set"):
        site("https://host", False)


def test_the_keyring_is_asked_if_the_environment_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = ModuleType("keyring")
    monkeypatch.setattr(keyring, "get_password", get := Mock(return_value=TOKEN), raising=False)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    assert site("https://host", False).token == TOKEN
    get.assert_not_called()
    monkeypatch.delenv("FLASH_LS_ENGINE_TOKEN")
    assert site("https://host", False).token == TOKEN
    get.assert_called_once_with("flash-ls", "host")


def test_a_locked_keyring_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = ModuleType("keyring")
    monkeypatch.setattr(keyring, "get_password", Mock(side_effect=RuntimeError("locked")), raising=False)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.delenv("FLASH_LS_ENGINE_TOKEN")
    with pytest.raises(ConfigError, match="is missing"):
        site("https://host", False)
