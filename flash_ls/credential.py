"""Keys and tokens of servers that the user has set: from the environment, else from the system's keyring."""

import ipaddress
import os

SERVICE = "flash-ls"
"""What they are kept under in a keyring, with the host as the user's name."""


def credential(variable: str, host: str) -> str:
    """That of a host, or the empty string. Never shown, logged or written by anybody."""
    return (os.environ.get(variable) or _in_keyring(host)).strip()


def may_be_sent(scheme: str, host: str) -> bool:
    """Whether nobody on the way can read along: encrypted, or within this machine."""
    return scheme == "https" or _is_here(host)


def _in_keyring(host: str) -> str:
    try:
        import keyring  # an extra
    except ImportError:
        return ""
    try:
        return keyring.get_password(SERVICE, host) or ""
    except Exception:  # each backend has errors of its own, and none of them shall keep a server without a key away
        return ""


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
