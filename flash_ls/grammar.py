"""Text to syntax tree. The only module that loads grammars; each one when its language is first met.

A parser is no two threads' at once: each thread has its own, of grammars that all share.
"""

import re
import threading
import time
from functools import cache
from importlib import import_module

import tree_sitter

from flash_ls.language import LANGUAGES

Node = tree_sitter.Node

_UNUSUAL = re.compile(r"[^\t-\r -~]")
_PATIENCE = 0.1, 10e-6
"""Seconds a parser has, and more for each character: ten times what code takes. Nonsense may take minutes."""


class _Parsers(threading.local):
    """The parsers of one thread, by grammar."""

    def __init__(self) -> None:
        self.by_grammar: dict[str, tree_sitter.Parser] = {}


_parsers = _Parsers()


def parse(code: str, language: str) -> Node:
    """The root of the tree of `code`, in one of `LANGUAGES`, whose offsets in bytes are code points of `code`.

    What is not ASCII is parsed as a letter, so that both offsets are the same; so are control characters, since a
    parser takes NUL for the end. Text that is no code at all and takes too long has an empty tree. Any number of
    threads may call this at once.
    """
    row = LANGUAGES[language]
    parser = _parser(row.bare_grammar if row.bare_grammar and "<?" not in code else row.grammar)
    source = memoryview(_UNUSUAL.sub("x", code).encode())
    end = time.monotonic() + _PATIENCE[0] + _PATIENCE[1] * len(source)
    try:
        tree = parser.parse(lambda start, _: source[start:], progress_callback=lambda *_: time.monotonic() > end)
    except ValueError:
        parser.reset()
        tree = parser.parse(b"")
    return tree.root_node


def _parser(grammar: str) -> tree_sitter.Parser:
    parsers = _parsers.by_grammar
    if grammar not in parsers:
        parsers[grammar] = tree_sitter.Parser(_grammar(grammar))
    return parsers[grammar]


@cache
def _grammar(name: str) -> tree_sitter.Language:
    module, _, function = name.partition(":")
    return tree_sitter.Language(getattr(import_module(module), function)())
