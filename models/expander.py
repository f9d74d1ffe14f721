"""Text from a grammar: productions chosen by weight, with names that are bound before they are used.

A grammar is a text. A line at its margin names a rule, the lines under it are its alternatives:

    loop scope                      names that a rule marked `scope` binds are unknown after it
        2  for ${+item} in ${@items}:
             $body

A number says how often an alternative is chosen, 0 only where no other can be; deeper lines belong to it, and two
spaces are one level of indentation (a tab in what is made). In an alternative stands

    $rule   ${rule}         an expansion of that rule
    ${rule;2-5}             two to five of them, one a line; `:` and `::` leave one and two lines blank between them,
                            `,` makes a list, on one line if it is short; `|` joins them by that sign, `&` by `&&`
    ${rule!}  ${rule!,}     one for each field of the record, in lines or as a list
    ${rule*4-8}             one that contains itself so many times, the innermost being an expansion of `rule.end`
    ${rule.}                the rule `rule.KIND`, KIND that of the field
    ${+kind}  ${^kind}      a new name, bound from the next line of the alternative on, or for the whole file
    ${~kind}                a new name that this alternative alone knows
    ${=kind}                the name that this alternative made last
    ${@kind}                a name that is bound; an alternative is not chosen where there is none
    ${.kind}  ${.this}      a field of the record, the same wherever an alternative says so; the field of `rule!`
    $$                      a dollar

Names are in the case of their slot: `name` as the file has it, `Name`, `NAME`. It knows nothing of any language.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import NamedTuple, Protocol

Words = tuple[str, ...]

_RULE = re.compile(r"(?m)^(?P<name>[\w.]+)(?P<scope> scope)?\n(?P<body>(?:[ ]+.*\n|\n)+)")
_ALTERNATIVE = re.compile(r"(?m)^    (?P<weight>\d+)  (?P<text>.*\n(?:(?: {7}.*)?\n)*)")
_SLOT = re.compile(
    r"\$(?P<dollar>\$)|\$(?P<bare>[A-Za-z_]+)"
    r"|\$\{(?P<mark>[+^~=@.]?)(?P<name>[A-Za-z_.']+)(?:(?P<join>!,?|::?|[;,|&*])(?:(?P<low>\d+)-(?P<high>\d+))?)?\}"
)
_NOTHING = "\0"
_SEPARATORS = {";": "\n", ":": "\n\n", "::": "\n\n\n", "|": " | ", "&": " && ", "!": "\n"}
_LEVELS = 2
"""How often a rule that has an end contains itself, unless its slot says so."""
_TWIN = 0.4
"""How often the next of several expansions is like the one before, about other fields and with other words."""
_SELDOM = 1e-9
_SAME_FIELD = 0.6
"""How often a part of an alternative is about the same field as the whole."""


class GrammarError(ValueError):
    """A grammar says what cannot be expanded."""


class Slot(NamedTuple):
    """A place in an alternative."""

    mark: str
    name: str
    join: str
    low: int
    high: int

    @property
    def kind(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Alternative:
    """Text and slots by turns."""

    weight: int
    parts: tuple[str | Slot, ...]

    @cached_property
    def slots(self) -> list[Slot]:
        return [part for part in self.parts if isinstance(part, Slot)]


class Rule(NamedTuple):
    """What one name can become."""

    alternatives: list[Alternative]
    is_scope: bool


Grammar = Mapping[str, Rule]


def read(text: str) -> Grammar:
    """The rules of a grammar. Raises `GrammarError` if a rule has no alternatives."""
    rules = {}
    for found in _RULE.finditer(text):
        alternatives = [_alternative(*each.groups()) for each in _ALTERNATIVE.finditer(found["body"])]
        if not alternatives:
            raise GrammarError(f"The rule {found['name']} has no alternatives.")
        rules[found["name"]] = Rule(alternatives, bool(found["scope"]))
    return rules


def _alternative(weight: str, text: str) -> Alternative:
    lines = [line.removeprefix(" " * 7) for line in text.rstrip().split("\n")]
    levels = (re.sub(r"^(?:  )+", lambda spaces: "\t" * (len(spaces[0]) // 2), line) for line in lines)
    parts: list[str | Slot] = []
    code, last = "\n".join(levels), 0
    for found in _SLOT.finditer(code):
        slot = Slot(found["mark"] or "", found["name"] or found["bare"] or "", found["join"] or "", *_bounds(found))
        parts += [code[last : found.start()], "$" if found["dollar"] else slot]
        last = found.end()
    return Alternative(int(weight), (*parts, code[last:]))


def _bounds(found: re.Match[str]) -> tuple[int, int]:
    return (int(found["low"]), int(found["high"])) if found["low"] else (1, 1)


class Field(NamedTuple):
    """A part of a record."""

    words: Words
    kind: str


class Namer(Protocol):
    """What names are made of."""

    def words(self, kind: str, fields: "Fields") -> Words:
        """For a new name; a field that the name speaks of is one of `fields`."""
        ...

    def spell(self, words: Words, like: str) -> str:
        """A name in the case of `like`."""
        ...

    def can_give(self, name: str) -> bool:
        """Whether a slot that is no rule can be filled in this file."""
        ...

    def given(self, name: str) -> str:
        """What a slot that is no rule becomes."""
        ...


class Fields(Protocol):
    """The fields that an alternative is about."""

    def pick(self, kind: str) -> Field: ...


class Layout(NamedTuple):
    """How lists are written."""

    width: int
    """The longest on one line, in characters."""
    trailing_comma: bool


@dataclass
class Scene:
    """One alternative that is being expanded."""

    fields: dict[str, Field] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    """Names made here, by kind."""
    waiting: list[tuple[str, str]] = field(default_factory=list)
    """Kinds and names that are bound from the next line on."""


class Expander:
    """Expansions of the rules of a grammar for one file, which are alike: some alternatives are its habit."""

    def __init__(self, grammar: Grammar, record: list[Field], namer: Namer, layout: Layout, random: Random) -> None:
        self.top: list[tuple[str, str]] = []
        """Kinds and names bound for the whole file."""
        self._grammar = grammar
        self._record = record
        self._namer = namer
        self._layout = layout
        self._random = random
        self._apart = Random(random.random())
        """For habits and for what comes after a twin, which must not change what a twin repeats."""
        self._turn = 0
        """How far from its fields the fields of a twin are."""
        self._bound: list[tuple[str, str]] = []
        self._scenes: list[Scene] = []
        self._left: dict[str, int] = {}
        self._habits: dict[Alternative, float] = {}
        self._field: Field | None = None

    def text(self, rule: str) -> str:
        """One expansion, with a tab for each level of indentation. Raises `GrammarError`."""
        made = re.sub(rf"(?m)^[\t ]*{_NOTHING}+\n", "", self._expand(rule) + "\n").replace(_NOTHING, "")
        return re.sub(r"[\t ]+(?=\n)|(?m:(?<=^)|(?<=\t)) (?=[]})])", "", made)

    def pick(self, kind: str) -> Field:
        """The field that the innermost alternative is about, which may be that of one around it."""
        here, *around = [scene.fields for scene in reversed(self._scenes)]
        if kind not in here:
            known = next((fields[kind] for fields in around if kind in fields), None)
            like = [one for one in self._record if one.kind == kind]
            other = like[(self._random.randrange(len(like)) + self._turn) % len(like)]
            here[kind] = known if known and self._random.random() < _SAME_FIELD else other
        return here[kind]

    def _expand(self, name: str) -> str:
        if f"{name}.end" not in self._grammar:
            return self._choose(name)
        left = self._left.get(name, _LEVELS)
        if not left:
            return self._choose(f"{name}.end")
        self._left[name] = left - 1
        made = self._choose(name)
        self._left[name] = left
        return made

    def _choose(self, name: str) -> str:
        if name not in self._grammar:
            raise GrammarError(f"There is no rule {name}.")
        rule, known = self._grammar[name], len(self._bound)
        possible = [one for one in rule.alternatives if all(map(self._can_fill, one.slots))]
        if not possible:
            raise GrammarError(f"No alternative of {name} can be chosen here.")
        made = self._fill(self._random.choices(possible, [self._habit(one) for one in possible])[0])
        if rule.is_scope:
            del self._bound[known:]
        return made

    def _habit(self, alternative: Alternative) -> float:
        if alternative not in self._habits:
            self._habits[alternative] = (alternative.weight or _SELDOM) * (0.5 + self._apart.expovariate(1))
        return self._habits[alternative]

    def _can_fill(self, slot: Slot) -> bool:
        if slot.mark == "@":
            return bool(self._known(slot.kind))
        if slot.mark == "." and slot.kind != "this":
            return any(one.kind == slot.kind for one in self._record)
        is_rule = slot.mark or slot.name in self._grammar or slot.name.endswith(".")
        return bool(is_rule) or self._namer.can_give(slot.name)

    def _fill(self, alternative: Alternative) -> str:
        scene, made = Scene(), ""
        self._scenes.append(scene)
        for part in alternative.parts:
            if isinstance(part, str):
                self._bind(scene, "\n" in part)
                made += part
            else:
                indentation = re.match(r"\t*", made[made.rfind("\n") + 1 :])
                made += self._slot(part, scene).replace("\n", "\n" + (indentation[0] if indentation else ""))
        self._scenes.pop()
        self._bind(scene, True)
        self.top += [(kind[1:], name) for kind, name in scene.waiting]
        return made

    def _bind(self, scene: Scene, is_time: bool) -> None:
        """Names of the whole file wait for the end of the alternative."""
        if is_time:
            self._bound += [one for one in scene.waiting if one[0][0] != "^"]
            scene.waiting = [one for one in scene.waiting if one[0][0] == "^"]

    def _slot(self, slot: Slot, scene: Scene) -> str:
        match slot.mark:
            case "+" | "^" | "~":
                return self._new(slot, scene)
            case "=":
                return scene.new[slot.kind]
            case "@":
                return self._random.choice(self._known(slot.kind)[-3:])
            case ".":
                found = self._field if slot.kind == "this" else self.pick(slot.kind)
                return self._namer.spell(found.words, slot.name) if found else ""
        return self._rules(slot)

    def _rules(self, slot: Slot) -> str:
        name = slot.name + (self._field.kind if self._field and slot.name.endswith(".") else "")
        if slot.join == "*":
            return self._nested(name, self._random.randint(slot.low, slot.high))
        if slot.join.startswith("!"):
            made = self._each(name)
        elif slot.name in self._grammar or slot.name != name:
            made = self._several(name, self._random.randint(slot.low, slot.high))
        else:
            made = [self._namer.given(name)]
        if slot.join.endswith(","):
            return self._list(made)
        return _SEPARATORS.get(slot.join, "").join(made) or _NOTHING

    def _several(self, name: str, number: int) -> list[str]:
        """Expansions of a rule, some of them twins."""
        made: list[str] = []
        turn, start = self._turn, self._random.getstate()
        for _ in range(number):
            if made and self._apart.random() < _TWIN:
                self._random.setstate(start)
                self._turn += 1
            elif made:
                self._random.seed(self._apart.random())
                start, self._turn = self._random.getstate(), turn
            made.append(self._expand(name))
        self._turn = turn
        return made

    def _nested(self, name: str, levels: int) -> str:
        before = self._left.get(name, _LEVELS)
        self._left[name] = levels
        made = self._expand(name)
        self._left[name] = before
        return made

    def _each(self, name: str) -> list[str]:
        made, before = [], self._field
        for one in self._record:
            self._field = one
            made.append(self._expand(name))
        self._field = before
        return made

    def _list(self, made: list[str]) -> str:
        line = ", ".join(made)
        if "\n" not in line and len(line) <= self._layout.width:
            return line or _NOTHING
        lines = ",\n".join(made).replace("\n", "\n\t")
        return f"\n\t{lines}{',' * self._layout.trailing_comma}\n"

    def _known(self, kind: str) -> list[str]:
        return [name for of, name in (*self.top, *self._bound) if of == kind]

    def _new(self, slot: Slot, scene: Scene) -> str:
        taken = {name for _, name in (*self.top, *self._bound)}
        taken |= {name for around in self._scenes for _, name in around.waiting}
        made = self._namer.spell(self._namer.words(slot.kind, self), slot.name)
        for _ in range(20):
            if made not in taken:
                break
            made = self._namer.spell(self._namer.words(slot.kind, self), slot.name)
        else:
            made += str(len(taken))
        scene.new[slot.kind] = made
        if slot.mark != "~":
            scene.waiting.append((slot.kind if slot.mark == "+" else f"^{slot.kind}", made))
        return made
