"""The languages: one row each, and nothing about a language stands anywhere else.

A row says how the file is recognised, which grammar parses it, what its strings and comments look like, also those that
are not closed yet, and what a block is made of.
"""

from pathlib import PurePath
from typing import Literal, NamedTuple

Blocks = Literal["braces", "indent"]

_SLASHES = r"//[^\n]*|/\*(?s:.*?)(?:\*/|\Z)"
_HASH = r"#[^\n]*"
_DOUBLE = r'"(?:\\(?s:.)|[^"\\\n])*"?'
_SINGLE = r"'(?:\\(?s:.)|[^'\\\n])*'?"
_TEXT_BLOCK = r'"""(?:\\(?s:.)|[^\\])*?(?:"""|\Z)'
_PYTHON = rf"[bfruBFRU]{{0,2}}(?:{_TEXT_BLOCK}|{_TEXT_BLOCK.replace(chr(34), chr(39))}|{_DOUBLE}|{_SINGLE})"
# A slash after an operator or an opening bracket begins a regular expression; after a value it divides.
_REGEX = r"(?<=[(,=:\[!&|?])\s*/(?!\*)(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+(?:/|\Z)"
_SCRIPT = rf"{_DOUBLE}|{_SINGLE}|`(?:\\(?s:.)|[^`\\])*`?|{_REGEX}"
# The quote in 1'000 separates digits.
_C = rf"{_DOUBLE}|(?<!\d){_SINGLE}"
_CPP = rf'R"(?P<tag>[^\s()\\]*)\((?s:.*?)(?:\)(?P=tag)"|\Z)|{_C}'
# A quote that nothing closes after one character is a lifetime.
_RUST = r"""\bb?r(?P<tag>\#*)"(?s:.*?)(?:"(?P=tag)|\Z)|"(?:\\(?s:.)|[^"\\])*"?|'(?:\\[^\n][^'\n]*|[^'\\\n])'"""


class Language(NamedTuple):
    """One row of the table."""

    grammar: str
    """Module of the grammar and the function in it, with a colon between."""
    ids: str
    """LSP language ids, separated by spaces."""
    extensions: str
    strings: str
    """A regular expression of string literals, closed or not."""
    comments: str = _SLASHES
    """A regular expression of comments, closed or not."""
    blocks: Blocks = "braces"
    """What surrounds the body of a statement."""


LANGUAGES = {
    "python": Language("tree_sitter_python:language", "python", "py pyi pyw", _PYTHON, _HASH, "indent"),
    "javascript": Language("tree_sitter_javascript:language", "javascript javascriptreact", "js mjs cjs jsx", _SCRIPT),
    "typescript": Language("tree_sitter_typescript:language_typescript", "typescript", "ts mts cts", _SCRIPT),
    "tsx": Language("tree_sitter_typescript:language_tsx", "typescriptreact", "tsx", _SCRIPT),
    "go": Language("tree_sitter_go:language", "go", "go", rf"{_DOUBLE}|{_SINGLE}|`[^`]*`?"),
    "rust": Language("tree_sitter_rust:language", "rust", "rs", _RUST),
    "java": Language("tree_sitter_java:language", "java", "java", rf"{_TEXT_BLOCK}|{_C}"),
    "c": Language("tree_sitter_c:language", "c", "c", _C),
    "cpp": Language("tree_sitter_cpp:language", "cpp", "h cc cpp cxx c++ hh hpp hxx h++ inl ipp", _CPP),
}
_BY_ID = {name: language for language, row in LANGUAGES.items() for name in row.ids.split()}
_BY_EXTENSION = {f".{name}": language for language, row in LANGUAGES.items() for name in row.extensions.split()}


def language_of(path: str, language_id: str | None = None) -> str:
    """The language of a file by its LSP language id if that is known, else by its extension; else "text"."""
    by_path = _BY_EXTENSION.get(PurePath(path).suffix.lower(), "text")
    return _BY_ID.get(language_id or "", by_path)
