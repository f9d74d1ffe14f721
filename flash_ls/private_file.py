"""Files of ours that nobody but their owner may read, and that are never seen half written."""

import os
from pathlib import Path
from typing import TextIO


def write(path: Path, text: str) -> None:
    """Replace the file at once; its folder is made if need be. One writer at a time. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = partial(path)
    try:
        with begin(new) as file:
            file.write(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def begin(path: Path) -> TextIO:
    """The file, empty. A link in its place is not followed. Raises `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8")


def partial(path: Path) -> Path:
    """What is there of a file while it is written; it stays if its writer is killed."""
    return path.with_name(f".{path.name}.partial")
