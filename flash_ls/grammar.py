"""Text to syntax tree. The only module that loads grammars; each one when its language is first met."""

import re
from functools import cache
from importlib import import_module

import tree_sitter

from flash_ls.language import LANGUAGES

Node = tree_sitter.Node

_UNUSUAL = re.compile(r"[^\t-\r -~]")


def parse(code: str, language: str) -> Node:
    """The root of the tree of `code`, in one of `LANGUAGES`, whose offsets in bytes are code points of `code`.

    What is not ASCII is parsed as a letter, so that both offsets are the same; so are control characters, since a
    parser takes NUL for the end.
    """
    return _parser(language).parse(_UNUSUAL.sub("x", code).encode()).root_node


@cache
def _parser(language: str) -> tree_sitter.Parser:
    module, _, function = LANGUAGES[language].grammar.partition(":")
    return tree_sitter.Parser(tree_sitter.Language(getattr(import_module(module), function)()))
