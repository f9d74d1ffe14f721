"""Cases from any source code: holes where a developer might stand, in the files of a git checkout or a folder.

    line       the cursor at the start of a line, after its indentation; missing is the line
    mid-line   after `=`, `(`, `.` or `return`, or within a word; missing is the rest of the line
    api-call   before a call, after the dot if it has one; missing is the call
    block      at the start of a body of a few lines; missing is the body

There are none in comments, imports, strings of several lines, or lines of one string or of brackets alone. The same
seed, limit and files give the same holes. It knows nothing of how answers are made or scored.
"""

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

from flash_ls.grammar import Node, parse
from flash_ls.language import LANGUAGES, language_of
from scripts.cases import Case, EvalError, Suite

Kind = Literal["line", "mid-line", "api-call", "block"]

LIMIT = 200
_SHARES: dict[Kind, float] = {"line": 0.25, "mid-line": 0.4, "api-call": 0.175, "block": 0.175}
_MOST_BYTES, _LONGEST_LINE = 200_000, 1000
"""Larger files and those with longer lines are seldom written by hand."""
_BODY_LINES = range(2, 14)
_UNTRACKED = frozenset({"__pycache__", "build", "dist", "node_modules", "target", "venv"})
"""Folders without source code of the project's own, beside those with a dot before their name."""
_LINE = re.compile(r"[^\S\r\n]*(?P<code>\S.*?)[^\S\r\n]*(?=\r|\n|\Z)")
_CURSORS = re.compile(
    r"(?P<assign>(?<![=!<>~])=(?![=>~])[ \t]*(?=\S))|(?P<paren>\((?=[^\s()]))|(?P<return>\breturn[ \t]+(?=\S))"
    r"|(?P<member>(?<=[\w)\]])(?:\.|::|->)(?=[A-Za-z_]))|(?P<word>\b[A-Za-z_]\w{1,3}(?=\w{2}))"
)
_SILENT = re.compile(r"comment|(?:^|_)(?:import|include|use|using|package)(?:_|$)")
"""Types of nodes in which there are no holes."""
_CALL = re.compile(r"call|call_expression|method_invocation|invocation_expression|(?:function|method|member)_call.*")
_NO_STATEMENT = re.compile(
    r"class|struct|interface|enum|trait|impl|namespace|mod_item|module|object|type|union|switch|match"
)
"""Types of nodes whose bodies are no statements."""
_FUNCTION_FIELDS = ("function", "name", "method")
_BODY_FIELDS = ("body", "consequence")


class Hole(NamedTuple):
    """What is missing in a text, by code points."""

    start: int
    end: int
    kind: Kind
    trigger: str
    """What stands before the cursor: line, assign, paren, return, member, word, call or body."""


class Source:
    """One file and the holes that can be made in it, which are found when first asked for."""

    def __init__(self, path: str, text: str, random: Random) -> None:
        self.path = path
        self.text = text
        self._random = random

    def take(self, kind: Kind) -> Hole | None:
        """A hole that was not taken yet."""
        return next(self._holes[kind], None)

    @cached_property
    def _holes(self) -> dict[Kind, Iterator[Hole]]:
        """In random order, the triggers of a kind by turns."""
        root = parse(self.text, language_of(self.path))
        found = [*line_holes(self.text, root), *tree_holes(self.text, root)]
        self._random.shuffle(found)
        turn: Counter[str] = Counter()
        turns = {hole: turn.update([hole.trigger]) or turn[hole.trigger] for hole in dict.fromkeys(found)}
        ordered = sorted(turns, key=lambda hole: (turns[hole], self._random.random()))
        return {kind: iter([hole for hole in ordered if hole.kind == kind]) for kind in _SHARES}

    def case(self, hole: Hole, repo: str) -> Case:
        text, (start, end, kind, trigger) = self.text, hole
        line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
        name = f"{self.path}:{line}:{column}:{trigger}"
        return Case(name, self.path, text[:start], text[end:], text[start:end], kind, repo=repo)


def load_repo(folder: Path, limit: int = LIMIT, seed: int = 0) -> Suite:
    """Holes in the files under `folder`, whose other files are the project. Raises `EvalError`."""
    if not folder.is_dir():
        raise EvalError(f"There is no folder {folder}; give a git checkout or a folder of source files.")
    files = dict(read_sources(folder))
    if not files:
        raise EvalError(f"{folder} has no source files in a known language; give a git checkout or another folder.")
    repo = folder.resolve().name
    return Suite("repo", list(make_cases(files, repo, limit, seed)), {repo: files})


def make_cases(files: Mapping[str, str], repo: str, limit: int, seed: int) -> Iterator[Case]:
    """At most `limit` cases in the order of the files, of the kinds by their shares."""
    sources = [Source(path, text, Random(f"{seed} {path}")) for path, text in sorted(files.items())]
    order = Random(seed).sample(sources, len(sources))
    chosen = [place for kind, count in quotas(limit).items() for place in _choose(order, kind, count)]
    for source, hole in sorted(chosen, key=lambda place: (place[0].path, place[1])):
        yield source.case(hole, repo)


def quotas(limit: int) -> dict[Kind, int]:
    """How many of each kind; lines within lines make up what rounding leaves."""
    counts = {kind: int(share * limit) for kind, share in _SHARES.items()}
    return counts | {"mid-line": counts["mid-line"] + limit - sum(counts.values())}


def _choose(sources: Sequence[Source], kind: Kind, count: int) -> list[tuple[Source, Hole]]:
    """One hole from each source in turn, until there are enough or no more."""
    chosen: list[tuple[Source, Hole]] = []
    left = list(sources)
    while left and len(chosen) < count:
        source = left.pop(0)
        if hole := source.take(kind):
            chosen.append((source, hole))
            left.append(source)
    return chosen


def line_holes(text: str, root: Node) -> Iterator[Hole]:
    """Whole lines, and places within them."""
    for line in _LINE.finditer(text):
        start, end = line.span("code")
        prose = _is_silent(root, start) or _is_silent(root, end - 1) or _is_string(root, start, end)
        if prose or not re.search(r"[^\W_]{2}", line["code"]):
            continue
        yield Hole(start, end, "line", "line")
        for mark in _CURSORS.finditer(text, start, end):
            if start < mark.end() <= end - 2 and not _is_within(root, mark.end() - 1, "string|char|regex"):
                yield Hole(mark.end(), end, "mid-line", mark.lastgroup or "")


def tree_holes(text: str, root: Node) -> Iterator[Hole]:
    """Calls and bodies."""
    open_nodes = [root]
    while open_nodes:
        node = open_nodes.pop()
        open_nodes += node.children
        if node.is_named and not node.has_error:
            yield from _call_holes(text, root, node)
            yield from _body_holes(text, node)


def _call_holes(text: str, root: Node, node: Node) -> Iterator[Hole]:
    """A call on one line with something before it there."""
    start, end = _name_start(node), node.end_byte
    before = text[text.rfind("\n", 0, start) + 1 : start]
    if not _CALL.fullmatch(node.type) or not before.strip() or "\n" in text[start:end] or end - start < 4:
        return
    if text[start].isidentifier() and not _is_silent(root, start) and not _is_within(root, start, "string"):
        yield Hole(start, end, "api-call", "call")


def _name_start(call: Node) -> int:
    """Where the name of what is called begins, after whatever it is a member of."""
    called = next((child for name in _FUNCTION_FIELDS if (child := call.child_by_field_name(name))), call)
    parts = called.named_children if called != call else []
    return parts[-1].start_byte if len(parts) > 1 else called.start_byte


def _body_holes(text: str, node: Node) -> Iterator[Hole]:
    """What is in the body of a function or a control structure, if it is some lines of its own."""
    if _NO_STATEMENT.search(node.type):
        return
    for body in filter(None, map(node.child_by_field_name, _BODY_FIELDS)):
        inner = [child for child in body.named_children if not _is_docstring(child, body)]
        if not inner:
            continue
        start, end = inner[0].start_byte, _end(text, body, inner[-1])
        alone = not text[text.rfind("\n", 0, start) + 1 : start].strip()
        if alone and text.count("\n", start, end) + 1 in _BODY_LINES and "comment" not in inner[0].type:
            yield Hole(start, end, "block", "body")


def _is_docstring(node: Node, body: Node) -> bool:
    return node == body.named_children[0] and [child.type for child in node.named_children] == ["string"]


def _end(text: str, body: Node, last: Node) -> int:
    """The end of the body's last line of code, without the brace or word that closes the body."""
    closer = body.children[-1]
    end = closer.start_byte if not closer.is_named and closer.start_byte >= last.end_byte else last.end_byte
    return len(text[:end].rstrip())


def _is_silent(root: Node, offset: int) -> bool:
    """Whether there is a comment, an import or a string of several lines at the character."""
    return any(
        _SILENT.search(node.type) or ("string" in node.type and node.start_point.row != node.end_point.row)
        for node in _around(root, offset)
    )


def _is_string(root: Node, start: int, end: int) -> bool:
    """Whether all of it is one literal."""
    return any("string" in node.type and node.end_byte >= end for node in _around(root, start))


def _is_within(root: Node, offset: int, kinds: str) -> bool:
    return any(re.search(kinds, node.type) for node in _around(root, offset))


def _around(root: Node, offset: int) -> Iterator[Node]:
    """The nodes that the character is part of, innermost first."""
    node = root.descendant_for_byte_range(offset, offset + 1)
    while node and node != root:
        yield node
        node = node.parent


def read_sources(folder: Path) -> Iterator[tuple[str, str]]:
    """Paths and texts of the source files under a folder; of a git checkout, those that git does not ignore."""
    for path in sorted(_listed(folder)):
        if _is_code(language_of(path)) and (text := _read(folder / path)):
            yield path, text


def _is_code(language: str) -> bool:
    """Whether statements are written in the language, rather than data or prose."""
    return language in LANGUAGES and LANGUAGES[language].blocks != "none"


def _listed(folder: Path) -> Iterator[str]:
    command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8", "ignore")
        yield from filter(None, set(listed.split("\0")))
    except (OSError, subprocess.CalledProcessError):
        for parent, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".") and name not in _UNTRACKED]
            yield from (Path(parent, name).relative_to(folder).as_posix() for name in names)


def _read(path: Path) -> str:
    """The text of a file, or nothing if it is a link, unreadable, or not written by hand."""
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return ""
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return "" if "\0" in text or any(len(line) > _LONGEST_LINE for line in text.split("\n")) else text
