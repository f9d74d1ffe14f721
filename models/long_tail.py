#!/usr/bin/env python3
"""Make cases of the long tail to score on: holes at such places of synthetic code that no training sample is made of.

models/long_tail.py --cases FILE --files FILE [--seed 0] [--count 100]
scripts/eval.py --cases FILE --files FILE
"""

import argparse
import gzip
import json
import re
from collections.abc import Iterable, Iterator
from itertools import count as numbers
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from flash_ls.grammar import Node, parse
from models.corpus import LANGUAGES, SourceText
from models.synthetic import HELD_OUT, package
from scripts.holes import Hole, line_holes, tree_holes

_WORD = re.compile(r"[^\W\d]\w*")
DEEP, DEEP_LITERAL, NEAR = 5, 4, 6
"""From how many statements or literals around it a place is deep, and how near to a place rare syntax is."""
PLACES = (
    ("deep", "line"),
    ("literal", "mid-line"),
    ("rare", "block"),
    ("deep", "mid-line"),
    ("literal", "line"),
    ("rare", "mid-line"),
    ("deep", "block"),
    ("rare", "line"),
)
"""Where holes are, and their kinds, by turns."""
_STATEMENT = re.compile(
    r"(?:if|for|for_in|for_range|enhanced_for|while|do|try|with|match|switch|loop|expression_switch|synchronized)"
    r"_(?:statement|expression|loop)|expression_switch_statement|switch_expression|jsx_element"
)
_LITERAL = re.compile(
    r"dictionary|list|tuple|object|array|literal_value|initializer_list|struct_expression|array_initializer"
    r"|array_expression|token_tree|argument_list|arguments"
)
_RARE_SYNTAX = re.compile(
    r"match_\w+|case_clause|case_pattern|named_expression|decorat\w+|conditional_type|mapped_type_clause|union_type"
    r"|satisfies_expression|function_signature|abstract_\w+|enum_\w+|type_parameters?|type_parameter_\w+|select_statement"
    r"|communication_case|type_switch_statement|type_case|type_arguments|where_\w+|macro_\w+|lifetime\w*|record_\w+"
    r"|switch_rule|switch_block|permits|lambda_\w+|template_\w+|concept_definition|requires_\w+|class_static_block"
    r"|object_pattern|generator_\w+|yield_expression|jsx_expression|private_property_identifier|constraint_elem"
)


def place_of(root: Node, offset: int) -> str:
    """Why the character is of the long tail: deep, literal, rare; or the empty string."""
    around: list[str] = []
    node = root.descendant_for_byte_range(offset, offset + 1)
    while node:
        around.append(node.type)
        node = node.parent
    if sum(map(bool, map(_STATEMENT.fullmatch, around))) >= DEEP:
        return "deep"
    if sum(map(bool, map(_LITERAL.fullmatch, around))) >= DEEP_LITERAL:
        return "literal"
    return "rare" if any(map(_RARE_SYNTAX.fullmatch, around[:NEAR])) else ""


def long_tail(one: SourceText) -> Iterator[tuple[str, Hole]]:
    """Places and holes there."""
    root = parse(one.text, one.language)
    for hole in (*line_holes(one.text, root), *tree_holes(one.text, root)):
        if place := place_of(root, hole.start):
            yield place, hole


def is_told(text: str, hole: Hole) -> bool:
    """Whether all words of what is missing stand in the rest of the file, so that they can be known."""
    rest = text[: hole.start] + " " + text[hole.end :]
    return set(_WORD.findall(text[hole.start : hole.end])) <= set(_WORD.findall(rest))


def rows(language: str, seed: int) -> Iterator[tuple[dict[str, Any], list[SourceText]]]:
    """Cases without end, in the form of the suite `fresh`, one in a file at most; and the packages of their files."""
    random, places = Random(f"{language} {seed}"), cycle(PLACES)
    for number in numbers():
        sources = package(language, number, HELD_OUT + seed)
        for one, (place, kind) in zip(sources, places, strict=False):
            found = [
                hole for at, hole in long_tail(one) if (at, hole.kind) == (place, kind) and is_told(one.text, hole)
            ]
            if found:
                yield row(one, random.choice(found), place), sources


def row(one: SourceText, hole: Hole, place: str) -> dict[str, Any]:
    """A case as `scripts.cases` reads it; `place` says of which part of the long tail it is."""
    return {
        "id": f"{one.package}/{one.path}:{hole.start}:{place}",
        "repo": one.package,
        "path": one.path,
        "language": one.language,
        "kind": hole.kind,
        "trigger": hole.trigger,
        "place": place,
        "prefix": one.text[: hole.start],
        "suffix": one.text[hole.end :],
        "middle": one.text[hole.start : hole.end],
    }


def held_out(count: int, seed: int) -> tuple[list[dict[str, Any]], list[SourceText]]:
    """`count` cases, the languages by turns, and all files of their packages."""
    making = [rows(language, seed) for language in LANGUAGES]
    made = [next(making[index % len(making)]) for index in range(count)]
    sources = dict.fromkeys(source for _, packages in made for source in packages)
    return [case for case, _ in made], list(sources)


def write(path: Path, objects: Iterable[dict[str, Any]]) -> None:
    """An object a line, gzipped if the name says so."""
    data = "".join(json.dumps(one) + "\n" for one in objects).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True, metavar="FILE", help="written: JSON lines, .gz or plain")
    parser.add_argument("--files", type=Path, required=True, metavar="FILE", help="written: the files around the cases")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--count", type=int, default=100, help="default: %(default)s")
    args = parser.parse_args()
    cases, sources = held_out(args.count, args.seed)
    write(args.cases, cases)
    write(args.files, ({"repo": one.package, "path": one.path, "text": one.text} for one in sources))
    print(json.dumps({"cases": len(cases), "files": len(sources)}))


if __name__ == "__main__":
    main()
