"""Where a team's server is, whether it may be spoken to, and with which token."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPSConnection
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from flash_ls.credential import may_be_sent
from flash_ls.errors import ConfigError
from flash_ls.team.token import of_user

_FIX = "correct flashLs.engine_url in your editor's settings"


class Site(NamedTuple):
    """One server."""

    encrypted: bool
    host: str
    port: int
    path: str
    token: str

    def connection(self, timeout_s: float) -> HTTPConnection:
        """One that is not connected yet. Certificates are those the system trusts, or of `SSL_CERT_FILE`."""
        if self.encrypted:
            return HTTPSConnection(self.host, self.port, timeout=timeout_s, context=ssl.create_default_context())
        return HTTPConnection(self.host, self.port, timeout=timeout_s)


def site(url: str, unencrypted: bool) -> Site:
    """Where `url` leads; `unencrypted`: even if others can read along. Raises `ConfigError`."""
    parts = _parts(url)
    if not unencrypted and not may_be_sent(parts.scheme, parts.hostname or ""):
        raise ConfigError(
            f"{parts.hostname} would get your code unencrypted; use https, or set flashLs.engine_unencrypted to true."
        )
    host, encrypted = str(parts.hostname), parts.scheme == "https"
    return Site(encrypted, host, parts.port or (443 if encrypted else 80), parts.path.rstrip("/"), of_user(host))


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        known = False
    if not known:
        raise ConfigError(f"{url!r} is not a url like https://host:8443; {_FIX}.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(f"The url of the team's server has more than a host, a port and a path; {_FIX}.")
    return parts
