"""Tokens: what a user's server shows, and what a team's server knows of it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from flash_ls.credential import SERVICE, credential
from flash_ls.errors import ConfigError

VARIABLE = "FLASH_LS_ENGINE_TOKEN"
PATTERN = re.compile(r"[!-~]{16,512}")
"""What a token may be."""


def of_user(host: str) -> str:
    """The user's token for a host. Raises `ConfigError`."""
    found = credential(VARIABLE, host)
    if not PATTERN.fullmatch(found):
        fault = "has spaces or is too short" if found else "is missing"
        raise ConfigError(f"The token for {host} {fault}; set {VARIABLE}, or run `keyring set {SERVICE} {host}`.")
    return found


def known(path: Path | None) -> tuple[bytes, ...]:
    """Digests of the tokens of a file, or of the one in the environment. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8") if path else os.environ.get(VARIABLE, "")
    except (OSError, ValueError) as error:
        raise ConfigError(f"The tokens in {path} cannot be read ({error}); give another file with --tokens.") from error
    return tuple(digests(text))


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def digests(text: str) -> list[bytes]:
    """Of the tokens of a text, one in a line; lines that begin with # are remarks. Raises `ConfigError`."""
    lines = [line.strip() for line in text.splitlines()]
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens or not all(PATTERN.fullmatch(token) for token in tokens):
        raise ConfigError(
            f"A server needs tokens of 16 characters or more, without spaces: one in {VARIABLE}, or one for each user"
            " in a line of the file of --tokens; `openssl rand -hex 24` makes one."
        )
    return [digest(token) for token in tokens]
