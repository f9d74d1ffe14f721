"""Which files of the user's project there are: what a walk finds, and whether one changed file belongs to it.

A file belongs if it is code in a language we know, written by people, and under one of the roots. Ignore files decide
as they do for git, one folder at a time from the top down: what is inside an ignored folder is not asked about.

It knows nothing of what the files say, beyond whether people wrote it, nor of editors, prompts and models. A file or
folder that makes trouble is passed over.
"""

import logging
import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from pathspec import GitIgnoreSpec

from flash_ls.language import language_of
from flash_ls.secrets import is_secret_file

logger = logging.getLogger(__name__)

_REPOSITORIES = frozenset({".git", ".hg", ".svn", ".bzr", ".jj"})
"""Folders that are never entered, whatever an ignore file says."""
_TOOLS_FOLDERS = """
node_modules bower_components jspm_packages .venv venv virtualenv site-packages __pycache__ __pypackages__ .eggs
.mypy_cache .pytest_cache .ruff_cache .hypothesis .tox .nox .ipynb_checkpoints dist build _build out target vendor
third_party .gradle .idea .vs .next .nuxt .svelte-kit .angular .cache .parcel-cache .turbo .yarn .pnpm-store .terraform
.bundle .dart_tool .build .stack-work dist-newstyle cmakefiles deriveddata pods coverage htmlcov .nyc_output elm-stuff
"""
"""In lower case: folders of what tools make and of other people's code, unless a `.flashlsignore` says `!name/`."""
_SKIPPED = frozenset(_TOOLS_FOLDERS.split())
_MARKERS = ("pyvenv.cfg", "CACHEDIR.TAG")
"""Files that mark the folder they are in as an environment or a cache."""
_GIT_IGNORE = ".gitignore"
_OWN_IGNORE = ".flashlsignore"
_GENERATED_NAME = re.compile(
    r".*[-._]min\.\w+|.*\.bundle\.\w+|.*[-.]lock(?:\.\w+)?|npm-shrinkwrap\.json|.*_pb2(?:_grpc)?\.pyi?"
    r"|.*\.pb(?:\.\w+)?\.(?:go|cc|h)|.*\.g(?:enerated)?\.\w+|.*\.designer\.cs",
    re.IGNORECASE,
)
_GENERATED_TEXT = re.compile(
    r"^\s*(?:#|//|/?\*|--|;|%|<!--|\"\"\")"
    r".*(?:@generated\b|\bgenerated\b[^\n]*\n?[^\n]*\bdo not (?:edit|modify|change)\b)",
    re.IGNORECASE | re.MULTILINE,
)
"""A comment that says so."""
_HEAD_LINES = 10
"""Within how many lines a file says that it is generated."""
_LONGEST_LINE = 5000
"""In characters; nobody writes longer ones."""
_MOST_ENTRIES = 50
"""How many files and folders of all kinds are looked at, for each of `max_files`."""
_LARGEST_IGNORE_FILE = 1_000_000
_MOST_RULES = 10_000
"""Of an ignore file; those at its end count."""
_LONGEST_RULE = 1000
_MOST_DEPTH = 64
"""Folders of a project inside of each other."""
_MOST_GAPS = 4
"""Times a rule may leave out any number of folders: each takes the time to match it times `_MOST_DEPTH`."""
_STAR, _GAP, _ONE = "[^/]*", ".+", "[^/]"
"""How the expression of a rule has `*`, `**` and `?`."""
_JUNCTION = 0xA0000003
"""IO_REPARSE_TAG_MOUNT_POINT: on Windows, a link to a folder that is no symbolic link."""


class SourceFile(NamedTuple):
    """A file of the project, as it was when it was found."""

    path: str
    size: int
    """Bytes."""
    modified_ns: int
    """Nanoseconds since the epoch."""


class _Rule(NamedTuple):
    """One line of an ignore file."""

    pattern: re.Pattern[str]
    ignores: bool
    folders_only: bool


class _Rules(NamedTuple):
    """The lines of an ignore file, last one first, for paths below the folder it stands in."""

    skip: int
    """Length of that folder's `relative` path."""
    rules: tuple[_Rule, ...]


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that belongs to the project, and the ignore files that have a say in it, innermost first."""

    path: str
    relative: str
    """From the top of the repository, with a slash after each part."""
    excludes: _Rules
    own: tuple[_Rules, ...]
    git: tuple[_Rules, ...]
    identity: tuple[int, int]
    """Device and inode; the inode is 0 where there is none."""


class Workspace:
    """The files of some root folders.

    `excludes` are lines of an ignore file for each root, which no ignore file can overrule. Nothing is kept between
    calls: changed ignore files count at once, and any thread may call.
    """

    def __init__(
        self, roots: Iterable[str], excludes: Sequence[str] = (), max_file_bytes: int = 200_000, max_files: int = 20_000
    ) -> None:
        self._roots = sorted({os.path.abspath(root) for root in roots})
        self._excludes = _rules(excludes)
        self._max_file_bytes = max_file_bytes
        self._max_files = max_files

    def files(self) -> Iterator[SourceFile]:
        """The files, those nearest to a root first, each folder's by name; at most `max_files`.

        It reads one folder at a time, so that the caller may pause or stop after any file.
        """
        for count, file in enumerate(self._walk()):
            if count == self._max_files:
                logger.info("workspace", {"reason": "max_files", "files": count})
                return
            yield file

    def accepts(self, path: str) -> bool:
        """Whether the walk would find this file, were there no limit to their number. False if it does not exist."""
        path = os.path.abspath(path)
        root = self._root_of(path)
        if root is None:
            return False
        *parents, name = _parts(path, root)
        folder = _top(root, self._excludes)
        for parent in parents:
            folder = folder and _entered(folder, parent)
        return folder is not None and self._found(folder, name) is not None

    def read(self, path: str) -> str | None:
        """The text of a file, or None if it is not UTF-8, too large, minified, generated, or no file under a root.

        Ignore files are not asked.
        """
        root, real = self._root_of(os.path.abspath(path)), _real(path)
        if root is None or not _holds(_real(root), real) or is_secret_file(real):
            return None
        text = _text(real, self._max_file_bytes)
        return None if text is None or _is_minified(text) or _is_generated(text) else text

    def _root_of(self, path: str) -> str | None:
        """The innermost root that a path is under."""
        return max((root for root in self._roots if _holds(root, path)), key=len, default=None)

    def _walk(self) -> Iterator[SourceFile]:
        waiting = deque(folder for root in self._roots if (folder := _top(root, self._excludes)))
        seen: set[tuple[int, int]] = set()
        left = _MOST_ENTRIES * self._max_files
        while waiting and left > 0:
            folder = waiting.popleft()
            if folder.identity in seen and folder.identity[1]:
                continue
            seen.add(folder.identity)
            files, folders = _entries(folder.path)
            left -= len(files) + len(folders)
            yield from (file for name in files if (file := self._found(folder, name)))
            waiting += [inner for name in folders if (inner := _entered(folder, name))]
        if waiting:
            logger.info("workspace", {"reason": "max_entries", "folders_left": len(waiting)})

    def _found(self, folder: _Folder, name: str) -> SourceFile | None:
        path = os.path.join(folder.path, name)
        if not _is_code(path) or _is_ignored(folder, name, is_folder=False):
            return None
        status = _status(path)
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size > self._max_file_bytes:
            return None
        return SourceFile(path, status.st_size, status.st_mtime_ns)


def _top(root: str, excludes: tuple[_Rule, ...]) -> _Folder | None:
    """A root, with the ignore files above it up to the top of its repository; None if there is no such folder."""
    top = _repository_of(root)
    relative = ""
    git: tuple[_Rules, ...] = (_Rules(0, _rules_of(os.path.join(top, ".git", "info", "exclude"))),)
    for part in _parts(root, top):
        git = (_Rules(len(relative), _rules_of(os.path.join(top, relative, _GIT_IGNORE))), *git)
        relative += f"{part}/"
    status = _status(_real(root))
    return _folder(root, relative, status, _Rules(len(relative), excludes), (), git) if status else None


def _repository_of(root: str) -> str:
    """The nearest folder with a repository in it, from the root upwards; without one the root itself."""
    folder = root
    while not os.path.lexists(os.path.join(folder, ".git")):
        if folder == os.path.dirname(folder):
            return root
        folder = os.path.dirname(folder)
    return folder


def _folder(
    path: str,
    relative: str,
    status: os.stat_result,
    excludes: _Rules,
    own: tuple[_Rules, ...],
    git: tuple[_Rules, ...],
) -> _Folder:
    """The folder, with its own ignore files before those around it."""
    if rules := _rules_of(os.path.join(path, _OWN_IGNORE)):
        own = (_Rules(len(relative), rules), *own)
    if rules := _rules_of(os.path.join(path, _GIT_IGNORE)):
        git = (_Rules(len(relative), rules), *git)
    return _Folder(path, relative, excludes, own, git, (status.st_dev, status.st_ino))


def _entered(folder: _Folder, name: str) -> _Folder | None:
    """A folder inside another, if it belongs. A link never does."""
    path = os.path.join(folder.path, name)
    if (
        name.lower() in _REPOSITORIES
        or len(folder.relative.split("/")) > _MOST_DEPTH
        or _is_ignored(folder, name, is_folder=True)
    ):
        return None
    status = _status(path)
    if status is None or not stat.S_ISDIR(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION:
        return None
    if any(os.path.lexists(os.path.join(path, marker)) for marker in _MARKERS):
        return None
    return _folder(path, f"{folder.relative}{name}/", status, folder.excludes, folder.own, folder.git)


def _is_ignored(folder: _Folder, name: str, is_folder: bool) -> bool:
    relative = folder.relative + name
    ours = _verdict((folder.excludes, *folder.own), relative, is_folder)
    if ours is not None:
        return ours
    return (is_folder and name.lower() in _SKIPPED) or bool(_verdict(folder.git, relative, is_folder))


def _verdict(layers: Iterable[_Rules], relative: str, is_folder: bool) -> bool | None:
    """What the first rule says that matches; None if none does."""
    for skip, rules in layers:
        path = relative[skip:]
        for pattern, ignores, folders_only in rules:
            # The one group of a pattern takes part when a folder above matches, which was asked before.
            if (is_folder or not folders_only) and (match := pattern.search(path)) and not match.lastindex:
                return ignores
    return None


def _rules_of(path: str) -> tuple[_Rule, ...]:
    data = _bytes(path, _LARGEST_IGNORE_FILE)
    return _rules(data.decode("utf-8-sig", "replace").split("\n")) if data else ()


def _rules(lines: Sequence[str]) -> tuple[_Rule, ...]:
    """The rules of an ignore file, last one first. Lines that mean nothing are left out."""
    rules = tuple(rule for line in reversed(lines[-_MOST_RULES:]) if (rule := _rule(line)))
    if len(lines) > _MOST_RULES:
        logger.info("workspace", {"reason": "max_rules", "rules": len(lines)})
    return rules


@lru_cache(4096)
def _rule(line: str) -> _Rule | None:
    line = line.removesuffix("\r")
    line = line if line.endswith("\\ ") else line.rstrip(" ")
    folders_only = line.endswith("/") and line not in ("/", "!/")
    if len(line) > _LONGEST_RULE:
        return None
    try:
        patterns = GitIgnoreSpec.from_lines([line[:-1] if folders_only else line]).patterns
    except (ValueError, re.error):
        return None
    regex, ignores = (patterns[0].regex, patterns[0].include) if patterns else (None, None)
    if regex is None or ignores is None or regex.pattern.count(_GAP) > _MOST_GAPS:
        return None
    return _Rule(re.compile(_atomic(regex.pattern)), ignores, folders_only)


def _atomic(expression: str) -> str:
    """The same, but each star that another one follows in a name takes as little as it can and keeps to that.

    What the later ones can match is no less then, and the time is no power of their number.
    """
    head, *parts = expression.split(_STAR)
    for place, part in enumerate(parts):
        inner = place + 1 < len(parts) and "/" not in part.replace(_ONE, "")
        parts[place] = f"(?>{_STAR}?{part})" if inner else _STAR + part
    return "".join((head, *parts))


def _is_code(path: str) -> bool:
    name = os.path.basename(path)
    return language_of(name) != "text" and not _GENERATED_NAME.fullmatch(name) and not is_secret_file(path)


def _entries(folder: str) -> tuple[list[str], list[str]]:
    """Names of the files and of the folders in a folder, sorted; none if it cannot be read."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                (folders if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
    except OSError as error:
        logger.debug("workspace", {"reason": "unreadable", "error": error})
    return sorted(files), sorted(folders)


def _status(path: str) -> os.stat_result | None:
    """Of the link itself, if it is one; None if there is nothing."""
    try:
        return os.lstat(path)
    except (OSError, ValueError):
        return None


def _real(path: str) -> str:
    """The path without links. One that no file can have stays as it is."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return path


def _bytes(path: str, most: int) -> bytes | None:
    """What is in a file; None if there is no such file, it cannot be read, or is larger than `most` bytes."""
    status = _status(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        logger.debug("workspace", {"reason": "unreadable", "error": error})
        return None
    return data if len(data) <= most else None


def _text(path: str, most: int) -> str | None:
    data = _bytes(path, most)
    if data is None or b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _is_minified(text: str) -> bool:
    return max(map(len, text.split("\n"))) > _LONGEST_LINE


def _is_generated(text: str) -> bool:
    """Of a text that is not minified."""
    head = text[: _HEAD_LINES * _LONGEST_LINE].split("\n")[:_HEAD_LINES]
    return bool(_GENERATED_TEXT.search("\n".join(head)))


def _holds(folder: str, path: str) -> bool:
    """Whether a path is under a folder. Both are absolute and have no dots in them."""
    return os.path.normcase(path).startswith(os.path.join(os.path.normcase(folder), ""))


def _parts(path: str, folder: str) -> list[str]:
    """The names on the way from a folder to a path under it."""
    relative = os.path.relpath(path, folder)
    return [] if relative == os.curdir else relative.split(os.sep)
