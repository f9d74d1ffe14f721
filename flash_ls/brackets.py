"""Which brackets a text opens and closes, and which of its parts go on over line ends.

Strings and comments are told by the patterns of the language; nothing is parsed.
"""

import re
from functools import cache
from itertools import takewhile
from sys import maxsize
from typing import NamedTuple

from flash_ls.language import LANGUAGES

_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_DEPTH = 20
"""How many open brackets a closer may close."""
_STRING = r'(?P<string>"(?:\\.|[^"\\\n])*")'
"""What counts as a string in a language that is not in `LANGUAGES`."""
_REACH = 4_000
"""How many characters below a line are searched for what closes its brackets."""
_TAB_WIDTH = 4
_LONG = re.compile(r"\w*(?:\"\"\"|'''|`)|(?s:.)*\n")
"""A string that goes on over line ends, or may."""


class Brackets(NamedTuple):
    """The brackets of a text, and what is continued in it over line ends."""

    waiting: list[str]
    """The closers of what is open, the outermost first."""
    surplus: list[tuple[int, str]]
    """Closers that close nothing, with their offsets."""
    spans: list[tuple[int, int]]
    """From where to where brackets, strings and comments reach, those of many lines."""
    unended: int | None
    """Where the comment, or string of many lines, begins that reaches the end."""
    openers: list[int]
    """The offsets of the brackets that what is waiting closes."""


@cache
def lexer(language: str) -> re.Pattern[str]:
    """Finds brackets, and as groups `comment` and `string`; where the language is not in `LANGUAGES`, no comments."""
    row = LANGUAGES.get(language)
    prose = rf"(?P<comment>{row.comments})|(?P<string>{row.strings}|{row.opaque})" if row else _STRING
    return re.compile(rf"{prose}|[][(){{}}]", re.MULTILINE)


def match_brackets(code: str, language: str) -> Brackets:
    """The brackets of `code`, without those in its strings and comments."""
    waiting: list[str] = []
    surplus: list[tuple[int, str]] = []
    spans: list[tuple[int, int]] = []
    openers: list[int] = []
    unended = None
    for token in lexer(language).finditer(code):
        bracket = token[0]
        if token.lastgroup:
            spans += [token.span()] if "\n" in bracket else []
            if token.end() == len(code) and (token.lastgroup == "comment" or _LONG.match(bracket)):
                unended = token.start()
        elif bracket in _CLOSERS:
            waiting.append(_CLOSERS[bracket])
            openers.append(token.start())
        elif bracket in waiting[-_DEPTH:]:
            while waiting.pop() != bracket:
                openers.pop()
            opened = openers.pop()
            spans += [] if waiting else [(opened, token.start())]
        else:
            surplus.append((token.start(), bracket))
    spans += [(openers[0], len(code))] if waiting else []
    return Brackets(waiting, surplus, spans, unended, openers)


def closing_lines(code: str, language: str, closed: int = 0) -> str:
    """The lines that close what `code` leaves open, but the outermost `closed` of it, in the columns of the openers."""
    brackets = match_brackets(code, language)
    text, last = "", -1
    for opener, closer in reversed([*zip(brackets.openers, brackets.waiting, strict=True)][closed:]):
        start = code.rfind("\n", 0, opener) + 1
        text += closer if start == last else f"\n{_indent(code[start:])}{closer}"
        last = start
    return text


def closers_below(indent: str, after: str, language: str) -> int:
    """How many of the brackets that a line opens are closed by what is `after` it.

    That begins with what comes next on the line and goes on with the lines that stand deeper than its `indent`, or at
    it with a closer; where those do not end in sight all brackets count as closed.
    """
    inner = lines_below(indent, after)
    return maxsize if inner is None else len(match_brackets(inner, language).surplus)


def lines_below(indent: str, after: str, closers: bool = True) -> str | None:
    """What is `after` a line at `indent` and goes on with it, with or without `closers` that stand at the indent.

    None where that does not end in sight.
    """
    rest, *lines = after[:_REACH].split("\n")
    inner = list(takewhile(lambda line: goes_on(line, indent, closers), lines))
    return None if len(inner) == len(lines) and len(after) > _REACH else "\n".join([rest, *inner])


def goes_on(line: str, indent: str, closers: bool = True) -> bool:
    """Whether a line goes on with what one above it at `indent` has opened; with `closers`, or closes it."""
    code = line.lstrip()
    deeper = _width(_indent(line)) - _width(indent)
    return not code or code[0] == "#" or deeper > 0 or (closers and deeper == 0 and code[0] in _CLOSERS.values())


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _width(indent: str) -> int:
    return len(indent.expandtabs(_TAB_WIDTH))
