"""The folder that a server has open: the files of one commit after the other."""

from pathlib import Path

CREATED, CHANGED, DELETED = 1, 2, 3
"""LSP: FileChangeType."""


def check_out(root: Path, files: dict[str, bytes]) -> list[dict[str, object]]:
    """Put these files below the root and remove all others; what has changed, as LSP tells it."""
    there = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    gone = there.keys() - files.keys()
    for path in gone:
        there[path].unlink()
    same = {path for path in there.keys() - gone if there[path].read_bytes() == files[path]}
    changed = {path: path in there for path in files if path not in same}
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(files[path])
    kinds = {path: CHANGED if was else CREATED for path, was in changed.items()} | dict.fromkeys(gone, DELETED)
    return [{"uri": (root / path).as_uri(), "type": kind} for path, kind in sorted(kinds.items())]
