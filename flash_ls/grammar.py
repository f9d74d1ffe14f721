"""Text to syntax tree. The only module that loads grammars; each one when its language is first met.

A parser is no two threads' at once: each thread has its own, of grammars that all share.
"""

import re
import threading
from functools import cache
from importlib import import_module

import tree_sitter

from flash_ls.language import LANGUAGES

Node = tree_sitter.Node

_UNUSUAL = re.compile(r"[^\t-\r -~]")


class _Parsers(threading.local):
    """The parsers of one thread, by grammar."""

    def __init__(self) -> None:
        self.by_grammar: dict[str, tree_sitter.Parser] = {}


_parsers = _Parsers()


def parse(code: str, language: str) -> Node:
    """The root of the tree of `code`, in one of `LANGUAGES`, whose offsets in bytes are code points of `code`.

    What is not ASCII is parsed as a letter, so that both offsets are the same; so are control characters, since a
    parser takes NUL for the end. Any number of threads may call this at once.
    """
    row = LANGUAGES[language]
    grammar = row.bare_grammar if row.bare_grammar and "<?" not in code else row.grammar
    return _parser(grammar).parse(_UNUSUAL.sub("x", code).encode()).root_node


def _parser(grammar: str) -> tree_sitter.Parser:
    parsers = _parsers.by_grammar
    if grammar not in parsers:
        parsers[grammar] = tree_sitter.Parser(_grammar(grammar))
    return parsers[grammar]


@cache
def _grammar(name: str) -> tree_sitter.Language:
    module, _, function = name.partition(":")
    return tree_sitter.Language(getattr(import_module(module), function)())
