"""What git knows: which commits changed which source files, and the files of a commit. Read only."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.replaying.source import is_source, is_typed

TREE = 4_000
"""Commits that are looked at, at most."""


class Commit(NamedTuple):
    """A commit with one parent."""

    repo: Path
    id: str
    parent: str

    def texts(self) -> dict[str, tuple[str, str]]:
        """Before and after of the source files that it added or changed and that somebody may have typed."""
        listed = _git(self.repo, "diff-tree", "-r", "-z", "--name-status", "-M", self.parent, self.id).split(b"\0")
        changed = _changed([part.decode("utf-8", "replace") for part in listed])
        texts = {path: self._before_and_after(path) for path in changed}
        return {path: (old, new) for path, (old, new) in texts.items() if is_typed(old) and is_typed(new)}

    def _before_and_after(self, path: str) -> tuple[str, str]:
        return _text(self.repo, self.parent, path), _text(self.repo, self.id, path)


def commits(repo: Path, revision: str = "HEAD") -> Iterator[Commit]:
    """Those reached from a revision, the newest first, without merges. Raises `SubprocessError`."""
    said = _git(repo, "log", f"-{TREE}", "--no-merges", "--format=%H %P", revision).decode()
    for line in said.splitlines():
        found, *parents = line.split()
        if len(parents) == 1:
            yield Commit(repo, found, parents[0])


def files_at(repo: Path, commit: str) -> dict[str, bytes]:
    """All plain files of a commit."""
    with tarfile.open(fileobj=io.BytesIO(_git(repo, "archive", "--format=tar", commit))) as archive:
        members = [member for member in archive if member.isfile()]
        return {member.name: extracted.read() for member in members if (extracted := archive.extractfile(member))}


def _changed(fields: list[str]) -> Iterator[str]:
    """The paths of sources that were added or changed, out of status, path, status, path …"""
    parts = iter(fields)
    for status in parts:
        if status.startswith(("R", "C")):
            next(parts)
        path = next(parts, "")
        if status in ("A", "M") and is_source(path):
            yield path


def _text(repo: Path, commit: str, path: str) -> str:
    """Empty if it is not there; with NUL in it, as no source has, if it is no text."""
    try:
        return _git(repo, "cat-file", "blob", f"{commit}:{path}").decode("utf-8")
    except subprocess.CalledProcessError:
        return ""
    except UnicodeDecodeError:
        return "\0"


def _git(repo: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(repo), *arguments], check=True, capture_output=True).stdout
