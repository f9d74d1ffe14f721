"""A file on disk as a snapshot, for those who have no editor open. Each way it can fail has its own sentence."""

from pathlib import Path

from flash_ls.document import Document, Snapshot
from flash_ls.errors import DocumentError


def snapshot_of_file(path: Path, line: int, column: int, max_bytes: int) -> Snapshot:
    """The file with the cursor at a line and a column, both from 0, the column in characters.

    Raises `DocumentError` when the file cannot be read as text, is too large, or has no such place.
    """
    text = _read(path, max_bytes)
    document = Document(path.absolute().as_uri(), "", 0, text, "utf-32", max_bytes)
    snapshot = document.snapshot(line, column)
    if document.position(snapshot.cursor) != (line, column):
        lines = text.count("\n") + 1
        raise DocumentError(f"{path} has no place {line + 1}:{column + 1}; it has {lines} lines, counted from 1.")
    return snapshot


def _read(path: Path, max_bytes: int) -> str:
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise DocumentError(
                f"{path} has {size / 1e6:.0f} MB; files over {max_bytes / 1e6:.0f} MB are not completed."
            )
        data = path.read_bytes()
    except OSError as error:
        raise DocumentError(f"Cannot read {path} ({error.strerror}); give the path of a text file.") from error
    if b"\0" in data:
        raise DocumentError(f"{path} is a binary file; give the path of a text file.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8 first.") from error
