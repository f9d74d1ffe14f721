"""A real team's server: `flash-ls serve` with its replicas, in a home folder of its own, over TLS."""

import contextlib
import datetime
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from flash_ls.deadline import Deadline
from flash_ls.engine import manifest
from flash_ls.engine.manifest import TOKENIZER_FILE
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import EngineLost
from flash_ls.team.client import TeamEngine
from flash_ls.team.frames import fingerprint
from flash_ls.team.site import Site

TOKEN = "a-token-of-the-tests"
START_S = 600.0


class TeamProcess:
    """The server in a `with` block, which waits until it answers."""

    def __init__(self, home: Path, model: Path, options: Sequence[str], certificate: Path | None = None) -> None:
        """`certificate`: a PEM file with its key, for TLS."""
        self.port, self.metrics_port = _free_port(), _free_port()
        self._described = manifest.read(model)
        self._tokenizer = Tokenizer(model / TOKENIZER_FILE)
        self.site = Site(certificate is not None, "127.0.0.1", self.port, "", TOKEN)
        tls = ["--certificate", str(certificate), "--key", str(certificate)] if certificate else []
        ports = ["--port", str(self.port), "--metrics-port", str(self.metrics_port)]
        self._command = [sys.executable, "-m", "flash_ls", "serve", "--model", str(model), *ports, *tls, *options]
        self.home = home
        self._environment = os.environ | {"FLASH_LS_HOME": str(home), "FLASH_LS_ENGINE_TOKEN": TOKEN}

    def __enter__(self) -> Self:
        self.home.mkdir(exist_ok=True)
        with (self.home / "serve.log").open("w") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = Deadline(START_S * 1000)
        while not self._answers():
            if end.expired or self.process.poll() is not None:
                self.__exit__()
                raise TimeoutError((self.home / "serve.log").read_text()[-3000:])
            threading.Event().wait(0.2)
        return self

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def engine(self, token: str = TOKEN) -> TeamEngine:
        """One for one user."""
        return TeamEngine(self.site._replace(token=token), fingerprint(self._described), self._tokenizer)

    def replicas(self, tries: int = 30) -> set[int]:
        """The processes that answer."""
        return {self.engine().hello().pid for _ in range(tries)}

    def metrics(self) -> dict[str, float]:
        """Those of ours, as Prometheus reads them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as response:
            lines = [line for line in response.read().decode().splitlines() if line.startswith("ray_flash_ls_")]
        return dict(_summed(lines))

    def processes(self) -> list[int]:
        """All that were started for it and still run."""
        wanted = f"FLASH_LS_HOME={self.home}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if wanted in (path / "environ").read_bytes().split(b"\0"):
                    found.append(int(path.name))
        return found

    def _answers(self) -> bool:
        try:
            return bool(self.engine().hello())
        except EngineLost:
            return False


def _summed(lines: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Each metric with the label that is ours, over all replicas."""
    sums: dict[str, float] = {}
    for line in lines:
        name, _, rest = line.partition("{")
        labels, _, value = rest.rpartition("} ")
        ours = [label for label in labels.split(",") if label.startswith(("outcome=", "kind="))]
        key = name.removeprefix("ray_flash_ls_") + "".join(f" {label}" for label in ours)
        sums[key] = sums.get(key, 0.0) + float(value)
    yield from sums.items()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def write_certificate(path: Path) -> None:
    """One for 127.0.0.1 that signs itself, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    signed = builder.add_extension(addresses, critical=True).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    path.write_bytes(
        signed.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
    )
    assert ssl.create_default_context(cafile=str(path))
