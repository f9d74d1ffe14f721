"""Where in the structure of a file the cursor stands: code, string or comment, in which block, and is that block empty.

Code under a cursor is unfinished, and a parser's recovery turns what is unclosed around it into a flat list of tokens.
So only the text before the cursor is looked at, in two steps. A scan for strings, comments and brackets says in what
the cursor stands and which brackets are open. Then tree-sitter parses that text with a word at the cursor and the
brackets closed, which is nearly valid code: its tree says what each open brace or colon belongs to.

It knows nothing of models, prompts or what a model wrote.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from flash_ls.grammar import Node, parse
from flash_ls.language import LANGUAGES

Kind = Literal["code", "string", "comment"]

_WINDOW = 50_000
"""How many characters before the cursor are looked at."""

_BODY = re.compile(
    r"(statement_|switch_|match_)?block|(class|switch|interface|enum|constructor|annotation_type)_body"
    r"|class_static_block|compound_statement|object_type|interface_type|enum_variant_list|enumerator_list"
    r"|(field_)?declaration_list|(expression_switch|type_switch|select)_statement"
)
"""Types of the nodes in which statements, members or cases stand between braces."""
_PYTHON_STATEMENT = (
    r"^[ \t]*(?:async[ ]+def|assert|break|class|continue|def|del|elif|except|finally|pass|raise|return|try|while|with)"
    r"\b"
)
"""Words that no expression has at the start of a line: a bracket above that is still open was forgotten."""
_CONDITIONAL = re.compile(r"^([ \t]*)#(?=[ \t]*(?:if|el|endif)).", re.MULTILINE)
_DO = re.compile(r"\bdo\s*\Z")
_NEXT_LINE = re.compile(r"\s*\n([ \t]*)(?=\S)")
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_MAX_DEPTH = 100
"""How many open brackets are looked at: finding the parent of a node starts at the root, slow in deep nonsense."""
_KINDS: dict[str | None, Kind] = {"comment": "comment", "string": "string"}


@dataclass(frozen=True, slots=True)
class CursorScope:
    """What the completion at a cursor has to respect."""

    kind: Kind
    indent: str
    """Leading whitespace of the line that opens the innermost block around the cursor; "" at top level."""
    opens_block: bool
    """The cursor stands where a body begins in which there is nothing yet."""


class _Scan(NamedTuple):
    """What the text before a cursor leaves open."""

    kind: Kind
    code: str
    """The text, without the string or comment the cursor stands in."""
    open: list[int]
    """Offsets of the brackets not yet closed, outermost first."""
    spans: list[tuple[Kind, int, int]]
    """Strings and comments that are closed, in order."""


def scope_at(text: str, cursor: int, language: str) -> CursorScope:
    """The scope at code point offset `cursor`. Any text will do, also one that does not parse."""
    if language not in LANGUAGES:
        return CursorScope("code", "", False)
    scan = _scan(text[_window_start(text, cursor) : cursor], language)
    opener = _opener(scan, language)
    root = _parse(scan, opener, language)
    opened = _header(root, opener) if opener >= 0 else None
    header = opened or _enclosing_header(root, scan, language)
    indent = _indent_at(scan.code, header.start_byte) if header else ""
    empty = opened is not None and scan.kind == "code" and _is_empty(text[cursor : cursor + _WINDOW], indent, language)
    return CursorScope(scan.kind, indent, empty)


def _window_start(text: str, cursor: int) -> int:
    """The first line start of the last `_WINDOW` characters before the cursor."""
    start = cursor - _WINDOW
    return 0 if start <= 0 else text.find("\n", start, cursor) + 1 or start


@cache
def _lexer(language: str) -> re.Pattern[str]:
    statement = rf"|{_PYTHON_STATEMENT}" if language == "python" else ""
    row = LANGUAGES[language]
    return re.compile(rf"(?P<comment>{row.comments})|(?P<string>{row.strings})|[][(){{}}]{statement}", re.MULTILINE)


def _scan(before: str, language: str) -> _Scan:
    scan = _Scan("code", before, [], [])
    lost: list[int] = []
    # The letter added stands at the cursor: a string or comment that reaches over it is the one the cursor is in.
    for token in _lexer(language).finditer(before + "x"):
        kind, start = _KINDS.get(token.lastgroup), token.start()
        if kind and token.end() > len(before):
            scan = scan._replace(kind=kind, code=before[:start])
            break
        if kind:
            scan.spans.append((kind, start, token.end()))
        elif token[0] in _CLOSERS:
            scan.open.append(start)
        else:
            lost += _close(scan.open, before, start)
    return scan._replace(code=_without(lost, scan.code))


def _close(opened: list[int], text: str, offset: int) -> list[int]:
    """Close the pair whose closer is at `offset`; returns the brackets left open inside it. A statement closes all."""
    if text[offset] not in _CLOSERS.values():
        lost, opened[:] = opened[:], []
        return lost
    for depth in range(len(opened) - 1, max(-1, len(opened) - 1 - _MAX_DEPTH), -1):
        if _CLOSERS[text[opened[depth]]] == text[offset]:
            lost = opened[depth + 1 :]
            del opened[depth:]
            return lost
    return []


def _without(lost: list[int], code: str) -> str:
    """A bracket nobody closed would make the parser give up on everything below: a semicolon keeps that to a line."""
    characters = list(code)
    for offset in lost:
        characters[offset] = ";"
    return "".join(characters)


def _opener(scan: _Scan, language: str) -> int:
    """Offset of the colon or brace that only comments and a docstring separate from the cursor; -1 without one."""
    end = len(scan.code)
    for kind, start, stop in reversed(scan.spans):
        gap = scan.code[stop:end]
        if gap.strip() or (kind == "string" and (language != "python" or "\n" not in gap)):
            break
        end = start
    end = len(scan.code[:end].rstrip())
    return end - 1 if end and scan.code[end - 1] == (":" if language == "python" else "{") else -1


def _parse(scan: _Scan, opener: int, language: str) -> Node:
    # A conditional directive ends below the cursor. As a comment it does not tear apart the code around it.
    code = _CONDITIONAL.sub(r"\1//", scan.code) if language in ("c", "cpp") else scan.code
    return parse(code + _ending(scan, opener, language), language)


def _ending(scan: _Scan, opener: int, language: str) -> str:
    """What makes the code whole: the closers of all open brackets, after a word unless `opener` begins a body."""
    closers = [_CLOSERS[scan.code[offset]] for offset in reversed(scan.open)]
    if closers and scan.code[opener : opener + 1] == "{":
        # No semicolon may follow here: it would turn the body of a C++ function into an initialiser.
        closers[0] = "} while (x);" if _DO.search(scan.code, 0, opener) else "}"
        return "".join(closers)
    end = ";}" if language in ("c", "cpp", "java") else "}"
    return "x" + "".join(end if closer == "}" else closer for closer in closers)


def _header(root: Node, offset: int) -> Node | None:
    """The statement whose body the colon or brace at `offset` opens; a block of its own has none."""
    mark = root.descendant_for_byte_range(offset, offset + 1)
    body = mark.parent if mark else None
    if mark is None or body is None:
        return None
    if mark.type == ":":
        return body if any(child.type == "block" for child in body.children) else None
    if mark.type != "{" or not _BODY.fullmatch(body.type):
        return None
    header = body.parent
    alone = header is None or header.parent is None or bool(_BODY.fullmatch(header.type)) or header.start_byte == offset
    return None if alone else header


def _enclosing_header(root: Node, scan: _Scan, language: str) -> Node | None:
    """The statement that opens the innermost block around the cursor."""
    if language == "python":
        return _python_header(root, len(scan.code))
    braces = (offset for offset in reversed(scan.open[-_MAX_DEPTH:]) if scan.code[offset] == "{")
    return next((header for offset in braces if (header := _header(root, offset))), None)


def _python_header(root: Node, offset: int) -> Node | None:
    cursor = root.descendant_for_byte_range(offset, offset + 1)
    header, node = None, cursor and root
    while node and cursor:
        inner = node.child_with_descendant(cursor)
        if inner and inner.type == "block":
            header = node
        node = inner
    return header


def _indent_at(text: str, offset: int) -> str:
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    return line[: len(line) - len(line.lstrip())]


def _is_empty(after: str, indent: str, language: str) -> bool:
    """Whether nothing of the body stands in `after`, the text behind the cursor; `indent` is the header's."""
    below = after.lstrip()
    if not below or (language != "python" and below.startswith("}")):
        return True
    next_line = _NEXT_LINE.match(after)
    return next_line is not None and (next_line[1] == indent or not next_line[1].startswith(indent))
