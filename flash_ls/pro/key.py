"""The key of a server: from the environment, else from the keyring of the system where that package is installed."""

import os

VARIABLE = "FLASH_LS_PRO_KEY"
SERVICE = "flash-ls"
"""What it is kept under in a keyring, with the host as the user's name."""


def key_for(host: str) -> str:
    """The key, or the empty string. Never shown, logged or written by anybody."""
    return (os.environ.get(VARIABLE) or _in_keyring(host)).strip()


def _in_keyring(host: str) -> str:
    try:
        import keyring  # an extra
    except ImportError:
        return ""
    try:
        return keyring.get_password(SERVICE, host) or ""
    except Exception:  # each backend has errors of its own, and none of them shall keep a server without a key away
        return ""
