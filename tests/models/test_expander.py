"""A grammar's text becomes code whose names are bound before they are used."""

from random import Random

import pytest

from models.expander import Expander, Field, Fields, GrammarError, Layout, Words, read

RECORD = [Field(("unit", "price"), "num"), Field(("title",), "text"), Field(("weight",), "num")]


class Numbered:
    """New names have a number; a field that a name speaks of comes after it."""

    def __init__(self) -> None:
        self._made = 0

    def words(self, kind: str, fields: Fields) -> Words:
        self._made += 1
        return (kind + str(self._made), *(fields.pick("num").words if kind == "of" else ()))

    def spell(self, words: Words, like: str) -> str:
        return "".join(map(str.capitalize, words)) if like[0].isupper() else "_".join(words)

    def can_give(self, name: str) -> bool:
        return name == "word"

    def given(self, name: str) -> str:
        return "north"


def expanded(grammar: str, seed: int = 0, width: int = 60) -> str:
    return Expander(read(grammar), RECORD, Numbered(), Layout(width, True), Random(seed)).text("file")


def each(grammar: str) -> set[str]:
    """What the grammar says with some seeds."""
    return {expanded(grammar, seed) for seed in range(30)}


def test_an_alternative_has_lines_and_levels_and_is_indented_where_it_stands() -> None:
    assert (
        expanded("file\n    1  a {\n         $b\n       }\n\nb\n    1  b:\n         $word\n")
        == "a {\n\tb:\n\t\tnorth\n}\n"
    )


def test_weights_say_how_often_an_alternative_is_chosen() -> None:
    made = [expanded("file\n    1  rare\n    9  often\n    0  never\n", seed) for seed in range(99)]
    assert 60 < made.count("often\n") < 99
    assert "never\n" not in made


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("${+x} = $g", "x1 = no"),
        ("${+x} = 1\n       $g", "x1 = 1\nx1"),
        ("$f\n       $g", "x1 = 1\nx1"),
        ("$s\n       $g", "x1 = no\nno"),
        ("$t\n       $g", "x1() no\nx1"),
        ("${~x} => ${=x}\n       $g", "x1 => x1\nno"),
    ],
    ids=[
        "in its own line",
        "in the next line",
        "after a rule",
        "after a scope",
        "in the whole file",
        "in its alternative",
    ],
)
def test_a_name_is_used_only_where_it_is_bound(text: str, lines: str) -> None:
    rules = {
        "file": text,
        "f": "${+x} = 1",
        "s scope": "${+x} = $g",
        "t scope": "${^x}() $g",
        "g": "${@x}\n    0  no",
    }
    assert each("\n".join(f"{name}\n    1  {said}\n" for name, said in rules.items())) == {f"{lines}\n"}


def test_a_field_is_the_same_all_over_an_alternative_and_in_the_name_made_there() -> None:
    made = each("file\n    1  ${^of}: ${.num} ${.Num}\n")
    assert made == {"of1_unit_price: unit_price UnitPrice\n", "of1_weight: weight Weight\n"}


def test_a_rule_is_made_once_for_each_field_with_what_fits_its_kind() -> None:
    grammar = "file\n    1  ${one!}\n       (${one!,})\n"
    rules = "\none\n    1  ${.this}: ${type.}\n\ntype.num\n    1  int\n\ntype.text\n    1  str\n"
    lines = "unit_price: int\ntitle: str\nweight: int\n"
    assert expanded(grammar + rules, width=80) == lines + "(unit_price: int, title: str, weight: int)\n"
    assert expanded(grammar + rules, width=20) == lines + "(\n\tunit_price: int,\n\ttitle: str,\n\tweight: int,\n)\n"


def test_a_rule_contains_itself_as_often_as_is_said() -> None:
    grammar = "file\n    1  ${n*3-5}\n\nn\n    1  [$n]\n\nn.end\n    1  0\n"
    assert each(grammar) == {f"{'[' * levels}0{']' * levels}\n" for levels in (3, 4, 5)}


def test_lines_of_nothing_are_left_out() -> None:
    assert each("file\n    1  a\n         ${b;0-1}\n       c\n\nb\n    1  b\n") == {"a\nc\n", "a\n\tb\nc\n"}


def test_some_of_several_are_like_the_one_before_but_for_the_field() -> None:
    grammar = "file\n    1  ${a;2-2}\n\na\n" + "".join(f"    1  {letter} ${{.num}}\n" for letter in "abcdefghijklmnop")
    made = [[line.split() for line in expanded(grammar, seed).split("\n")[:2]] for seed in range(60)]
    alike = [(one[1], other[1]) for one, other in made if one[0] == other[0]]
    assert 12 < len(alike) < 50
    assert sum(one != other for one, other in alike) > 0.7 * len(alike)


def test_a_dollar_is_written_twice() -> None:
    assert expanded("file\n    1  `$${${.text}}`\n") == "`${title}`\n"


@pytest.mark.parametrize("grammar", ["file\n    1  $missing\n", "file\n\n", "file\n    1  ${@x}\n", "g\n    1  x\n"])
def test_a_grammar_that_cannot_be_expanded_is_an_error(grammar: str) -> None:
    with pytest.raises(GrammarError):
        expanded(grammar)
