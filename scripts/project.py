"""The rest of a repository, as the completer may see it beside the buffer.

It knows which files there are, not what of them is worth telling: that is the completer's to choose.
"""

import posixpath
from collections.abc import Mapping

from scripts.cases import Case, Suite


class Project:
    """The files of one repository by their paths."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = {_normal(path): text for path, text in files.items()}

    def others(self, case: Case) -> dict[str, str]:
        """All files but the case's own, whose text has the answer."""
        return {path: text for path, text in self._files.items() if path != _normal(case.path)}

    def context_for(self, case: Case) -> object:
        """What the completer is told of the other files: nothing."""
        return None


def projects(suite: Suite) -> dict[str, Project]:
    """A project for every repository that a case is from."""
    return {repo: Project(suite.files.get(repo, {})) for repo in {case.repo for case in suite.cases}}


def _normal(path: str) -> str:
    """One spelling of a path."""
    return posixpath.normpath("/" + path.replace("\\", "/")).lstrip("/")
