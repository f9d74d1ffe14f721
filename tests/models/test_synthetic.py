"""Synthetic files parse, have what is seldom elsewhere, bind what they use, and keep to a style of their own."""

import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from symtable import SymbolTable, symtable

import pytest

from flash_ls.grammar import Node, parse
from flash_ls.language import LANGUAGES as ROWS
from flash_ls.language import language_of
from models.corpus import LANGUAGES, SMALLEST, Seen, SourceText, runs
from models.expander import Layout
from models.synthetic import (
    DIALECTS,
    FIELD_KINDS,
    Style,
    aligned,
    files,
    laid_out,
    spell,
    words,
)

COUNT = 48
RARE = {
    "python": "match_statement, named_expression, decorator, yield, lambda, @overload, TypedDict, async for",
    "javascript": "yield, class_static_block, private_property_identifier, rest_pattern, labeled_statement",
    "typescript": "conditional_type, mapped_type_clause, satisfies_expression, function_signature, union_type"
    ", infer_type, enum_declaration, abstract_class_declaration, template_literal_type, constraint",
    "tsx": "jsx_element, jsx_expression, jsx_self_closing_element, ternary_expression, useState, useMemo, useEffect",
    "go": "select_statement, type_switch_statement, type_parameter_list, communication_case, iota, func_literal",
    "rust": "match_pattern, lifetime, where_clause, macro_definition, trait_item, const_parameter, slice_pattern",
    "java": "record_declaration, sealed, switch_expression, switch_rule, yield_statement, lambda_expression, .stream()",
    "cpp": "template_declaration, concept_definition, requires_clause, lambda_capture_specifier, if constexpr",
}
"""Types of nodes, or what is written, in some file of each language."""
STATEMENT = re.compile(
    r"(?:if|for|for_in|for_range|enhanced_for|while|do|try|with|match|switch|loop|expression_switch|synchronized)"
    r"_(?:statement|expression|loop)|expression_switch_statement"
)
LITERAL = re.compile(
    r"dictionary|list|object|array|literal_value|initializer_list|array_expression|token_tree|argument_list|arguments"
)


@cache
def made(language: str) -> list[SourceText]:
    return list(files(language, COUNT, 5))


def nodes(root: Node) -> Iterator[Node]:
    left = [root]
    while left:
        yield (node := left.pop())
        left += node.children


def levels(node: Node, kind: re.Pattern[str]) -> int:
    """How many nodes of a kind are within each other."""
    deepest, left = 0, [(node, 0)]
    while left:
        inner, level = left.pop()
        level += bool(kind.fullmatch(inner.type))
        deepest = max(deepest, level)
        left += [(child, level) for child in inner.children]
    return deepest


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_files_parse_and_are_such_as_a_model_learns_from(language: str) -> None:
    for one in made(language):
        assert not parse(one.text, language).has_error, one.text
        assert language_of(one.path) == language
        assert len(one.text) > SMALLEST
        assert not re.search(r"[\t ]\n|\0|\n{4}", one.text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_statements_are_nested_ten_deep_and_literals_four(language: str) -> None:
    roots = [parse(one.text, language) for one in made(language)]
    assert max(levels(root, STATEMENT) for root in roots) >= 10
    assert sum(levels(root, STATEMENT) >= 6 for root in roots) > COUNT / 6
    assert sum(levels(root, LITERAL) >= 6 for root in roots) > COUNT / 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_rare_syntax(language: str) -> None:
    types = {node.type for one in made(language) for node in nodes(parse(one.text, language))}
    text = "\n".join([*types, *(one.text for one in made(language))])
    assert [kind for kind in RARE[language].split(", ") if kind not in text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_seed_gives_the_same_files_and_another_others(language: str) -> None:
    assert list(files(language, 13, 5)) == made(language)[:13]
    assert list(files(language, 1, 6)) != made(language)[:1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_file_is_largely_another(language: str) -> None:
    seen: set[bytes] = set()
    for one in made(language):
        found = set(runs(one.text))
        assert len(found & seen) < 0.35 * len(found)
        seen |= found
    assert {Seen().take(one.text) for one in made(language)} == {""}


def unbound(table: SymbolTable, known: set[str]) -> Iterator[str]:
    for symbol in table.get_symbols():
        is_free = symbol.is_global() or table.get_type() == "module"
        if symbol.is_referenced() and is_free and symbol.get_name() not in known:
            yield symbol.get_name()
    for child in table.get_children():
        yield from unbound(child, known)


def test_python_uses_only_names_that_it_binds() -> None:
    for one in made("python"):
        table = symtable(one.text, one.path, "exec")
        bound = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        assert set(unbound(table, bound | set(dir(builtins)))) == set(), one.text


@pytest.mark.parametrize("language", set(LANGUAGES) - {"go", "java"})
def test_files_of_a_package_use_each_other(language: str) -> None:
    first = [one for one in made(language) if one.package == made(language)[0].package]
    assert len(first) == 12
    stems = "|".join(Path(one.path).stem for one in first)
    imports = re.compile(rf"(?m)^(?:from|import|use|#include)\b.*\b(?:{stems})\b")
    uses = [one for one in first if imports.search(one.text)]
    assert len(uses) >= 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_files_differ_in_style_and_each_keeps_to_its_own(language: str) -> None:
    indents = set()
    for one in made(language):
        starts = {line[: len(line) - len(line.lstrip())] for line in one.text.split("\n")} - {""}
        unit = min((start for start in starts if start != " "), key=len)
        indents.add(unit)
        assert len({start[0] for start in starts if start != " "}) == 1, one.text
    assert len(indents) > 1
    if len(DIALECTS[language].quotes) > 1:
        assert {("'" in re.sub('"""', "", one.text), '"' in re.sub('"""', "", one.text)) for one in made(language)} >= {
            (True, False),
            (False, True),
        }


def test_braces_semicolons_quotes_and_signs_are_as_the_style_says() -> None:
    plain = Style("snake", "   ", '"', True, False, False, Layout(60, False))
    text = 'if (a) {\n\tb = "c";\n} else {\n\tlonger = 1;\n}\n'
    assert laid_out(text, plain) == 'if (a) {\n   b = "c";\n} else {\n   longer = 1;\n}\n'
    other = plain._replace(quote="'", semicolons=False, brace_lines=True)
    assert laid_out(text, other) == "if (a)\n{\n   b = 'c'\n}\nelse\n{\n   longer = 1\n}\n"
    assert laid_out('"""a"""\n""\n', other) == '"""a"""\n\'\'\n'


def test_neighbouring_assignments_are_aligned() -> None:
    text, rest = "a = 1\nlonger += 2\n", "\tb = 3\nif x == y:\nc = 4\n"
    assert aligned(text + rest) == "a      = 1\nlonger += 2\n" + rest


def test_names_are_spelled_in_the_case_of_their_place() -> None:
    cases = ("snake", "camel", "pascal", "upper", "words")
    assert [spell(("unit", "price"), case) for case in cases] == [
        "unit_price",
        "unitPrice",
        "UnitPrice",
        "UNIT_PRICE",
        "unit price",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_name_is_a_word_of_the_language(language: str) -> None:
    kinds = ("nouns", "package", "words", "num", "text", "flag", "index", *(f"field.{kind}" for kind in FIELD_KINDS))
    names = {name[0] for kind in kinds for name in words(kind) if len(name) == 1}
    assert names.isdisjoint(ROWS[language].keywords.split())
