"""Answers with their scores in a file: written as they come, read to go on where a run stopped, and to compare.

The first line is a header with the settings of the run. It has an id like every other line, so that metrics.py of the
data sets reads the file too. A last line that a kill cut off is dropped.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from scripts.cases import EvalError
from scripts.scores import Scores

HEADER = "settings"
"""The id of the first line."""
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """One case and what was said to it."""

    id: str
    digest: str
    """Of the buffer and its hole."""
    kind: str
    language: str
    cross_file: bool
    completion: str
    """All that was shown."""
    replaces: int
    """How many characters after the cursor it takes the place of, besides those that it repeats."""
    latency_ms: float
    reason: str
    prompt_tokens: int | None
    cached_tokens: int | None
    evidence: dict[str, float] | None
    """What speaks for the answer (`flash_ls.confidence.Evidence`)."""
    probability: float
    """Of the answer being right, as the completer saw it."""
    passed: bool | None
    """Whether the tests run; None without any."""
    scores: Scores


class Predictions:
    """The settings of a run and its records so far."""

    def __init__(self, settings: Settings, records: list[Record]) -> None:
        self.settings = settings
        self.records = records

    @property
    def suite(self) -> str:
        return str(self.settings.get("suite", ""))


def read(path: Path) -> Predictions:
    """The whole lines of a file. Raises `EvalError`."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        header, *rows = map(json.loads, lines)
        if header["id"] != HEADER or not isinstance(header[HEADER], dict):
            raise ValueError("no header")
        return Predictions(header[HEADER], [_record(row) for row in rows])
    except OSError as error:
        raise EvalError(f"Cannot read {path} ({error.strerror}); give a file that --predictions wrote.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise EvalError(f"{path} has no predictions of this script; give a file that --predictions wrote.") from error


def begin(path: Path, settings: Settings) -> list[Record]:
    """Make the file, or find the records in it of the same run. Raises `EvalError` if they are of another."""
    header = json.dumps({"id": HEADER, HEADER: settings}).encode() + b"\n"
    try:
        text = path.read_bytes() if path.exists() else b""
        if header.startswith(text):
            path.write_bytes(header)
        found = read(path)
        _require_same(path, found.settings, json.loads(header)[HEADER])
        if whole := text[: text.rfind(b"\n") + 1]:
            path.write_bytes(whole)
    except OSError as error:
        raise EvalError(f"Cannot write {path} ({error.strerror}); name another file.") from error
    return found.records


def append(path: Path, record: Record) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record)) + "\n")


def _record(row: dict[str, Any]) -> Record:
    scores = Scores(**row["scores"])
    if row.keys() != {field.name for field in fields(Record)}:
        raise ValueError("other fields")
    return Record(**row | {"scores": scores})


def _require_same(path: Path, found: Settings, wanted: Settings) -> None:
    others = [key for key in sorted({*found, *wanted}) if found.get(key) != wanted.get(key)]
    if others:
        raise EvalError(f"{path} has predictions of another run ({', '.join(others)} differ); name another file.")
