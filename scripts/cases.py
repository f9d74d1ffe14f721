"""The cases that completions are scored on: buffers with a hole, read from the files of the data sets.

It knows the data sets and nothing of models, nor how an answer is scored. Files may be gzipped or plain. What is wrong
with a file is one `EvalError`.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote

from flash_ls.document import Snapshot
from flash_ls.errors import FlashLsError
from flash_ls.language import language_of

BENCH = Path(__file__).resolve().parents[2] / "shared" / "bench"
FRESH, FRESH_FILES = "fresh_dev.jsonl.gz", "fresh_dev_files.jsonl.gz"
_GZIP_MAGIC = b"\x1f\x8b"
_FRESH_KINDS: dict[str, Callable[[str], bool]] = {
    "fresh": lambda kind: kind != "block",
    "fresh-blocks": lambda kind: kind == "block",
    "fresh-all": lambda kind: True,
}
_HUMANEVAL = {
    "humaneval-single": "HumanEval-SingleLineInfilling.jsonl.gz",
    "humaneval-span": "HumanEval-RandomSpanInfillingLight.jsonl.gz",
}
_FIELDS = ("id", "path", "prefix", "suffix", "middle", "kind")

SUITES = (*_HUMANEVAL, *_FRESH_KINDS)
"""Those that --bench has."""

Files = Mapping[str, Mapping[str, str]]
"""The texts of the files of each repository by their paths."""


class EvalError(FlashLsError, ValueError):
    """A run cannot be made or read as it was asked for; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Case:
    """A buffer with a hole."""

    id: str
    path: str
    """Inside the repository."""
    before: str
    after: str
    middle: str
    kind: str
    """line, mid-line and api-call ask for one line; block for a body; span for whatever was cut out."""
    test: str | None = None
    """Python that fails if the program before it is wrong."""
    repo: str = ""
    cross_file: bool = False
    """The answer needs a name from another file."""

    @property
    def language(self) -> str:
        return language_of(self.path)

    @property
    def digest(self) -> str:
        """Tells this hole in this buffer from any other."""
        return hashlib.sha256("\0".join((self.before, self.middle, self.after)).encode()).hexdigest()[:12]

    @property
    def snapshot(self) -> Snapshot:
        """The buffer as an editor would hold it, with the hole empty and the cursor there."""
        folder = PurePosixPath("/", PurePosixPath(self.repo).name)
        uri = "file://" + quote(str(folder / self.path.lstrip("/")))
        return Snapshot(uri, "", 0, self.before + self.after, len(self.before))


class Suite(NamedTuple):
    """Cases, and the files around them."""

    name: str
    cases: list[Case]
    files: Files


def load_suite(name: str, bench: Path) -> Suite:
    """One of `SUITES` from the folder `bench`. Raises `EvalError`."""
    if name in _HUMANEVAL:
        return Suite(name, list(humaneval_cases(bench, name)), {})
    if name in _FRESH_KINDS:
        wanted = filter(lambda case: _FRESH_KINDS[name](case.kind), read_cases(bench / FRESH))
        return Suite(name, list(wanted), read_files(bench / FRESH_FILES))
    raise EvalError(f"There is no suite {name}; choose one of {', '.join(SUITES)}, or `repo PATH`.")


def load_cases(name: str, bench: Path) -> list[Case]:
    """The cases of one of `SUITES`. Raises `EvalError`."""
    return load_suite(name, bench).cases


def load_files(cases: Path, files: Path | None) -> Suite:
    """Cases in the form of the suite `fresh`, and the files around them. Raises `EvalError`."""
    name = cases.name.removesuffix(".gz").removesuffix(".jsonl")
    return Suite(name, list(read_cases(cases)), read_files(files) if files else {})


def humaneval_cases(bench: Path, suite: str) -> Iterator[Case]:
    """A whole line keeps its line end, which the data set counts as part of the answer; a span is as it was cut."""
    kind, line_end = ("line", "\n") if suite == "humaneval-single" else ("span", "")
    for row in read_jsonl(bench / _HUMANEVAL[suite]):
        name, middle = row.text("entry_point"), row.text("canonical_solution").removesuffix(line_end)
        after, test = line_end + row.text("suffix"), f"{row.text('test')}\ncheck({name})\n"
        yield Case(row.text("task_id"), f"{name}.py", row.text("prompt"), after, middle, kind, test)


def read_cases(path: Path) -> Iterator[Case]:
    for row in read_jsonl(path):
        name, place, before, after, middle, kind = map(row.text, _FIELDS)
        repo, cross_file = str(row.get("repo", "")), bool(row.get("cross_file", False))
        yield Case(name, place, before, after, middle, kind, repo=repo, cross_file=cross_file)


def read_files(path: Path) -> Files:
    found: dict[str, dict[str, str]] = {}
    for row in read_jsonl(path):
        found.setdefault(row.text("repo"), {})[row.text("path")] = row.text("text")
    return found


class Row(dict[str, Any]):
    """One line of a file."""

    place = ""
    """Which line, for messages."""

    def text(self, key: str) -> str:
        """Raises `EvalError` if the field is not there or no text."""
        value = self.get(key)
        if isinstance(value, str):
            return value
        raise EvalError(f"{self.place} has no text in `{key}`; give a file in the form of {FRESH} or {FRESH_FILES}.")


def read_jsonl(path: Path) -> Iterator[Row]:
    """The objects in a file, one in each line. Raises `EvalError`."""
    for number, line in enumerate(_lines(path), 1):
        yield _parse(line, f"{path}, line {number},")


def _parse(line: str, place: str) -> Row:
    try:
        row = Row(json.loads(line))
    except (TypeError, ValueError) as error:
        raise EvalError(f"{place} is no JSON object; give a file with one in each line.") from error
    row.place = place
    return row


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(_GZIP_MAGIC) else data
        return data.decode("utf-8").removesuffix("\n").split("\n") if data else []
    except OSError as error:
        raise EvalError(f"Cannot read {path} ({error.strerror or error}); give the path of a file.") from error
    except (EOFError, UnicodeDecodeError, zlib.error) as error:
        raise EvalError(f"Cannot read {path} ({error}); give text in UTF-8, gzipped or plain.") from error


def check(suite: Suite) -> None:
    """Raises `EvalError` if there is nothing to score, or two cases could be taken for one."""
    if not suite.cases:
        raise EvalError(f"{suite.name} has no cases; give others.")
    seen: set[str] = set()
    for case in suite.cases:
        if case.id in seen:
            raise EvalError(f"{suite.name} has two cases with the id {case.id}; give each its own.")
        seen.add(case.id)


def digest(cases: Iterable[Case]) -> str:
    """Tells this list of cases from any other."""
    parts = chain.from_iterable((case.id, case.digest) for case in cases)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def spread(cases: list[Case], limit: int | None) -> list[Case]:
    """At most `limit` of the cases, evenly over the list."""
    count = min(limit or len(cases), len(cases))
    return [cases[index * len(cases) // count] for index in range(count)]
