"""Source code of the long tail: deep nesting, deep literals, rare syntax and unusual formatting.

`models/data.py --synthetic SHARE` makes samples of it, `models/long_tail.py` cases to score on.

A package is a dozen files about one record each, most of which use the record of the file before and its functions. A
file keeps to its own layout, spelling, words and habits, so that what is missing can be told from what is there. What
may stand in it is said by `models/grammars`, one text for each language (see `models.expander`).
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import count as numbers
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from models import expander
from models.corpus import LANGUAGES, SourceText
from models.expander import Expander, Field, Fields, Grammar, Layout, Words

GRAMMARS = Path(__file__).with_name("grammars")
PACKAGE_FILES = 12
HELD_OUT = 1_000_000
"""Seeds from here on are for cases to score on; no training sample is made with one."""
FIELD_KINDS = {"num": (2, 4), "text": (1, 3), "flag": (1, 2), "list": (1, 2)}
"""How many fields of each kind a record has."""
POOL = 14
"""Words and numbers that a file has for its literals."""
NUMBERS = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    15,
    16,
    20,
    24,
    25,
    30,
    32,
    40,
    50,
    60,
    64,
    80,
    90,
    100,
    120,
    128,
    200,
    250,
    255,
)
STEPS = (1, 2, 5, 10, 25, 100)
WIDTHS = (0, 24, 60, 60, 80, 80, 100)
"""The longest list on one line; with none, each argument has a line of its own."""
ALIGNED = 0.15
"""How many files align the assignments of neighbouring lines."""
SHARED = ("num_of", "text_of", "flag_of", "sum_of")
"""Kinds of functions that the next file of a package may use."""


class Dialect(NamedTuple):
    """What the files of a language have in common, and where they differ."""

    grammars: str
    path: str
    cases: str
    """Of variables."""
    indents: tuple[str, ...]
    quotes: str = '"'
    semicolons: tuple[bool, ...] = (True,)
    trailing_commas: tuple[bool, ...] = (False,)
    brace_lines: tuple[bool, ...] = (False,)
    """Whether a brace that opens a block has a line of its own."""


_EITHER = (True, False)
_TWO, _FOUR, _RARE = ("  ",), ("    ",), ("   ", "        ", "\t")
_SCRIPT: dict[str, Any] = {"quotes": "\"'", "semicolons": (True, *_EITHER), "trailing_commas": _EITHER}

DIALECTS = {
    "python": Dialect("python", "{package}/{snake}.py", "snake", (*_FOUR * 5, *_TWO, *_RARE), "\"'", (True,), _EITHER),
    "javascript": Dialect("script javascript", "src/{camel}.js", "camel", (*_TWO * 4, *_FOUR * 2, *_RARE), **_SCRIPT),
    "typescript": Dialect("script typescript", "src/{camel}.ts", "camel", (*_TWO * 4, *_FOUR * 2, *_RARE), **_SCRIPT),
    "tsx": Dialect("script typescript tsx", "src/{Pascal}.tsx", "camel", (*_TWO * 4, *_FOUR * 2, *_RARE), **_SCRIPT),
    "go": Dialect("go", "{package}/{snake}.go", "camel", ("\t",) * 9 + _FOUR, trailing_commas=(True,)),
    "rust": Dialect("rust", "src/{snake}.rs", "snake", (*_FOUR * 5, *_TWO, *_RARE), trailing_commas=(True, *_EITHER)),
    "java": Dialect(
        "java", "{package}/{Plural}.java", "camel", (*_FOUR * 4, *_TWO * 2, *_RARE), brace_lines=(False, *_EITHER)
    ),
    "cpp": Dialect(
        "cpp", "include/{Pascal}.hpp", "snake camel", (*_TWO * 3, *_FOUR * 3, *_RARE), brace_lines=(False, *_EITHER)
    ),
}


class Style(NamedTuple):
    """How one file is written."""

    case: str
    indent: str
    quote: str
    semicolons: bool
    brace_lines: bool
    is_aligned: bool
    layout: Layout


class Record(NamedTuple):
    """What a file is about."""

    words: Words
    fields: list[Field]
    functions: list[tuple[str, str]]
    """Kinds and names of the functions of its file that others may use."""


def files(language: str, count: int, seed: int) -> Iterator[SourceText]:
    """`count` files in packages; the same seed gives the same ones."""
    for number in range(-(-count // PACKAGE_FILES)):
        yield from package(language, number, seed)[: count - number * PACKAGE_FILES]


def package(language: str, number: int, seed: int) -> list[SourceText]:
    """A dozen files that use each other's names."""
    random = Random(f"{language} {seed} {number}")
    name, repo = random.choice(words("package"))[0], number * len(LANGUAGES) + LANGUAGES.index(language)
    made: list[SourceText] = []
    part: Record | None = None
    for noun in random.sample(words("nouns"), PACKAGE_FILES):
        about = (*random.choice(words("adjectives")), *noun) if random.random() < 0.4 else noun
        record = Record(about, fields(part, random), [])
        text = source(language, name, record, part, random)
        path = DIALECTS[language].path.format(package=name, **_spellings(about))
        made.append(SourceText(f"synthetic-{repo:02}", path, language, text))
        part = record if random.random() < 0.8 else None
    return made


def _spellings(about: Words) -> dict[str, str]:
    plural = spell(plural_of(about), "pascal")
    return {case: spell(about, case) for case in ("snake", "camel")} | {
        "Pascal": spell(about, "pascal"),
        "Plural": plural,
    }


def fields(part: Record | None, random: Random) -> list[Field]:
    """Those of a record; one is the record of another file, if there is a `part`."""
    made = [
        Field(name, kind)
        for kind, bounds in FIELD_KINDS.items()
        for name in random.sample(words(f"field.{kind}"), random.randint(*bounds))
    ]
    unique = {one.words: one for one in made}
    if part:
        unique.setdefault(part.words, Field(part.words, "part"))
    return random.sample(list(unique.values()), len(unique))


def source(language: str, name: str, record: Record, part: Record | None, random: Random) -> str:
    """The text of one file of the package `name`; its functions are added to the record."""
    style = style_of(DIALECTS[language], random)
    names = Names(style, name, record, part, Random(random.random()))
    writer = Expander(grammar(language), record.fields, names, style.layout, Random(random.random()))
    writer.top += names.imported
    text = laid_out(writer.text("file"), style)
    record.functions.extend(one for one in writer.top if one[0] in SHARED)
    return text


@cache
def grammar(language: str) -> Grammar:
    """The rules of a language; those of a later text stand for those of an earlier one."""
    rules: dict[str, expander.Rule] = {}
    for name in DIALECTS[language].grammars.split():
        rules |= expander.read((GRAMMARS / f"{name}.txt").read_text(encoding="utf-8"))
    return rules


@cache
def _lists() -> dict[str, list[Words]]:
    lines = (GRAMMARS / "words.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split(": ", 1) for line in lines if line)
    return {kind: [tuple(entry.split(" ")) for entry in entries.split(", ")] for kind, entries in rows}


def words(kind: str) -> list[Words]:
    """What names of a kind are made of."""
    return _lists()[kind]


def style_of(dialect: Dialect, random: Random) -> Style:
    """Any of a language."""
    return Style(
        random.choice(dialect.cases.split()),
        random.choice(dialect.indents),
        random.choice(dialect.quotes),
        random.choice(dialect.semicolons),
        random.choice(dialect.brace_lines),
        random.random() < ALIGNED,
        Layout(random.choice(WIDTHS), random.choice(dialect.trailing_commas)),
    )


def spell(name: Words, case: str) -> str:
    """Words as one name: snake, camel, pascal or upper; or with spaces between them."""
    if case == "camel":
        return name[0] + spell(name[1:], "pascal")
    if case == "pascal":
        return "".join(word.capitalize() for word in name)
    line = ("_" if case in ("snake", "upper") else " ").join(name)
    return line.upper() if case == "upper" else line


def plural_of(name: Words) -> Words:
    """The name of several."""
    last = name[-1]
    if re.search(r"[^aeiou]y$", last):
        return (*name[:-1], last[:-1] + "ies")
    return (*name[:-1], last + ("es" if re.search(r"(?:s|x|ch|sh)$", last) else "s"))


class Names:
    """The names and literals of one file (`models.expander.Namer`)."""

    def __init__(self, style: Style, name: str, record: Record, part: Record | None, random: Random) -> None:
        self.imported: list[tuple[str, str]] = []
        """Kinds and names of functions of another file."""
        self._case = style.case
        self._random = random
        self._fixed = {"package": (name,), "entity": record.words, "entities": plural_of(record.words)}
        if part:
            self._fixed |= {"part": part.words, "parts": plural_of(part.words)}
            used = random.sample(part.functions, min(2, len(part.functions)))
            self.imported = [(f"part_{kind}", function) for kind, function in used]
            self._fixed["imports"] = (", ".join([spell(part.words, "pascal"), *(name for _, name in used)]),)
        self._words = cycle(random.sample(words("words"), POOL))
        self._numbers = random.sample(NUMBERS, POOL)
        self._serial = numbers(random.choice(STEPS), random.choice(STEPS))
        self._small = cycle(range(8))

    def words(self, kind: str, fields: Fields) -> Words:
        """For a new name; `{num}` in it is a field of that kind."""
        made: list[str] = []
        for word in self._random.choice(words(kind)):
            inner = word.strip("{}")
            if inner == word:
                made.append(word)
            else:
                made += self._fixed[inner] if inner in self._fixed else fields.pick(inner).words
        return tuple(made)

    def spell(self, words: Words, like: str) -> str:
        """A name in the case of `like`."""
        if like.endswith("'"):
            return spell(words, "words")
        if like.isupper():
            return spell(words, "upper")
        return spell(words, "pascal" if like[0].isupper() else self._case)

    def can_give(self, name: str) -> bool:
        """Whether `given` has something for a slot."""
        kind = name.lower().strip("'")
        return kind in self._fixed or kind in ("nothing", "number", "serial", "small", "word")

    def given(self, name: str) -> str:
        """What a slot that is no rule becomes."""
        match name.lower():
            case "nothing":
                return ""
            case "number":
                return str(self._random.choice(self._numbers))
            case "serial":
                return str(next(self._serial))
            case "small":
                return str(next(self._small))
            case "word":
                return self.spell(next(self._words), name)
            case "imports":
                return self._fixed["imports"][0]
        return self.spell(self._fixed[name.lower().strip("'")], name)


def laid_out(text: str, style: Style) -> str:
    """The text in the style of its file."""
    if style.quote == "'":
        text = re.sub(r'"""|"', lambda quote: quote[0] if len(quote[0]) == 3 else "'", text)
    if not style.semicolons:
        text = re.sub(r"(?m);$", "", text)
    if style.brace_lines:
        text = re.sub(r"(?m)^(\t*)\} (?=else|catch|while)", r"\1}\n\1", text)
        text = re.sub(r"(?m)^(\t*)([^\t\n].*[\w)>]) \{$", r"\1\2\n\1{", text)
    if style.is_aligned:
        text = aligned(text)
    return re.sub(r"(?m)^\t+", lambda tabs: style.indent * len(tabs[0]), text)


_ASSIGNMENT = re.compile(r"(?P<left>\t*[\w.:<>*&\[\] ]*[\w>\]]) (?P<right>(?::|\+|-)?= .+)")


def aligned(text: str) -> str:
    """With the equals signs of neighbouring assignments below each other."""
    made: list[str] = []
    group: list[re.Match[str]] = []
    for line in [*text.split("\n"), ""]:
        found = _ASSIGNMENT.fullmatch(line)
        if group and not (found and _level(found["left"]) == _level(group[0]["left"])):
            width = max(len(one["left"]) for one in group)
            made += [f"{one['left']:{width}} {one['right']}" for one in group]
            group = []
        if found:
            group.append(found)
        else:
            made.append(line)
    return "\n".join(made[:-1])


def _level(line: str) -> int:
    return len(line) - len(line.lstrip("\t"))
