"""Where in the structure of a file the cursor stands: code, string or comment, in which block, and is that block empty.

Code under a cursor is unfinished, and a parser's recovery turns what is unclosed around it into a flat list of tokens.
So only the text before the cursor is looked at, in two steps. A scan for strings, comments and brackets says in what
the cursor stands and which brackets are open. Then tree-sitter parses that text with a word at the cursor and the
brackets closed, which is nearly valid code: its tree says what each open brace or colon belongs to. Where words take
the place of brackets, as in `do ... end`, the scan finds them as well, and no tree is needed.

It knows nothing of models, prompts or what a model wrote.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from flash_ls.grammar import Node, parse
from flash_ls.language import LANGUAGES, Words, block_end, literals

Kind = Literal["code", "string", "comment"]

_WINDOW = 50_000
"""How many characters before the cursor are looked at."""

_BODY = re.compile(
    r"(statement_|switch_|match_)?block|(class|switch|interface|enum|constructor|annotation_type)_body"
    r"|class_static_block|compound_statement|object_type|interface_type|enum_variant_list|enumerator_list"
    r"|(field_|enum_|enum_member_)?declaration_list|accessor_list|property_hook_list|keyframe_block_list"
)
"""Types of the nodes in which statements, members or cases stand between braces."""
_BRACED = re.compile(r"(expression_switch|type_switch|select)_statement|switch_expression")
"""Types of the statements that have no node of their own between their braces."""
_CONDITIONAL = re.compile(r"^([ \t]*)#(?=[ \t]*(?:if|el|endif)).", re.MULTILINE)
_DO = re.compile(r"\bdo\s*\Z")
_OPERATOR = r"[-,=+*/&|<>?]|(?<!\.)\."
_NEXT_LINE = re.compile(r"\s*\n([ \t]*)(?=\S)")
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_MAX_DEPTH = 100
"""How many open brackets are looked at: finding the parent of a node starts at the root, slow in deep nonsense."""
_KINDS: dict[str | None, Kind] = {"comment": "comment", "string": "string"}
_SEMICOLONS = frozenset({"c", "cpp", "java", "php"})
"""Languages in which a word between braces needs a semicolon to be a statement."""
_HEADER, _BRACKET = -1, -2


@dataclass(frozen=True, slots=True)
class CursorScope:
    """What the completion at a cursor has to respect."""

    kind: Kind
    indent: str
    """Leading whitespace of the line that opens the innermost block around the cursor; "" at top level.

    In a language without blocks, of the last line that is indented less than the cursor's.
    """
    opens_block: bool
    """The cursor stands where a body begins in which there is nothing yet."""


class _Scan(NamedTuple):
    """What the text before a cursor is made of."""

    kind: Kind
    code: str
    """The text, without the string or comment the cursor stands in."""
    marks: list[re.Match[str]]
    """Brackets and words in the code that may begin or end something."""
    spans: list[tuple[Kind, int, int]]
    """Strings and comments that are closed, in order."""


class _Open(NamedTuple):
    """What a language of words has begun and not ended yet."""

    start: int
    body: int
    """Where its body begins; `_HEADER` as long as it has none, `_BRACKET` for a bracket."""


def scope_at(text: str, cursor: int, language: str) -> CursorScope:
    """The scope at code point offset `cursor`. Any text will do, also one that does not parse."""
    row = LANGUAGES.get(language)
    if row is None:
        return CursorScope("code", "", False)
    scan = _scan(text[_window_start(text, cursor) : cursor], language)
    if row.blocks == "none":
        return CursorScope(scan.kind, _outer_indent(scan.code), False)
    header, opens = _word_block(scan, row.words) if row.words else _tree_block(scan, language)
    indent = _indent_at(scan.code, header) if header >= 0 else ""
    opens = opens and scan.kind == "code" and _is_empty(text[cursor : cursor + _WINDOW], indent, language)
    return CursorScope(scan.kind, indent, opens)


def _window_start(text: str, cursor: int) -> int:
    """The first line start of the last `_WINDOW` characters before the cursor."""
    start = cursor - _WINDOW
    return 0 if start <= 0 else text.find("\n", start, cursor) + 1 or start


@cache
def _lexer(language: str) -> re.Pattern[str]:
    row, marks = LANGUAGES[language], r"[][(){}]"
    if words := row.words:
        kinds = f"(?P<header>{words.headers})|(?P<body>{words.bodies})|(?P<end>{words.ends})"
        marks = f"{words.place}(?:{kinds})|(?P<line_end>{words.line_end})|{marks}"
    elif row.blocks != "none":
        marks = rf"^[ \t]*(?P<statement>{row.statements})|(?P<opaque>{row.opaque})|{marks}"
        marks = rf"(?P<unfinished>{_OPERATOR})(?=\s*?\n[ \t]*{row.statements})|{marks}"
    return re.compile(f"{literals(language).pattern}|{marks}", re.MULTILINE)


def _scan(before: str, language: str) -> _Scan:
    scan = _Scan("code", before, [], [])
    # The letter added stands at the cursor: a string or comment that reaches over it is the one the cursor is in.
    for token in _lexer(language).finditer(before + "x"):
        kind = _KINDS.get(token.lastgroup)
        if kind and token.end() > len(before):
            return scan._replace(kind=kind, code=before[: token.start()])
        if kind:
            scan.spans.append((kind, token.start(), token.end()))
        else:
            scan.marks.append(token)
    return scan


def _outer_indent(code: str) -> str:
    """The indentation of the last line that is indented less than the line in which `code` ends."""
    *above, line = code.split("\n")
    width = len(_indent(line))
    return next((_indent(other) for other in reversed(above) if other.strip() and len(_indent(other)) < width), "")


def _word_block(scan: _Scan, words: Words) -> tuple[int, bool]:
    """Where the header of the innermost open block begins, -1 without one; and whether the cursor begins its body."""
    opened: list[_Open] = []
    for mark in scan.marks:
        if mark.lastgroup == "end" or _is_branch(mark, words):
            _end_statement(opened, scan.code, mark.start(mark.lastgroup or 0))
        _begin(opened, mark)
    blocks = [each for each in opened if each.body >= 0]
    if not blocks:
        return -1, False
    return blocks[-1].start, _code_end(scan, "") <= blocks[-1].body


def _begin(opened: list[_Open], mark: re.Match[str]) -> None:
    """Take in what a word or a bracket begins, or the bracket that ends there."""
    in_header = bool(opened) and opened[-1].body == _HEADER
    if mark.lastgroup == "header":
        opened.append(_Open(mark.start("header"), _HEADER))
    elif in_header and mark.lastgroup in ("body", "line_end"):
        opened[-1] = opened[-1]._replace(body=mark.end())
    elif mark.lastgroup == "body":
        opened.append(_Open(mark.start("body"), mark.end()))
    elif mark[0] in _CLOSERS:
        opened.append(_Open(mark.start(), _BRACKET))
    elif mark.lastgroup is None:
        _end_bracket(opened, mark)


def _end_bracket(opened: list[_Open], mark: re.Match[str]) -> None:
    for depth in _innermost(opened):
        start, body = opened[depth]
        if body == _BRACKET and _CLOSERS[mark.string[start]] == mark[0]:
            del opened[depth:]
            return


def _end_statement(opened: list[_Open], code: str, offset: int) -> None:
    """End the statement whose last word, or next branch, is at `offset`.

    That is the innermost one, unless an outer one stands in the same column: then the inner ones were never ended.
    """
    depths = [depth for depth in _innermost(opened) if opened[depth].body != _BRACKET]
    if depths:
        column = _indent_at(code, offset)
        aligned = (depth for depth in depths if _indent_at(code, opened[depth].start) == column)
        del opened[next(aligned, depths[0]) :]


def _is_branch(mark: re.Match[str], words: Words) -> bool:
    return mark.lastgroup in ("header", "body") and re.match(words.branches, mark[mark.lastgroup]) is not None


def _innermost(opened: list[_Open] | list[int]) -> range:
    """The indices of the last that were opened, from the innermost out."""
    return range(len(opened) - 1, max(-1, len(opened) - 1 - _MAX_DEPTH), -1)


def _tree_block(scan: _Scan, language: str) -> tuple[int, bool]:
    """As `_word_block`, in a language of braces or indentation."""
    opened, scan = _brackets(scan, nested="" if language == "python" else "{")
    opener = _opener(scan, language)
    root = _parse(scan, opened, opener, language)
    own = _header(root, opener) if opener >= 0 else None
    header = own or _enclosing_header(root, scan, opened, language)
    return header.start_byte if header else -1, own is not None


def _brackets(scan: _Scan, nested: str) -> tuple[list[int], _Scan]:
    """Offsets of the brackets not yet closed, outermost first; and the scan without those that never will be.

    A statement is a sign of that: it stands in no bracket but `nested`, and behind no operator.
    """
    opened: list[int] = []
    lost: list[range] = []
    for mark in scan.marks:
        if mark.lastgroup == "statement":
            lost += _close_all(opened, nested, mark)
        elif mark.lastgroup == "unfinished":
            lost.append(range(mark.start(), mark.end()))
        elif mark[0] in _CLOSERS:
            opened.append(mark.start())
        else:
            lost += _close(opened, scan.code, mark.start())
    return opened, scan._replace(code=_without(lost, scan.code))


def _close_all(opened: list[int], nested: str, statement: re.Match[str]) -> list[range]:
    """Close what is open up to the next `nested` from the inside; returns what was begun there and not finished."""
    depth = len(opened)
    while depth and statement.string[opened[depth - 1]] != nested:
        depth -= 1
    lost = [range(opened[depth], statement.start())] if depth < len(opened) else []
    del opened[depth:]
    return lost


def _close(opened: list[int], text: str, offset: int) -> list[range]:
    """Close the pair whose closer is at `offset`; returns the brackets left open inside it."""
    for depth in _innermost(opened):
        if _CLOSERS[text[opened[depth]]] == text[offset]:
            lost = [range(inner, inner + 1) for inner in opened[depth + 1 :]]
            del opened[depth:]
            return lost
    return []


def _without(lost: list[range], code: str) -> str:
    """What nobody finished would make the parser give up on everything below: a semicolon keeps that to a line."""
    characters = list(code)
    for part in lost:
        characters[part.start : part.stop] = ";" + re.sub(r"[^\n]", " ", code[part.start + 1 : part.stop])
    return "".join(characters)


def _opener(scan: _Scan, language: str) -> int:
    """Offset of the colon or brace that only comments and a docstring separate from the cursor; -1 without one."""
    end = _code_end(scan, language)
    return end - 1 if end and scan.code[end - 1] == (":" if language == "python" else "{") else -1


def _code_end(scan: _Scan, language: str) -> int:
    """Where the code ends before the whitespace, the comments and the docstring in front of the cursor."""
    end = len(scan.code)
    for kind, start, stop in reversed(scan.spans):
        gap = scan.code[stop:end]
        if gap.strip() or (kind == "string" and (language != "python" or "\n" not in gap)):
            break
        end = start
    return len(scan.code[:end].rstrip())


def _parse(scan: _Scan, opened: list[int], opener: int, language: str) -> Node:
    # A conditional directive ends below the cursor. As a comment it does not tear apart the code around it.
    code = _CONDITIONAL.sub(r"\1//", scan.code) if LANGUAGES[language].directives else scan.code
    return parse(code + _ending(scan.code, opened, opener, language), language)


def _ending(code: str, opened: list[int], opener: int, language: str) -> str:
    """What makes the code whole: the closers of all open brackets, after a word unless `opener` begins a body."""
    closers = [_CLOSERS[code[offset]] for offset in reversed(opened)]
    if closers and code[opener : opener + 1] == "{":
        # No semicolon may follow here: it would turn the body of a C++ function into an initialiser.
        closers[0] = "} while (x);" if _DO.search(code, 0, opener) else "}"
        return "".join(closers)
    end = ";}" if language in _SEMICOLONS else "}"
    return "x" + "".join(end if closer == "}" else closer for closer in closers)


def _header(root: Node, offset: int) -> Node | None:
    """The statement whose body the colon or brace at `offset` opens; a block of its own has none."""
    mark = root.descendant_for_byte_range(offset, offset + 1)
    body = mark.parent if mark else None
    if mark is None or body is None:
        return None
    if mark.type == ":":
        return body if any(child.type == "block" for child in body.children) else None
    if mark.type != "{" or not (_BODY.fullmatch(body.type) or _BRACED.fullmatch(body.type)):
        return None
    header = body.parent
    if header and _is_variable(header):
        return None
    alone = header is None or header.parent is None or bool(_BODY.fullmatch(header.type)) or header.start_byte == offset
    return None if alone else header


def _is_variable(node: Node) -> bool:
    """Whether it is a C++ variable that is initialised in braces, and no function; `class EXPORT A {` is neither."""
    kind, declarator = node.child_by_field_name("type"), node.child_by_field_name("declarator")
    if node.type != "function_definition" or any(child.is_error for child in node.children):
        return False
    named = declarator is not None and declarator.type == "identifier"
    return named and kind is not None and not kind.type.endswith("_specifier")


def _enclosing_header(root: Node, scan: _Scan, opened: list[int], language: str) -> Node | None:
    """The statement that opens the innermost block around the cursor."""
    if language == "python":
        return _python_header(root, len(scan.code))
    braces = (offset for offset in reversed(opened[-_MAX_DEPTH:]) if scan.code[offset] == "{")
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
    return _indent(text[text.rfind("\n", 0, offset) + 1 : offset])


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _is_empty(after: str, indent: str, language: str) -> bool:
    """Whether nothing of the body stands in `after`, the text behind the cursor; `indent` is the header's."""
    if LANGUAGES[language].words:
        after = after.lstrip(")]")  # an editor closed what the header stands in
    below = after.lstrip()
    if not below or block_end(language).match(below):
        return True
    next_line = _NEXT_LINE.match(after)
    return next_line is not None and (next_line[1] == indent or not next_line[1].startswith(indent))
