"""The languages: one row each, and nothing about a language stands anywhere else.

A row says how the file is recognised, which grammar parses it, what its strings and comments look like, also those that
are not closed yet, what a block is made of, and which words no identifier has.
"""

import re
from functools import cache
from pathlib import PurePath
from typing import Literal, NamedTuple

Blocks = Literal["braces", "indent", "end", "none"]

_SLASHES = r"//[^\n]*|/\*(?s:.*?)(?:\*/|\Z)"
# Comments in a comment have ends of their own.
_NESTED = r"//[^\n]*|/\*(?:[^*/]++|\*(?!/)|/(?!\*)|/\*(?s:.*?)(?:\*/|\Z))*+(?:\*/|\Z)"
_HASH = r"#[^\n]*"
_TAGS = r"<!--(?s:.*?)(?:-->|\Z)"
_DOUBLE = r'"(?:\\(?s:.)|[^"\\\n])*"?'
_SINGLE = r"'(?:\\(?s:.)|[^'\\\n])*'?"
_TEXT_BLOCK = r'"""(?:\\(?s:.)|[^\\])*?(?:"""|\Z)'
_PYTHON = rf"[bfruBFRU]{{0,2}}(?:{_TEXT_BLOCK}|{_TEXT_BLOCK.replace(chr(34), chr(39))}|{_DOUBLE}|{_SINGLE})"
# A slash after an operator or an opening bracket begins a regular expression; after a value it divides.
_REGEX = r"(?<=[(,=:\[!&|?])\s*/(?!\*)(?:\\.|\[(?:\\.|[^\]\\\n]){0,99}\]|[^/\\\[\n]){1,999}(?:/|\Z)"
_SCRIPT = rf"{_DOUBLE}|{_SINGLE}|`(?:\\(?s:.)|[^`\\])*`?|{_REGEX}"
# The quote in 1'000 separates digits.
_C = rf"{_DOUBLE}|(?<!\d){_SINGLE}"
_CPP = rf'R"(?P<tag>[^\s()\\]*)\((?s:.*?)(?:\)(?P=tag)"|\Z)|{_C}'
# A quote that nothing closes after one character is a lifetime.
_RUST = r"""\bb?r(?P<tag>\#*)"(?s:.*?)(?:"(?P=tag)|\Z)|"(?:\\(?s:.)|[^"\\])*"?|'(?:\\[^\n][^'\n]*|[^'\\\n])'"""
_CSHARP = rf"""\$*"{{3}}(?s:.*?)(?:"{{3}}|\Z)|(?:@\$?|\$@)"(?:""|[^"])*"?|{_DOUBLE}|{_SINGLE}"""
_RUBY = (
    rf"""<<[~-](?P<quote>["'`]?)(?P<tag>\w+)(?P=quote)[^\n]*\n(?s:.*?)(?:^[ \t]*(?P=tag)\b|\Z)"""
    rf"""|%[qQwWiIr](?:\[[^\]]*\]?|\([^)]*\)?|\{{[^}}]*\}}?)|{_DOUBLE}|{_SINGLE}|{_REGEX.replace("?]", "?~]", 1)}"""
)
_PHP = (
    r"""<<<[ \t]*(?P<quote>["']?)(?P<tag>\w+)(?P=quote)\n(?s:.*?)(?:^[ \t]*(?P=tag)\b|\Z)"""
    r"""|"(?:\\(?s:.)|[^"\\])*"?|'(?:\\(?s:.)|[^'\\])*'?"""
)
_PHP_COMMENT = r"(?://|\#(?!\[))(?:(?!\?>)[^\n])*|/\*(?s:.*?)(?:\*/|\Z)"
_PHP_MARKUP = r"(?:\A\s*<(?!\?)|\?>)(?s:.*?)(?:<\?(?:php\b|=)|\Z)"
# The brackets of $((1 << N)) stand behind a shift.
_BASH = (
    r"""(?<!<)<<-?[ ]?(?P<quote>["']?)(?P<tag>[A-Za-z_]\w*)(?P=quote)(?![ \t]*\))[^\n]*\n(?s:.*?)(?:^\t*(?P=tag)$|\Z)"""
    r"""|\$'(?:\\(?s:.)|[^'\\])*'?|(?<!\\)"(?:\\(?s:.)|[^"\\])*"?|(?<!\\)'[^']*'?"""
)
_LUA = rf"\[(?P<tag>=*)\[(?s:.*?)(?:\](?P=tag)\]|\Z)|{_DOUBLE}|{_SINGLE}"
_LUA_COMMENT = r"--(?:\[(?P<level>=*)\[(?s:.*?)(?:\](?P=level)\]|\Z)|[^\n]*)"
# An apostrophe between two tags is one, as is one in a plain scalar of YAML.
_HTML = r"""(?<==)(?:"[^"<]*"?|'[^'<]*'?)"""
_YAML = rf"""(?<![^\s\[{{,])(?:{_DOUBLE}|'(?:''|[^'\n])*'?)"""
_TOML = rf"""{_TEXT_BLOCK}|'{{3}}(?s:.*?)(?:'{{3}}|\Z)|{_DOUBLE}|'[^'\n]*'?"""
_SQL = r"""'(?:''|[^'\n])*'?|"(?:""|[^"\n])*"?"""
_NEVER = r"(?!)"

_PYTHON_STATEMENT = (
    r"(?:async[ ]+def|assert|break|class|continue|def|del|elif|except|finally|pass|raise|return|try|while|with)\b"
)
# Text between tags may begin with such a word as well: only what follows makes it a statement.
_C_STATEMENT = (
    r"(?:(?:if|for|foreach|while)(?=[ ]*\()|(?:do|try|else)(?=\s*\{)|(?:return|break|continue)\b(?=[^\n;]{0,200};))"
)
_GO_STATEMENT = r"(?:break|continue|defer|else|for|go|if|return|switch)\b"
_RUST_STATEMENT = r"(?:fn|use|while)\b"

_C_WORDS = (
    "auto bool break case char const continue default do double else enum extern false float for goto if inline int "
    "long NULL register return short signed sizeof static struct switch true typedef union unsigned void volatile while"
)
_CPP_WORDS = (
    f"{_C_WORDS} alignas alignof catch class co_await co_return co_yield concept const_cast consteval constexpr "
    "decltype delete dynamic_cast explicit export final friend mutable namespace new noexcept nullptr operator "
    "override private protected public reinterpret_cast requires static_assert static_cast template this "
    "thread_local throw try typeid typename using virtual wchar_t"
)
_JS_WORDS = (
    "async await break case catch class const continue debugger default delete do else export extends false finally "
    "for from function get if import in instanceof let new null of return set static super switch this throw true try "
    "typeof undefined var void while with yield"
)
_TS_WORDS = (
    f"{_JS_WORDS} abstract any as asserts bigint boolean declare enum implements infer interface is keyof module "
    "namespace never number object private protected public readonly satisfies string symbol type unique unknown"
)
_PYTHON_WORDS = (
    "False None True and as assert async await break case class continue def del elif else except finally for from "
    "global if import in is lambda match nonlocal not or pass raise return try type while with yield"
)
_GO_WORDS = (
    "break case chan const continue default defer else fallthrough false for func go goto if import interface iota map "
    "nil package range return select struct switch true type var"
)
_RUST_WORDS = (
    "Self as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod "
    "move mut pub ref return self static struct super trait true type union unsafe use where while"
)
_JAVA_WORDS = (
    "abstract assert boolean break byte case catch char class const continue default do double else enum extends "
    "false final finally float for goto if implements import instanceof int interface long native new null package "
    "permits private protected public record return sealed short static strictfp super switch synchronized this throw "
    "throws transient true try var void volatile while yield"
)
_CSHARP_WORDS = (
    "abstract as async await base bool break byte case catch char checked class const continue decimal default "
    "delegate do double else enum event explicit extern false finally fixed float for foreach get goto if implicit in "
    "init int interface internal is lock long nameof namespace new null object operator out override params partial "
    "private protected public readonly record ref required return sbyte sealed set short sizeof stackalloc static "
    "string struct switch this throw true try typeof uint ulong unchecked unsafe ushort using var virtual void "
    "volatile when where while with yield"
)
_RUBY_WORDS = (
    "BEGIN END __FILE__ __LINE__ alias and begin break case class def defined? do else elsif end ensure false for if "
    "in module next nil not or redo rescue retry return self super then true undef unless until when while yield"
)
_PHP_WORDS = (
    "abstract and array as bool break callable case catch class clone const continue declare default do echo else "
    "elseif empty endfor endforeach endif endswitch endwhile enum extends false final finally float fn for foreach "
    "function global goto if implements include include_once instanceof insteadof int interface isset iterable list "
    "match mixed namespace never new null object or parent print private protected public readonly require "
    "require_once return self static string switch throw trait true try unset use var void while xor yield"
)
_BASH_WORDS = (
    "break case continue declare do done elif else esac eval exec exit export fi for function if in local readonly "
    "return select set shift source then time trap unset until while"
)
_LUA_WORDS = (
    "and break do else elseif end false for function goto if in local nil not or repeat return then true until while"
)
_CSS_WORDS = "and auto from important inherit initial none not only or revert to unset"
_SQL_WORDS = (
    "add all alter and as asc begin between by case cast check column commit constraint create cross database default "
    "delete desc distinct drop else end except exists false foreign from full group having if in index inner insert "
    "intersect into is join key left like limit not null offset on or order outer primary references returning right "
    "rollback select set table then transaction true union unique update using values view when where with"
)


class Words(NamedTuple):
    """The words around a body where neither brackets nor indentation are; each is a regular expression."""

    headers: str
    """What begins the header of a statement, which ends at the next of `bodies`."""
    bodies: str
    """What stands right before a body; it is a header of its own where none has begun."""
    branches: str
    """Those of both that end the body before as well."""
    ends: str
    """What ends the last body of a statement."""
    place: str = r"(?<![.:@$\w])"
    """What stands before any of them."""
    line_end: str = _NEVER
    """What ends a header too and begins no body where there is no header."""


# A header ends with its line, unless an operator or a comma says that it goes on. A condition behind a statement
# belongs to that, and a method in one line has no end.
_AFTER = r"(?![\w?!]|:(?!:))"
_BEHIND_NONE = r"(?<![\w)\]}\"'?!] )"
_RUBY_BLOCKS = Words(
    headers=rf"(?:class|module|case|for|when|elsif|rescue|{_BEHIND_NONE}(?:if|unless|while|until)){_AFTER}"
    r"|def\b(?![ ]+[\w.?!]+(?:\([^()\n]*\))?[ ]+=[ ])",
    bodies=rf"(?:do|begin|then|else|ensure){_AFTER}(?:[ ]*\|[^|\n]*\|)?",
    branches=r"(?:when|elsif|else|ensure|rescue|in)\b",
    ends=rf"end{_AFTER}",
    line_end=r"(?<![,\\&|+.=])\n|;",
)
_LUA_BLOCKS = Words(
    headers=r"(?:if|elseif|while|for)\b",
    bodies=r"(?:then|do|else|repeat)\b|function\b[\w.: ]{0,80}\([^()]{0,500}\)",
    branches=r"(?:elseif|else)\b",
    ends=r"end\b|until\b[^\n]*",
)
_BASH_BLOCKS = Words(
    headers=r"(?:if|elif|while|until|for|select)\b",
    bodies=r"(?:then|do|else)\b|case\b[^\n;]{0,200}?\bin\b|(?:function[ ]+)?[\w:-]+[ ]*\([ ]*\)\s*\{"
    r"|function[ ]+[\w:-]+\s*\{|\{",
    branches=r"(?:elif|else)\b",
    ends=r"(?:fi|done|esac)\b|\}",
    place=r"(?:^[ \t]*|[;&|(][ \t]*|(?<=\bthen )|(?<=\bdo )|(?<=\belse ))",
)


class Language(NamedTuple):
    """One row of the table."""

    grammar: str
    """Module of the grammar and the function in it, with a colon between."""
    ids: str
    """LSP language ids, separated by spaces."""
    extensions: str
    strings: str
    """A regular expression of string literals, closed or not."""
    keywords: str
    """Keywords and literals that are words, separated by spaces."""
    comments: str = _SLASHES
    """A regular expression of comments, closed or not."""
    line_comment: str = "// "
    """What begins a comment that ends with its line; "" if there is none."""
    blocks: Blocks = "braces"
    """What surrounds the body of a statement; "none" where bodies are no unit of text to write at once."""
    statements: str = _C_STATEMENT
    """A regular expression of what begins a line and is part of no expression, where brackets or indentation count."""
    words: Words | None = None
    """What begins and ends a block, if `blocks` is "end"."""
    directives: bool = False
    """Lines that begin with # are for a preprocessor."""
    opaque: str = _NEVER
    """A regular expression of code whose brackets are none: markup around it, or what stands for a part of a name."""
    bare_grammar: str = ""
    """The grammar of code without the tags that set it off from markup, if that is another one."""
    in_names: str = "_"
    """Characters of names besides letters and digits."""


LANGUAGES = {
    "python": Language(
        "tree_sitter_python:language",
        "python",
        "py pyi pyw",
        _PYTHON,
        _PYTHON_WORDS,
        _HASH,
        "# ",
        "indent",
        _PYTHON_STATEMENT,
    ),
    "javascript": Language(
        "tree_sitter_javascript:language",
        "javascript javascriptreact",
        "js mjs cjs jsx",
        _SCRIPT,
        _JS_WORDS,
        in_names="_$",
    ),
    "typescript": Language(
        "tree_sitter_typescript:language_typescript", "typescript", "ts mts cts", _SCRIPT, _TS_WORDS, in_names="_$"
    ),
    "tsx": Language("tree_sitter_typescript:language_tsx", "typescriptreact", "tsx", _SCRIPT, _TS_WORDS, in_names="_$"),
    "go": Language(
        "tree_sitter_go:language", "go", "go", rf"{_DOUBLE}|{_SINGLE}|`[^`]*`?", _GO_WORDS, statements=_GO_STATEMENT
    ),
    "rust": Language(
        "tree_sitter_rust:language", "rust", "rs", _RUST, _RUST_WORDS, _NESTED, statements=_RUST_STATEMENT
    ),
    "java": Language("tree_sitter_java:language", "java", "java", rf"{_TEXT_BLOCK}|{_C}", _JAVA_WORDS),
    "c": Language("tree_sitter_c:language", "c", "c", _C, _C_WORDS, directives=True),
    "cpp": Language(
        "tree_sitter_cpp:language", "cpp", "h cc cpp cxx c++ hh hpp hxx h++ inl ipp", _CPP, _CPP_WORDS, directives=True
    ),
    "csharp": Language("tree_sitter_c_sharp:language", "csharp", "cs csx", _CSHARP, _CSHARP_WORDS, directives=True),
    "ruby": Language(
        "tree_sitter_ruby:language",
        "ruby",
        "rb rake gemspec ru",
        _RUBY,
        _RUBY_WORDS,
        rf"^=begin\b(?s:.*?)(?:^=end[^\n]*|\Z)|{_HASH}",
        "# ",
        "end",
        words=_RUBY_BLOCKS,
    ),
    "php": Language(
        "tree_sitter_php:language_php",
        "php",
        "php phtml",
        _PHP,
        _PHP_WORDS,
        _PHP_COMMENT,
        opaque=_PHP_MARKUP,
        bare_grammar="tree_sitter_php:language_php_only",
        in_names="_$",
    ),
    "bash": Language(
        "tree_sitter_bash:language",
        "shellscript bash sh",
        "sh bash zsh",
        _BASH,
        _BASH_WORDS,
        rf"(?<![^\s;&|()]){_HASH}",
        "# ",
        "end",
        words=_BASH_BLOCKS,
    ),
    "lua": Language(
        "tree_sitter_lua:language", "lua", "lua", _LUA, _LUA_WORDS, _LUA_COMMENT, "-- ", "end", words=_LUA_BLOCKS
    ),
    "html": Language("tree_sitter_html:language", "html", "html htm xhtml", _HTML, "", _TAGS, "", "none"),
    # Two slashes after a colon, a bracket or a letter are part of an address.
    "css": Language(
        "tree_sitter_css:language",
        "css scss less",
        "css scss less",
        rf"{_DOUBLE}|{_SINGLE}",
        _CSS_WORDS,
        r"(?<![:(\w/+])//[^\n]*|/\*(?s:.*?)(?:\*/|\Z)",
        "",
        statements=_NEVER,
        opaque=r"[#@]\{[^}\n]*\}?",
        in_names="_-",
    ),
    "json": Language(
        "tree_sitter_json:language", "json jsonc", "json jsonc", _DOUBLE, "true false null", blocks="none"
    ),
    "yaml": Language(
        "tree_sitter_yaml:language",
        "yaml",
        "yaml yml",
        _YAML,
        "true false null yes no on off",
        rf"(?<![^\s]){_HASH}",
        "# ",
        "none",
    ),
    "toml": Language("tree_sitter_toml:language", "toml", "toml", _TOML, "true false inf nan", _HASH, "# ", "none"),
    "sql": Language(
        "tree_sitter_sql:language", "sql", "sql", _SQL, _SQL_WORDS, r"--[^\n]*|/\*(?s:.*?)(?:\*/|\Z)", "-- ", "none"
    ),
    "markdown": Language("tree_sitter_markdown:language", "markdown", "md markdown", _NEVER, "", _TAGS, "", "none"),
}
_BY_ID = {name: language for language, row in LANGUAGES.items() for name in row.ids.split()}
_BY_EXTENSION = {f".{name}": language for language, row in LANGUAGES.items() for name in row.extensions.split()}
EXTENSIONS = tuple(sorted(extension.removeprefix(".") for extension in _BY_EXTENSION))
"""Of all files in these languages."""


def language_of(path: str, language_id: str | None = None) -> str:
    """The language of a file by its LSP language id if that is known, else by its extension; else "text"."""
    by_path = _BY_EXTENSION.get(PurePath(path).suffix.lower(), "text")
    return _BY_ID.get(language_id or "", by_path)


@cache
def literals(language: str) -> re.Pattern[str]:
    """Matches in the groups `comment` and `string` what is not code, in one of `LANGUAGES`."""
    row = LANGUAGES[language]
    return re.compile(rf"(?P<comment>{row.comments})|(?P<string>{row.strings})", re.MULTILINE)


@cache
def block_end(language: str) -> re.Pattern[str]:
    """Matches what ends a block and may not be left out, in one of `LANGUAGES`; nothing where indentation does."""
    row = LANGUAGES[language]
    braces = r"\}" if row.blocks == "braces" else _NEVER
    return re.compile(row.words.ends if row.words else braces)
