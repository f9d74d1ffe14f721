"""How far lines stand in: whether Python's lines fit the levels around them, and what a buffer makes its levels of.

It knows line ends and brackets; nothing is parsed.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from flash_ls.brackets import lexer, match_brackets

INDENT = re.compile(r"^[ \t]*(?=\S)", re.MULTILINE)
"""The white space before a line's code."""
_FULL_LINE = re.compile(r"(?<!\\\n)^[ \t]*(?=\S)", re.MULTILINE)
_STATEMENT_BELOW = re.compile(r"^([ \t]*)[^\s#)\]}]", re.MULTILINE)
_ENOUGH = 8_000
"""So many characters tell what a level is made of."""


def is_indented(text: str, before: str, after: str) -> bool:
    """Whether Python's lines in `text`, and the one below, stand at levels that are open, deeper only after a colon."""
    if "\n" not in text and before.rpartition("\n")[2].strip():
        return True
    cursor_line = before.rfind("\n") + 1
    levels: list[str] = []
    opens, base = False, None
    for start, statement in _statements(before + text):
        indent = statement[: len(statement) - len(statement.lstrip())]
        if start >= cursor_line and (start > cursor_line or not before[start:].strip()):
            deeper = opens and len(indent) > len(levels[-1]) and indent.startswith(levels[-1])
            if len(indent) < len(base or "") or (levels and not deeper and (opens or indent not in levels)):
                return False
        if start >= cursor_line and base is None:
            base = indent
        levels = [level for level in levels if len(level) < len(indent)] + [indent]
        opens = statement.rstrip().endswith(":")
    return _is_followed(before + text, levels[-1] if levels else "", opens, after)


def _is_followed(code: str, indent: str, opens: bool, after: str) -> bool:
    """Whether Python's line below may come after the last statement of `code`, at `indent`, which may open a block.

    A block whose lines are still to be typed may end the one around it, but nothing may stand in their place.
    """
    rest, _, lines = after.partition("\n")
    below, around = _STATEMENT_BELOW.search(lines), match_brackets(code, "python")
    if below is None or rest.strip() or around.waiting or around.unended is not None:
        return True
    return below[1] != indent if opens else len(below[1]) <= len(indent)


def _statements(code: str) -> Iterator[tuple[int, str]]:
    """Python's statements with their offsets, each with all of its lines, comments blanked."""
    code = lexer("python").sub(lambda token: " " * len(token[0]) if token["comment"] else token[0], code)
    inside = bytearray(len(code) + 1)
    for first, last in match_brackets(code, "python").spans:
        inside[first + 1 : last + 1] = b"x" * (last - first)
    starts = [m.start() for m in _FULL_LINE.finditer(code) if not inside[m.start()]]
    for start, end in pairwise([*starts, len(code)]):
        yield start, code[start:end]


def with_indentation_of(text: str, before: str) -> str:
    """`text` with the leading tabs of its lines as spaces, or the reverse, where no line of `before` has such."""
    unit = _unit(before)
    if not unit:
        return text
    first, *lines = text.split("\n")
    if not before.rpartition("\n")[2].strip():
        return "\n".join(_indented([first, *lines], unit))
    return "\n".join([first, *_indented(lines, unit)])


def _unit(before: str) -> str:
    """What one level of indentation is made of in `before`; the empty string if that cannot be told."""
    indents = INDENT.findall(before[-_ENOUGH:])
    tabs = sum(indent.startswith("\t") for indent in indents)
    spaces = sum(indent.startswith("  ") for indent in indents)
    if bool(tabs) == bool(spaces):
        return ""
    return "\t" if tabs else " " * _step(indents)


def _step(indents: list[str]) -> int:
    """How many columns a level takes: the commonest difference between a line and the next."""
    widths = map(len, ["", *indents])
    steps = Counter(abs(upper - lower) for upper, lower in pairwise(widths))
    return max((step for step in steps if step > 1), key=lambda step: (steps[step], -step), default=4)


def _indented(lines: list[str], unit: str) -> list[str]:
    width = min(_step(INDENT.findall("\n".join(lines))), 4)
    return [_reindented(line, unit, width) for line in lines]


def _reindented(line: str, unit: str, width: int) -> str:
    code = line.lstrip(" \t")
    indent = line[: len(line) - len(code)]
    if unit != "\t":
        return indent.replace("\t", unit) + code
    levels, rest = divmod(len(indent), width)
    return unit * levels + " " * rest + code if indent.startswith(" ") else line
