"""Source files to learn from: those of unpacked packages, without what was not written by hand or must not be learnt.

    FOLDER/PACKAGE/…        any layout below; the name of a package says where it is from

Left out are files that are generated, minified, vendored or compiled, that have secrets, that are largely the same as
one seen before, or that share lines with the files the models are scored on. It knows nothing of prompts and models.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from flash_ls.language import language_of
from flash_ls.secrets import is_secret_file, mask

LANGUAGES = ("python", "javascript", "typescript", "tsx", "go", "rust", "java", "cpp")
SMALLEST, LARGEST = 600, 60_000
"""Characters of a file that is taken."""
LONGEST_LINE = 240
WINDOW_LINES = 4
"""Two files are compared by the runs of so many lines that both have, blank ones and indentation aside."""
MOST_SHARED = 0.5
"""Of a file's runs, how many may stand in files seen before."""
MOST_SCORED = 3
"""Runs that a file may share with those the models are scored on: licences and imports are alike everywhere."""

_FOREIGN = re.compile(
    r"(?:^|/)(?:\.|(?:node_modules|_?vendor(?:ed)?|third[-_]?party|externals?|deps|dist|build|out|compiled?|bundles?|min"
    r"|generated|gen|locales?|i18n|migrations|testdata|fixtures?|esm\d*|cjs|umd|amd|fesm\d*|cjs-build|lib\.esm|_cjs)/)"
    r"|[.-]min\.|\.d\.[cm]?ts$|\.(?:umd|cjs|esm|bundle|prod|production|development)\.|_pb2|\.pb\.|_generated|zz_"
)
"""Paths of what is not written by hand in that package."""
_GENERATED = re.compile(
    r"(?i)generated (?:by|from|code|file)|do not edit|auto-?generated|@generated|__esModule|__awaiter|tslib"
    r"|sourceMappingURL|__commonJS|_interopRequire"
)
_LATE = re.compile(r"__esModule|sourceMappingURL|__awaiter\(|_createClass\(")


class SourceText(NamedTuple):
    """One file of a package."""

    package: str
    path: str
    """Within the package."""
    language: str
    text: str


class Seen:
    """The runs of lines of files that were taken, and of those that must not be."""

    def __init__(self, scored: Iterable[str] = ()) -> None:
        """`scored`: the texts that models are scored on."""
        self._scored = {run for text in scored for run in runs(text)}
        self._taken: set[bytes] = set()

    def take(self, text: str) -> str:
        """Take a file as seen, or say why not: "scored" or "repeated"."""
        found = set(runs(text))
        if len(found & self._scored) > MOST_SCORED:
            return "scored"
        if len(found & self._taken) > MOST_SHARED * len(found):
            return "repeated"
        self._taken |= found
        return ""


def runs(text: str) -> Iterator[bytes]:
    """Hashes of all runs of lines."""
    lines = [line for raw in text.split("\n") if len(line := raw.strip()) > 3]
    for first in range(len(lines) - WINDOW_LINES + 1):
        run = "\n".join(lines[first : first + WINDOW_LINES])
        yield hashlib.blake2b(run.encode("utf-8", "replace"), digest_size=8).digest()


def read(folder: Path, seen: Seen, left_out: Counter[str]) -> Iterator[SourceText]:
    """The files of all packages under `folder`; `left_out` counts the others by reason."""
    for package in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(_paths(package)):
            text = _text(package / path)
            reason = _fault(path, text) or seen.take(text)
            if reason:
                left_out[reason] += 1
            else:
                yield SourceText(package.name, path, language_of(path), text)


def _paths(package: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(package):
        folders.sort()
        for name in names:
            path = Path(parent, name)
            if language_of(name) in LANGUAGES and not path.is_symlink():
                yield path.relative_to(package).as_posix()


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8") if path.stat().st_size <= 4 * LARGEST else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _fault(path: str, text: str) -> str:
    """Why a file is not taken, or the empty string."""
    if _FOREIGN.search(path) or is_secret_file(path):
        return "foreign"
    if not SMALLEST <= len(text) <= LARGEST or "\r" in text or "\0" in text:
        return "size"
    if max(map(len, text.split("\n"))) > LONGEST_LINE:
        return "long lines"
    if _GENERATED.search(text[:1500]) or _LATE.search(text):
        return "generated"
    return "secrets" if mask(text) != text else ""


_PERMISSIVE = re.compile(
    r"(?i)\b(?:mit|expat|x11|bsd|apache|isc|zlib|bsl|boost|psf|python software|0bsd|unlicense|cc0|hpnd)|^Go$"
)
_OTHER = re.compile(r"(?i)\b[al]?gpl|general public|mpl|mozilla|eupl|cddl|epl\b|commercial|proprietary|ssplv?")
_LICENCE_FILES = ("*.dist-info/METADATA", "package/package.json", "usr/share/doc/*/copyright")
_LICENCE = {
    "METADATA": re.compile(r"^(?:License(?:-Expression)?|Classifier: License ::(?: OSI Approved ::)?):? *(.+)$", re.M),
    "package.json": re.compile(r'^ {0,4}"license": *"([^"]+)"', re.M),
    "copyright": re.compile(r"^Files: \*\n(?:.+\n)*?License: *(.+)$", re.M),
}
"""Where the three kinds of packages say what may be done with them: wheels, npm packages, Debian packages."""


def licence_of(package: Path) -> str:
    """What the package says its licence is, or the empty string."""
    for pattern in _LICENCE_FILES:
        for path in sorted(package.glob(pattern)):
            found = _LICENCE[path.name].findall(path.read_text(encoding="utf-8", errors="ignore"))
            if found:
                return "; ".join(sorted({licence.strip() for licence in found if len(licence) < 100}))
    return ""


def is_permissive(licence: str) -> bool:
    """Whether the licence asks no more than to be named."""
    return bool(_PERMISSIVE.search(licence)) and not _OTHER.search(licence)
