"""What a team's server is to be."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from flash_ls.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Plan:
    """Addresses, limits and sizes. The defaults are those of the command line."""

    folder: Path
    """Of the artifact."""
    digests: tuple[bytes, ...]
    """Of the tokens that are let in."""
    host: str = "127.0.0.1"
    port: int = 8443
    certificate: str | None = None
    key: str | None = None
    replicas: int = 1
    most_replicas: int = 0
    target: float = 2.0
    """Requests under way in each replica at which another is started."""
    at_once: int = 8
    """Requests of one replica at the most."""
    queue: int = 32
    """Requests that wait for one; further ones are refused."""
    metrics_port: int = 9090
    precision: str = "auto"
    threads: int = 0
    cache_mb: int = 512

    def check(self) -> None:
        """Raises `ConfigError` if that would be unsafe, or cannot be."""
        if bool(self.certificate) != bool(self.key):
            raise ConfigError("A certificate needs its key; give both --certificate and --key.")
        if self.certificate:
            _check_certificate(self.certificate, str(self.key))
        elif self.host not in ("127.0.0.1", "localhost", "::1"):
            raise ConfigError(
                f"On {self.host} everybody on the way could read code and tokens; give --certificate and --key."
            )
        _check_port(self.host, self.port, "--host or --port")
        _check_port("127.0.0.1", self.metrics_port, "--metrics-port")


def _check_port(host: str, port: int, options: str) -> None:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"{host}:{port} cannot be listened on ({error}); give another with {options}.") from error


def _check_certificate(certificate: str, key: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # an `SSLError` is one
        raise ConfigError(f"{certificate} and {key} are no certificate and key in PEM ({error}).") from error
