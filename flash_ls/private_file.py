"""Files of ours that nobody but their owner may read, and that are never seen half written."""

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Replace the file at once; its folder is made if need be. One writer at a time. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = partial(path)
    try:
        with new.open("w", encoding="utf-8", opener=opener) as file:
            file.write(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def opener(path: str, flags: int) -> int:
    """For `open`: a new file is its owner's alone, and a link that is there already is not followed."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def partial(path: Path) -> Path:
    """What is there of a file while it is written; it stays if its writer is killed."""
    return path.with_name(f".{path.name}.partial")
