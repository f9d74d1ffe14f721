"""Files of ours that nobody but their owner may read, and that are never seen half written."""

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Replace the file at once; its folder is made if need be. One writer at a time. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
