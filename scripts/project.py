"""The rest of a repository, as the completer may see it beside the buffer.

It knows which files there are, not what of them is worth telling: that is the completer's to choose.
"""

import posixpath
from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath

from flash_ls.context import Context
from flash_ls.index import Index
from scripts.cases import Case, Suite


class Project:
    """The files of one repository by their paths."""

    def __init__(self, files: Mapping[str, str], repo: str = "") -> None:
        self.name = PurePosixPath(repo).name
        self._files = {_normal(path): text for path, text in files.items()}

    def others(self, case: Case) -> dict[str, str]:
        """All files but the case's own, whose text has the answer."""
        return {path: text for path, text in self._files.items() if path != _normal(case.path)}

    def context_for(self, case: Case) -> Context | None:
        """What the completer is told of the other files; nothing in a repository without any."""
        return Context(_Files(self.name, self.others(case)), self._index) if self.others(case) else None

    @cached_property
    def _index(self) -> Index:
        """Of all files; the completer leaves out the one that it completes."""
        index = Index()
        index.add((f"/{self.name}/{path}", text) for path, text in self._files.items())
        return index


class _Files:
    """Files by the paths that snapshots have (`flash_ls.context.Files`)."""

    def __init__(self, name: str, files: Mapping[str, str]) -> None:
        self.name = name
        self._files = files

    def title(self, path: str) -> str:
        return path.removeprefix(f"/{self.name}/")

    def read(self, path: str) -> str | None:
        return self._files.get(self.title(path))


def projects(suite: Suite) -> dict[str, Project]:
    """A project for every repository that a case is from."""
    return {repo: Project(suite.files.get(repo, {}), repo) for repo in {case.repo for case in suite.cases}}


def _normal(path: str) -> str:
    """One spelling of a path."""
    return posixpath.normpath("/" + path.replace("\\", "/")).lstrip("/")
