"""Document URIs: one spelling for all that mean the same file, the file's path, and its name in a message."""

import os
import re
import sys
from urllib.parse import unquote

_LONGEST_NAME = 255
_LONGEST_CHARACTER = 12
"""As a URI spells it."""


def normalise(uri: str) -> str:
    """Percent-encoding undone, scheme and drive letter in lower case, and `/` where Windows has backslashes.

    For comparing: it may be no URI any more.
    """
    scheme, colon, rest = uri.partition(":")
    # Bytes that are not UTF-8 keep distinct spellings: two files must never become one document.
    plain = scheme.lower() + colon + unquote(rest, errors="backslashreplace")
    drive = re.match(r"file:/{2,}([A-Za-z]):", plain)
    return f"file:///{drive[1].lower()}:" + plain[drive.end() :].replace("\\", "/") if drive else plain


def path_of(uri: str) -> str:
    """The file's path with `/` between its parts, or the URI itself if it is no file."""
    scheme, _, path = normalise(uri).partition("://")
    if scheme != "file":
        return uri
    if re.match(r"/[a-z]:", path):
        return path[1:]
    return path if path.startswith("/") else f"//{path}"  # a Windows share


def local_path(uri: str) -> str | None:
    """The file's path if it is one that may be opened: absolute, and on this machine; on Windows, on a share too."""
    path = path_of(uri)
    elsewhere = path.startswith("//") and sys.platform != "win32"
    return path if uri[:5].lower() == "file:" and os.path.isabs(path) and not elsewhere else None


def file_name(uri: str) -> str:
    """Enough to know the document by, and nothing of where the user keeps it."""
    return normalise(uri[-_LONGEST_NAME * _LONGEST_CHARACTER :]).rsplit("/", 1)[-1][-_LONGEST_NAME:]
