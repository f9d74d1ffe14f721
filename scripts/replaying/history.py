"""Git repositories made of successive releases of packages: each release is a commit, so that what changed from one to
the next can be typed again.

It knows package indexes and git, and nothing of sessions. Nothing of a package is run: source distributions are fetched
by `unearth`, which has to be installed for them, as pip would run their builds to learn their names.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from models.fetch import download, npm, wheel
from scripts.replaying.source import MOST_BYTES, is_source

LIST = Path(__file__).parents[1] / "replay.txt"
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "releases"), ("EMAIL", "releases@localhost"))
}
FIRST_DAY = 1_600_000_000
DAY_S = 86_400


@dataclass(frozen=True)
class Releases:
    """One line of the list: an index, a package in it, and versions of that, the oldest first."""

    index: str
    name: str
    versions: tuple[str, ...]

    @property
    def folder(self) -> str:
        return f"{self.index}-{self.name.replace('/', '-').removeprefix('@')}"


def sdist(name: str, version: str, folder: str, target: Path) -> None:
    command = [sys.executable, "-m", "unearth", f"{name}=={version}", "--no-binary", "--download", "."]
    with tarfile.open(download(command, folder)) as archive:
        archive.extractall(target, filter="data")


INDEXES: dict[str, Callable[[str, str, str, Path], None]] = {"pypi": wheel, "sdist": sdist, "npm": npm}


def read_list(path: Path) -> list[Releases]:
    """Raises `OSError`, and `ValueError` for a line of another form."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    for line in lines:
        if len(line.split()) < 4 or line.split()[0] not in INDEXES:
            raise ValueError(f"{line!r} is not of the form INDEX NAME VERSION VERSION…, INDEX of {', '.join(INDEXES)}")
    return [Releases(index, name, tuple(versions)) for index, name, *versions in map(str.split, lines)]


def build(releases: Releases, folder: Path) -> None:
    """Make the repository below `folder`, unless it is there. Raises what fetching raises, and `SubprocessError`."""
    target = folder / releases.folder
    if target.exists():
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as scratch:
        repo = Path(scratch) / "repo"
        repo.mkdir()
        git(repo, "init", "--quiet")
        for number, version in enumerate(releases.versions):
            unpacked = fetch(releases, version, Path(scratch) / version)
            commit(repo, sources(unpacked), version, FIRST_DAY + number * DAY_S)
        repo.rename(target)


def fetch(releases: Releases, version: str, folder: Path) -> Path:
    """The folder that one release was unpacked to."""
    (folder / "archive").mkdir(parents=True)
    INDEXES[releases.index](releases.name, version, str(folder / "archive"), folder / "package")
    return folder / "package"


def sources(folder: Path) -> dict[str, bytes]:
    """The source files of a release by their paths, without a folder that has the version in its name."""
    inside = list(folder.iterdir())
    root = inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    wanted = [path for path in paths if is_source(str(path.relative_to(root))) and path.stat().st_size <= MOST_BYTES]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in wanted}


def commit(repo: Path, files: dict[str, bytes], message: str, at: int) -> None:
    """Commit these files and no others; `at` is in seconds."""
    for entry in repo.iterdir():
        if entry.name != ".git":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for path, data in files.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_bytes(data)
    git(repo, "add", "--all", "--force")
    git(repo, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", message, at=at)


def git(repo: Path, *arguments: str, at: int = FIRST_DAY) -> None:
    dates = {"GIT_AUTHOR_DATE": f"@{at} +0000", "GIT_COMMITTER_DATE": f"@{at} +0000"}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(
        ["git", "-C", str(repo), "-c", "core.autocrlf=false", *arguments],
        check=True,
        capture_output=True,
        env=os.environ | AUTHOR | dates | alone,
    )


def repositories(folder: Path, listed: Iterable[Releases]) -> list[Path]:
    """Those of the list that have been made."""
    return [folder / one.folder for one in listed if (folder / one.folder).is_dir()]
