"""What reads texts and files that others wrote: no error but those on purpose, and an end within bounded time.

A step is `{"target": NAME, "text": SOURCE, "language": NAME, "cursor": NUMBER}`.
"""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from flash_ls import config, presence, private_file, statistics
from flash_ls.document import Snapshot
from flash_ls.engine import manifest
from flash_ls.errors import ManifestError
from flash_ls.index import Index, chunks_of
from flash_ls.language import LANGUAGES, language_of
from flash_ls.place import Place
from flash_ls.prompt import window_start
from flash_ls.secrets import is_secret_file, mask
from flash_ls.soundness import sound_part
from flash_ls.syntax import scope_at
from flash_ls.uri import file_name, local_path, normalise
from flash_ls.workspace import Workspace
from scripts.fuzzing import mutations
from scripts.fuzzing.edits import text
from scripts.fuzzing.finding import Fault, Hang, Steps, time_limit

LONGEST_S = 10.0
"""Of one input, on a machine that does much else."""
SAMPLES = Path(manifest.__file__).parents[1] / "artifact" / "calibration"
REPEATED = (
    "(",
    "[",
    "{",
    "if x:\n ",
    "{\n",
    "/*",
    '"""',
    "'",
    "`",
    "\\",
    "<",
    "#",
    "do ",
    "a(",
    "=> {",
    " ",
    "\t",
    "\n",
)
LONGEST = 60_000


def case(chance: Random) -> Steps:
    target = chance.choice(list(TARGETS))
    source = _source(chance) if target in _CODE else _data(chance, target)
    return [_step(target, source, chance.choice((*LANGUAGES, "text")), chance.randrange(len(source) + 1))]


def _step(target: str, source: str, language: str, cursor: int) -> dict[str, Any]:
    return {"target": target, "text": source, "language": language, "cursor": cursor}


def _source(chance: Random) -> str:
    """Code in some language that is broken in some places."""
    sample = chance.choice(sorted(SAMPLES.glob("sample.*"))).read_text(encoding="utf-8")
    start = chance.randrange(len(sample))
    source = sample[start : start + chance.choice((50, 500, 2000, 2000, LONGEST))]
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(source) + 1)
        end = at + chance.choice((0, 1, 20, 200))
        source = source[:at] + _part(source, chance) + source[end:]
    return source


def _part(source: str, chance: Random) -> str:
    match chance.randrange(5):
        case 0:
            return chance.choice(REPEATED) * chance.choice((1, 10, 200, 20_000 if not chance.randrange(8) else 1))
        case 1:
            at = chance.randrange(len(source) + 1)
            return source[at : at + 100]
        case 2:
            return ""
        case _:
            return text(chance)


def _data(chance: Random, target: str) -> str:
    """A file of ours that is broken, or none of ours."""
    content: dict[str, Any] = {"file": json.loads(_FILES[target])} if target in _FILES else {}
    if not content or not chance.randrange(4):
        return "".join(chance.choice(_BITS) for _ in range(chance.randrange(40))) + text(chance)
    for _ in range(chance.randrange(1, 4)):
        mutations.mutate(content, chance)
    data = json.dumps(content.get("file", [])).encode()
    return (data if chance.randrange(3) else mutations.garbled(data, chance)).decode("utf-8", "replace")


_BITS = (
    "*",
    "**",
    "/",
    "a",
    "*a",
    "**/",
    "!",
    "[",
    "]",
    "[!",
    "?",
    "\\",
    "#",
    "\n",
    " ",
    "file://",
    "%2e%2e",
    "..",
    ":",
)
_COUNTS = {"outcome/python/accepted": 3, "probability/5/right": 2, "latency/model/4": 1}
_FILES = {
    "settings": json.dumps(mutations.SETTINGS),
    "manifest": '{"name": "x", "shape": {"layers": 1}, "files": {"a": {"bytes": 1, "sha256": ""}}, "sha256": ""}',
    "statistics": json.dumps({"version": 1, "days": {"2026-01-02": _COUNTS, "earlier": _COUNTS}}),
    "presence": json.dumps({"pid": 1, "state": "ready", "entries": [{"time": 1.0, "file": "a.py"}], "reasons": {}}),
}


def _place(source: str, language: str, cursor: int) -> None:
    identifier = next(iter(LANGUAGES[language].ids.split())) if language in LANGUAGES else "text"
    place = Place(Snapshot("file:///x", identifier, 1, source, cursor))
    for answer in (source[cursor : cursor + 200], source[:150], "x\n}"):
        place.rule.complete(answer)
        place.fit(answer, True)
        place.fit(answer, False)


def _context(source: str, language: str, cursor: int) -> None:
    chunks_of(source)
    index = Index()
    index.add([("a", source), ("b", source[cursor:])])
    index.nearest(source[:cursor], 5)
    window_start(source[:cursor], 100, len)


def _paths(source: str, language: str, cursor: int) -> None:
    for name in (source, f"file://{source}", f"file:///{source}"):
        normalise(name), file_name(name), is_secret_file(name), language_of(name, language)
        path = local_path(name)
        if path is not None and not path.startswith("/"):
            raise Fault(f"{path!r} is not absolute")


def _ignored(source: str, language: str, cursor: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder, "aaaaaaaaaaaaaaaaaaaaaaaa" * 6)
        inner.mkdir()
        Path(folder, ".gitignore").write_bytes(source.encode("utf-8", "replace"))
        (inner / ("a" * 200 + ".py")).write_text("x = 1\n")
        list(Workspace([folder], source[:cursor].split("\n"), max_files=5).files())


def _read_statistics(source: str, language: str, cursor: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        private_file.write(Path(folder, "statistics.json"), source.encode("utf-8", "replace").decode())
        days = statistics.Statistics(Path(folder)).load()
        statistics.probability_counts(statistics.total(days))


def _read_presence(source: str, language: str, cursor: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        alive = presence.Presence(Path(folder))
        alive.write({})
        next(Path(folder).glob("*.json")).write_bytes(source.encode("utf-8", "replace"))
        presence.running(Path(folder))
        alive.remove()


def _read_manifest(source: str, language: str, cursor: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, manifest.FILE_NAME).write_bytes(source.encode("utf-8", "replace"))
        with contextlib.suppress(ManifestError):
            manifest.read(Path(folder))


def _settings(source: str, language: str, cursor: int) -> None:
    try:
        sent = json.loads(source)
    except (ValueError, RecursionError):
        return
    for base in (None, config.Config(prefix_tokens=2000)):
        config.parse(sent, base)
        config.parse({"flashLs": sent}, base)


TARGETS: dict[str, Callable[[str, str, int], object]] = {
    "scope": lambda source, language, cursor: scope_at(source, cursor, language),
    "place": _place,
    "sound": lambda source, language, cursor: sound_part(
        source[cursor : cursor + 300], source[:cursor], source[cursor + 300 :], language
    ),
    "secrets": lambda source, language, cursor: mask(source),
    "context": _context,
    "paths": _paths,
    "ignored": _ignored,
    "settings": _settings,
    "manifest": _read_manifest,
    "statistics": _read_statistics,
    "presence": _read_presence,
}
_CODE = ("scope", "place", "sound", "secrets", "context")


class Parsers:
    """Runs one input after the other; the slowest is remembered."""

    def __init__(self, home: Path) -> None:
        self.slowest: tuple[float, str] = (0.0, "")

    def run(self, steps: Steps) -> None:
        """Raises `Hang`, or whatever a parser raises."""
        for step in steps:
            began = time.process_time()
            with time_limit(3 * LONGEST_S):
                TARGETS[step["target"]](step["text"], step["language"], min(step["cursor"], len(step["text"])))
            took = time.process_time() - began
            self.slowest = max(self.slowest, (took, f"{step['target']} {step['language']}"))
            if took > LONGEST_S:
                raise Hang(f"{step['target']} takes {took:.1f} s")
