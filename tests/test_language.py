"""The table of languages: every row holds, and a file finds its row."""

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from flash_ls.grammar import _parser, parse
from flash_ls.language import LANGUAGES, block_end, language_of, literals

SOURCES = {
    "python": "def f(a):\n    return a\n",
    "javascript": "const f = (a) => a;\n",
    "typescript": "const f = (a: A): B => a;\n",
    "tsx": "const f = (a: A) => <p>{a}</p>;\n",
    "go": "package a\n\nfunc f() {}\n",
    "rust": "fn f(a: &str) {}\n",
    "java": "class A { void f() {} }\n",
    "c": "int f(void) { return 1; }\n",
    "cpp": "template <class T> T f() { return {}; }\n",
    "csharp": "class A { int B => 1; }\n",
    "ruby": "def f(a)\n  a\nend\n",
    "php": "<p>a</p><?php function f() { return 1; } ?>\n",
    "bash": "f() {\n  echo $1\n}\n",
    "lua": "local function f(a) return a end\n",
    "html": "<!DOCTYPE html>\n<p class='a'>b</p>\n",
    "css": ".a > b { color: red }\n",
    "json": '{"a": [1, null]}\n',
    "yaml": "a:\n  - b: 'c'\n",
    "toml": "[a]\nb = 1\n",
    "sql": "select a from b where c = 'd';\n",
    "markdown": "# A\n\nb *c*\n",
}


def test_there_is_a_source_for_each_language() -> None:
    assert set(SOURCES) == set(LANGUAGES)


@pytest.mark.parametrize(("language", "source"), SOURCES.items())
def test_its_grammar_parses_a_language(language: str, source: str) -> None:
    root = parse(source, language)
    assert root.end_byte == len(source)
    assert not root.has_error


def test_php_is_parsed_with_its_tag_and_without() -> None:
    assert [parse(f"{tag}class A {{}}", "php").named_children[-1].type for tag in ("<?php ", "")] == [
        "class_declaration",
        "class_declaration",
    ]


@pytest.mark.parametrize(
    ("path", "language_id", "language"),
    [
        ("a.py", None, "python"),
        ("a.pyi", None, "python"),
        ("/x/y.MJS", None, "javascript"),
        ("a.mts", None, "typescript"),
        ("a.tsx", None, "tsx"),
        ("a.h", None, "cpp"),
        ("a.h", "c", "c"),
        ("a.ts", "typescriptreact", "tsx"),
        ("a", "javascriptreact", "javascript"),
        ("a.cs", None, "csharp"),
        ("Gemfile", "ruby", "ruby"),
        ("a.phtml", None, "php"),
        ("a.zsh", None, "bash"),
        ("a", "shellscript", "bash"),
        ("a.lua", None, "lua"),
        ("a.htm", None, "html"),
        ("a.less", None, "css"),
        ("a", "scss", "css"),
        ("tsconfig.json", "jsonc", "json"),
        ("a.yml", None, "yaml"),
        ("a.toml", None, "toml"),
        ("a.sql", None, "sql"),
        ("README.md", None, "markdown"),
        ("a.py", "jinja", "python"),
        ("py", None, "text"),
        ("a.txt", "plaintext", "text"),
    ],
)
def test_language_of_prefers_a_known_id_to_the_extension(path: str, language_id: str | None, language: str) -> None:
    assert language_of(path, language_id) == language


@pytest.mark.parametrize("column", ["ids", "extensions"])
def test_no_two_languages_share_an_id_or_extension(column: str) -> None:
    names = [name for row in LANGUAGES.values() for name in getattr(row, column).split()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_line_comment_is_a_comment_to_the_end_of_its_line(language: str) -> None:
    mark = LANGUAGES[language].line_comment
    found = literals(language).search(f"{mark}it's {{\nb")
    assert not mark or (found and (found.lastgroup, found[0]) == ("comment", f"{mark}it's {{"))
    assert mark or language in ("html", "css", "markdown")


@pytest.mark.parametrize("language", LANGUAGES)
def test_keywords_are_words_each_once(language: str) -> None:
    words = LANGUAGES[language].keywords.split()
    assert len(words) == len(set(words))
    assert all(re.fullmatch(r"\w+\??", word) for word in words)
    assert len(words) > 20 or LANGUAGES[language].blocks == "none" or language == "css"


@pytest.mark.parametrize(
    ("language", "end"),
    [("go", "}"), ("css", "}"), ("ruby", "end"), ("lua", "until a"), ("bash", "esac"), ("bash", "}")],
)
def test_what_ends_a_block(language: str, end: str) -> None:
    match = block_end(language).match(f"{end}\n")
    assert match is not None
    assert match[0] == end
    assert not block_end("python").match(f"{end}\n")
    assert not block_end(language).match("endless")


def test_each_thread_has_its_own_parsers() -> None:
    both = Barrier(2)

    def parsers(_: int) -> list[object]:
        both.wait()
        return [_parser(LANGUAGES["python"].grammar) for _ in range(2)]

    with ThreadPoolExecutor(2) as threads:
        (one, again), (other, _) = threads.map(parsers, range(2))
    assert one is again
    assert one is not other


def test_threads_parse_at_once() -> None:
    sources = [SOURCES["python"] * size for size in range(200, 240)]
    with ThreadPoolExecutor(4) as threads:
        roots = list(threads.map(lambda source: parse(source, "python"), sources))
    assert [len(root.children) for root in roots] == [source.count("def") for source in sources]
