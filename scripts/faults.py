"""What a suggestion breaks where it is put: syntax, indentation, brackets, and lines said twice.

Pure functions of an edit. Each fault is one that the true answer in the same place has not; None means that it cannot
be told. Nothing here knows how close a text comes to the truth.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from flash_ls.grammar import Node, parse
from flash_ls.language import LANGUAGES

NEAR_LINES = 20
"""How far around the cursor the file has to be free of syntax errors for a new one to be told."""
_PLAIN_STRINGS = r'"(?:\\.|[^"\\\n])*"?|' + r"'(?:\\.|[^'\\\n])*'?"
_CLOSERS = {")": "(", "]": "[", "}": "{"}
_QUOTES = "\"'`"
_TABS, _SPACES = re.compile(r"^\t", re.MULTILINE), re.compile(r"^ {2}", re.MULTILINE)


@dataclass(frozen=True)
class Edit:
    """A suggestion, and the truth, between the same two texts."""

    before: str
    after: str
    middle: str
    """The truth."""
    text: str
    """The suggestion."""
    replaces: int
    """How many characters of `after` the suggestion takes the place of."""
    language: str

    @property
    def original(self) -> str:
        return self.before + self.middle + self.after

    @property
    def edited(self) -> str:
        return self.before + self.text + self.rest

    @property
    def rest(self) -> str:
        return self.after[self.replaces :]

    @property
    def line_prefix(self) -> str:
        """The cursor's line up to the cursor."""
        return self.before.rpartition("\n")[2]


def keeps_syntax(edit: Edit) -> bool | None:
    """Whether the file parses with the suggestion as it did with the truth.

    None for a language without a grammar, and where the original has an error within `NEAR_LINES` of the hole. The
    edited file must have none there either, and in all no more than the original.
    """
    if edit.language not in LANGUAGES:
        return None
    original = _error_rows(edit.original, edit.language)
    if _near(original, edit.before, edit.middle):
        return None
    edited = _error_rows(edit.edited, edit.language)
    return not _near(edited, edit.before, edit.text) and len(edited) <= len(original)


def _error_rows(text: str, language: str) -> list[tuple[int, int]]:
    """First and last row of every error, an error being text that fits nowhere or a token that is missing."""
    return list(_errors(parse(text, language)))


def _errors(root: Node) -> Iterator[tuple[int, int]]:
    open_nodes = [root]
    while open_nodes:
        node = open_nodes.pop()
        if node.is_error or node.is_missing:
            yield node.start_point.row, node.end_point.row
        elif node.has_error:
            open_nodes += node.children


def _near(errors: list[tuple[int, int]], before: str, inserted: str) -> bool:
    first = before.count("\n")
    last = first + inserted.count("\n")
    return any(start <= last + NEAR_LINES and end >= first - NEAR_LINES for start, end in errors)


def repeats_suffix(edit: Edit) -> bool:
    """Whether the suggestion ends in what stands behind it already.

    Either its last line, as it stands in the buffer, is the next one that is not blank; or it ends in the rest of the
    cursor's line, where a rest of nothing but brackets and quotes counts only if they come out unbalanced.
    """
    tail, _, below = edit.rest.partition("\n")
    following = next((line.rstrip() for line in below.split("\n") if line.strip()), "")
    if not tail.strip():
        return bool(following) and _last_line(edit, edit.text) == following != _last_line(edit, edit.middle)
    tail = tail.strip()
    if not edit.text.rstrip().endswith(tail) or edit.middle.rstrip().endswith(tail):
        return False
    return not re.fullmatch(r"[][(){}\"'`\s]+", tail) or is_unbalanced(edit)


def _last_line(edit: Edit, text: str) -> str:
    return (edit.line_prefix + text).rstrip().rpartition("\n")[2]


def indents_wrongly(edit: Edit) -> bool | None:
    """Whether a suggestion that begins or goes on at the start of a line is indented wrongly.

    In any language: a line of it begins with a tab in a file indented with spaces alone, or the other way round. In
    Python also: its first line is not as deep as the true one, where the cursor is at the start of a line; or the
    interpreter finds an `IndentationError` that the original has not, and that a body for its last line would not
    mend. None for the rest of a line.
    """
    at_start = not edit.line_prefix.strip()
    if not at_start and "\n" not in edit.text:
        return None
    if _mixes(edit, at_start):
        return True
    if edit.language != "python":
        return False
    shallow = at_start and edit.middle.strip() and _depth(edit, edit.text) != _depth(edit, edit.middle)
    return bool(shallow) or _breaks_indentation(edit)


def _mixes(edit: Edit, at_start: bool) -> bool:
    around = edit.before + edit.after
    lines = edit.line_prefix + edit.text if at_start else edit.text.partition("\n")[2]
    tabs, spaces = _TABS.search(around), _SPACES.search(around)
    return bool((_TABS.search(lines) and spaces and not tabs) or (_SPACES.search(lines) and tabs and not spaces))


def _depth(edit: Edit, text: str) -> str:
    """Leading whitespace of the first line that is not blank."""
    line = next((line for line in (edit.line_prefix + text).split("\n") if line.strip()), "")
    return line[: len(line) - len(line.lstrip())]


def _breaks_indentation(edit: Edit) -> bool:
    """A last line that opens a body may still get one."""
    opened = edit.text.rstrip().endswith(":") and not _misindented(edit.before + edit.text + "pass" + edit.rest)
    return _misindented(edit.edited) and not opened and not _misindented(edit.original)


def _misindented(code: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(code)
    except IndentationError:
        return True
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return False


def is_unbalanced(edit: Edit) -> bool:
    """Whether the suggestion leaves open or closes other brackets and quotes than the truth does.

    Both are read with the rest of the cursor's line around them; what stands in closed strings and comments does not
    count. So a line that opens a block and a body that closes its own are equally in balance if the truth is like them.
    """
    rest, tail = (text.split("\n", 1)[0] for text in (edit.rest, edit.after))
    written = edit.line_prefix + edit.text + rest
    return _unpaired(written, edit.language) != _unpaired(edit.line_prefix + edit.middle + tail, edit.language)


def _unpaired(text: str, language: str) -> str:
    """Closers without an opener, then openers and quotes without a closer, in order."""
    closers, openers = "", ""
    for token in _lexer(language).finditer(text):
        mark = token[0]
        if token["bracket"] is None:
            openers += _open_quote(mark) if token["comment"] is None else ""
        elif mark not in _CLOSERS:
            openers += mark
        elif openers.endswith(_CLOSERS[mark]):
            openers = openers[:-1]
        else:
            closers += mark
    return closers + openers


def _open_quote(literal: str) -> str:
    """The quote that a literal begins with and does not end with, or the empty string."""
    quote = next((character for character in literal if character in _QUOTES), "")
    closed = literal.count(quote) > 1 and literal.rstrip("#").endswith(quote)
    return "" if closed else quote


@cache
def _lexer(language: str) -> re.Pattern[str]:
    row = LANGUAGES.get(language)
    strings, comments = (row.strings, row.comments) if row else (_PLAIN_STRINGS, r"(?!)")
    return re.compile(rf"(?P<comment>{comments})|(?P<string>{strings})|(?P<bracket>[][(){{}}])", re.MULTILINE)
