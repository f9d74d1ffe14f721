"""Which brackets a text opens and closes, and which of its parts go on over line ends.

Strings and comments are told by the patterns of the language; nothing is parsed.
"""

import re
from functools import cache
from typing import NamedTuple

from flash_ls.language import LANGUAGES

_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_DEPTH = 20
"""How many open brackets a closer may close."""
_STRING = r'(?P<string>"(?:\\.|[^"\\\n])*")'
"""What counts as a string in a language that is not in `LANGUAGES`."""
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
    unended, opened = None, 0
    for token in lexer(language).finditer(code):
        bracket = token[0]
        if token.lastgroup:
            spans += [token.span()] if "\n" in bracket else []
            if token.end() == len(code) and (token.lastgroup == "comment" or _LONG.match(bracket)):
                unended = token.start()
        elif bracket in _CLOSERS:
            opened = opened if waiting else token.start()
            waiting.append(_CLOSERS[bracket])
        elif bracket in waiting[-_DEPTH:]:
            while waiting.pop() != bracket:
                pass
            spans += [] if waiting else [(opened, token.start())]
        else:
            surplus.append((token.start(), bracket))
    spans += [(opened, len(code))] if waiting else []
    return Brackets(waiting, surplus, spans, unended)
