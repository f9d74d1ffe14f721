"""Whether a suggestion fits: how much of it can stand between the text before and after the cursor.

The judge is the parser. A buffer is rarely whole while somebody types, so what counts is the change: the text may leave
no more errors than there are with nothing, a word, or no line at all in its place, neither around it nor in all, as an
error here makes a parser see others or fewer far away. Where the buffer is broken anyway, the text before the cursor is
judged alone, with the brackets closed that it leaves open. Brackets count apart from the errors, which hide some: the
text may leave none open that what follows does not close, and none out that what follows it closes at once.

It knows what can be parsed, not what is meant, and nothing of models or editors.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain, islice, starmap
from sys import maxsize
from typing import NamedTuple, get_args

from flash_ls.brackets import closers_below, goes_on, lines_below, match_brackets
from flash_ls.grammar import Node, parse
from flash_ls.indentation import INDENT, is_indented
from flash_ls.language import LANGUAGES, Blocks, Language
from flash_ls.postprocess import closers_taken
from flash_ls.window import window

_LONGEST_HEADER = 300
_DIALECTS = frozenset({"sql"})
"""Languages that no grammar covers."""
_LONGEST_LINE = 2_000
"""In a longer line, which nobody writes by hand, nothing is parsed."""
_UNPARSED = 8_000
"""How many characters before the cursor count where nothing is parsed."""
_CUTS = 6
"""How many shorter texts are tried."""
_FILE = 60_000
"""Files up to this size are parsed whole if what is around the cursor cannot be parsed without errors."""
_BUDGET = 320_000
"""How many characters are parsed to judge a text; those with errors, which take longer, count up to six times."""
_HOPELESS = 300
"""With so many errors parsing takes long and tells nothing."""
_NEAR_LINES = 20
"""How far from the text an error may be to be one around it."""
_FEW = 10
"""With more errors than that, it is not one line that is missing."""
_HEADERS = (
    "if (x) {",
    "() => {",
    "try {",
    "x(() => {",
    "x: {",
    "X {",
    "x([&]() {",
    "x(func() {",
    "void x() {",
    "x(",
    "[",
)
"""What begins a block, a literal or a call."""
_DANGLING = re.compile(r"(?:&&|\|\||(?<!\+)\+|(?<!-)-|[.%^=|])\Z")
_MACRO = re.compile(r"\b[A-Z][A-Z0-9]*_?[A-Z0-9_]{2,}\b|^[ \t]*#", re.MULTILINE)
_CUT = re.compile(r"(?<=[;)\]}\"'`({\[])|(?<![^\w\s\"'`;,.()\[\]{}])(?=\s*(?:[,.(\[{)\]}]|[^\w\s\"'`;]+(?:\s|\Z)))")
"""Where a line may end early: after a statement, a bracket or a string, before an operator or a comma."""
_OPEN_END = {blocks: re.compile(rf"[({{\[{':' if blocks == 'indent' else ''}]\Z") for blocks in get_args(Blocks)}
_ANNOTATION = re.compile(r"[ \t]*(?:@|\[|#!?\[|#if).*\Z")
_HEADER = re.compile(
    r"[ \t]*(?:\}[ ]*)?(?:(?:else[ ]+)?(?:catch|for|foreach|if|lock|switch|synchronized|using|while)\b.*\)|else|do|try"
    r"|(?!(?:await|case|delete|else|goto|new|return|throw|yield)\b)\w[\w<>[\]*&:,.? ]*[ *&][\w:~]+\(.*\))\Z"
)
"""A line whose brace stands on the next."""
_TAILS = {
    "braces": ("", ";", "{}", " => {}", "finally {}", "while (x);"),
    "indent": ("", " pass", ": pass"),
    "end": ("", "\nend", "\nuntil x", "\n:\nfi", "\n:\ndone", "\nx) ;;\nesac", "\n:\n}"),
    "none": ("",),
}
"""What may come after a text whose end opens something."""
_DECLARATIONS = {
    "braces": ("void x() {}", "class X {}", "fn x() {}", "x() {}", "#endif"),
    "indent": ("def x(): pass",),
    "end": ("",),
    "none": ("",),
}
"""What may come after an annotation."""


def sound_part(text: str, before: str, after: str, language: str) -> str:
    """The longest beginning of `text` that fits between `before` and `after`; empty when none does.

    `after` begins at the cursor; of its line, a text takes the place of closers that it has too. In a language that is
    not in `LANGUAGES` the text has to close no bracket that is not open.
    """
    places = _Places(before, after, language)
    if places.of(text).fits(text):
        return text
    parts = (text[:end].rstrip() for end in _cuts(text))
    return next((part for part in parts if places.of(part).fits(part, shortened=True)), "")


class _Places:
    """The same place for texts that take different parts of what follows."""

    def __init__(self, before: str, after: str, language: str) -> None:
        self._before, self._after, self._language = before, after, language
        self._rest = after.partition("\n")[0]
        line = len(before) - before.rfind("\n") + len(self._rest)
        known = language in LANGUAGES and language not in _DIALECTS and line <= _LONGEST_LINE
        self._parser = _Parser(language) if known else None
        self._known: dict[int, _Prose | _Code] = {}

    def of(self, text: str) -> "_Prose | _Code":
        taken = closers_taken(text, self._rest)
        if taken not in self._known:
            self._known[taken] = self._without(taken)
        return self._known[taken]

    def _without(self, taken: int) -> "_Prose | _Code":
        if self._parser is None:
            return _Prose(self._before, self._language)
        return _Code(self._before, self._after[taken:], self._after[:taken], self._parser)


def _cuts(text: str) -> Iterator[int]:
    """Offsets at which the text may end, the last first: line ends, then places in the first line."""
    lines = [match.start() for match in re.finditer("\n", text)]
    if len(lines) > _CUTS:
        lines = [lines[0], *(lines[len(lines) * part // _CUTS] for part in range(1, _CUTS - 1)), *lines[-2:]]
    within = {match.start() for match in _CUT.finditer(text.partition("\n")[0])} - {len(text)}
    ends = [*sorted(within), *lines]
    return islice((end for end in reversed(ends) if _is_telling(text[:end])), _CUTS)


def _is_telling(part: str) -> bool:
    return len("".join(part.split())) > 1 and re.search(r"\w", part) is not None


class _Prose:
    """A place in a text that cannot be parsed."""

    def __init__(self, before: str, language: str) -> None:
        self.before, self.language = before[-_UNPARSED:], language

    def fits(self, text: str, shortened: bool = False) -> bool:
        """Whether `text` closes nothing that is not open; round brackets alone are common in prose."""
        surplus = match_brackets(self.before + text, self.language).surplus
        return not any(offset >= len(self.before) and closer != ")" for offset, closer in surplus)


class _Code:
    """A place in code, seen in several views."""

    def __init__(self, before: str, after: str, taken: str, parser: "_Parser") -> None:
        """`taken`: what a text takes the place of, between `before` and `after`."""
        head, tail = window(before, after, LANGUAGES[parser.language].blocks)
        self.near = _View(head, taken, *_lines(tail), parser)
        """With what is around."""
        self.alone = _Alone(head, taken, _lines(tail)[0], "", parser)
        """Without what follows."""
        cut = len(head) < len(before) or len(tail) < len(after)
        self.far = _View(before, taken, *_lines(after), parser) if cut and len(before + after) <= _FILE else None
        """With all of the file, if that is small enough and not all of it is near."""

    def fits(self, text: str, shortened: bool = False) -> bool:
        """Whether `text` brings no errors. It may ask for something to be typed next, unless it is `shortened`.

        What cannot be judged in time fits, unless it is `shortened`.
        """
        near = self.near
        if near.language == "python" and not is_indented(text, near.before, near.rest + near.below):
            return False
        try:
            if not near.errors(text).all:
                return not self._takes_next_line(text)
            if self._leaves_open(text) or self._lacks_opener(text):
                return False
            return _is_prose(text, near, shortened) or self._is_no_worse(text, shortened)
        except TimeoutError:
            return not shortened

    def _leaves_open(self, text: str) -> bool:
        """Whether `text` opens a bracket that nothing behind it closes, while all that is open before it is closed."""
        near, language = self.near, self.near.language
        code, after = near.before + text, near.rest + near.below
        openers = match_brackets(code, language).openers
        own = next((offset for offset in openers if offset >= len(near.before)), None)
        if own is None or LANGUAGES[language].blocks == "none":
            return False
        line_start = code.rfind("\n", 0, own) + 1
        line = code[line_start : own + 1]
        opened = sum(offset >= line_start for offset in openers)
        closed = len(match_brackets(after, language).surplus)
        below = closers_below(line[: len(line) - len(line.lstrip())], after, language)
        return len(openers) - opened <= closed < len(openers) and below < opened

    def _lacks_opener(self, text: str) -> bool:
        """Whether what goes on behind `text` closes a bracket that nothing opens, and that belongs to its last line.

        That is the rest of the line and those that stand deeper, or a closer behind these in the line's own column.
        """
        near, language = self.near, self.near.language
        code, after = near.before + text, near.rest + near.below
        surplus = [offset - len(code) for offset, _ in match_brackets(code + after, language).surplus]
        if LANGUAGES[language].blocks not in ("braces", "indent") or not surplus or surplus[0] < 0:
            return False
        line = code.rpartition("\n")[2]
        indent = line[: len(line) - len(line.lstrip())]
        deeper = lines_below(indent, after, closers=False)
        if deeper is None or surplus[0] < len(deeper):
            return deeper is not None
        closer = after[len(deeper) + 1 :].partition("\n")[0]
        body = deeper.partition("\n")[2].strip() and goes_on(closer, indent)
        return bool(body) and not match_brackets(line + deeper, language).waiting

    def _takes_next_line(self, text: str) -> bool:
        """Whether `text` ends with an operator that makes a statement below, as far in as its own line, its operand."""
        near = self.near
        if (
            near.rest.strip()
            or not _DANGLING.search(text)
            or LANGUAGES[near.language].blocks not in ("braces", "indent")
        ):
            return False
        below = INDENT.search(near.below, 1)
        follows = below and near.below[below.end()].isalpha()
        line = INDENT.match((near.before + text).rpartition("\n")[2])
        if not below or not line or not follows or len(below[0]) > len(line[0]):
            return False
        waiting = match_brackets(near.before + text, near.language).waiting
        return waiting[-1:] in ([], ["}"]) and near.errors(text, ";").all > 0

    def _is_no_worse(self, text: str, shortened: bool) -> bool:
        """Judged in the first view without errors of its own, or if there is none, in any.

        Where words end a block, what is left open is not closed, so that an unfinished buffer tells nothing.
        """
        if self.near.floor.all and self.far and not self.far.errors(text).all:
            return True
        views = (self.near, self.alone)
        clean = next((view for view in views if not view.floor.near), None)
        if not clean and LANGUAGES[self.near.language].blocks == "end":
            return True
        return any(view.admits(text, shortened) for view in ([clean] if clean else views))


class _Errors(NamedTuple):
    """How many there are, a missing token being one too."""

    near: int
    """Around the text."""
    all: int


class _Parser:
    """Finds errors until its budget is spent."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._left = _BUDGET
        self._known: dict[tuple[str, int, int], _Errors] = {}

    def errors(self, code: str, first: int, last: int) -> _Errors:
        """The errors in `code`, `near` being those that reach into it from `first` to `last`. Raises `TimeoutError`."""
        if (code, first, last) not in self._known:
            if self._left <= 0:
                raise TimeoutError
            found = self._known[code, first, last] = _errors(parse(code, self.language), first, last)
            self._left -= _BUDGET if found.all > _HOPELESS else len(code) * (1 + min(found.all // 8, 5))
        return self._known[code, first, last]


class _View:
    """What surrounds a text."""

    def __init__(self, before: str, taken: str, rest: str, below: str, parser: _Parser) -> None:
        self.before, self.taken, self.rest, self.below, self._parser = before, taken, rest, below, parser
        self.language = parser.language
        above, under = before.rsplit("\n", _NEAR_LINES + 1), below.split("\n", _NEAR_LINES + 1)
        self._far_above = len(above[0]) if len(above) > _NEAR_LINES + 1 else 0
        self._far_below = len(under[-1]) if len(under) > _NEAR_LINES + 1 else 0

    def admits(self, text: str, shortened: bool) -> bool:
        """Whether the text brings no errors, by itself or, unless it is `shortened`, with what may be typed next."""
        most, ways = self._most(text), islice(self._becomes(text), 1 if shortened else None)
        return any(found.near <= most.near and found.all <= most.all for found in starmap(self.errors, ways))

    def errors(self, text: str, rest: str | None = None) -> _Errors:
        """Errors with `text` at the cursor and `rest`, or else what is there, as the end of its line."""
        code = self._code(text, rest)
        return self._parser.errors(code, self._far_above, len(code) - self._far_below)

    @cached_property
    def floor(self) -> _Errors:
        """The fewest errors there are without the text."""
        word, nothing = (map(self.errors, [text + self.taken]) for text in ("x", ""))
        fewest = _fewest(chain(word, self._errors_without_line(), nothing))
        return _fewest(chain([fewest], self._errors_with_header())) if 0 < fewest.all <= _FEW else fewest

    def _errors_without_line(self) -> Iterator[_Errors]:
        """A line that goes on behind the cursor has to make sense: it is not taken away."""
        if not (self.taken + self.rest).strip():
            line_start = self.before.rfind("\n") + 1
            yield type(self)(self.before[:line_start], "", self.rest, self.below, self._parser).errors("")

    def _code(self, text: str, rest: str | None = None) -> str:
        return self.before + text + (self.rest if rest is None else rest) + self.below

    def _errors_with_header(self) -> Iterator[_Errors]:
        """For what may begin the block that is closed below the cursor and begins nowhere."""
        surplus = match_brackets(self._code(self.taken), self.language).surplus
        return map(self.errors, [header + self.taken for header in _HEADERS] if surplus else ())

    def _most(self, text: str) -> _Errors:
        """How many errors there may be: those without the text, and those that its macros and directives explain."""
        if not LANGUAGES[self.language].directives or self._opens(text):
            return self.floor
        line = self.before.rpartition("\n")[2] + text + self.rest
        macros = len(_MACRO.findall(line))
        return _Errors(*(count + macros + (count > 0) for count in self.floor))

    def _opens(self, text: str) -> bool:
        """Whether it leaves more brackets open, or closed that were not open, than it found."""
        with_text, without = (match_brackets(self._code(which), self.language) for which in (text, self.taken))
        return len(with_text.waiting + with_text.surplus) > len(without.waiting + without.surplus)

    def _becomes(self, text: str) -> Iterator[tuple[str, str]]:
        """The text with the rest of its line, and both with what may be typed next."""
        yield text, self.rest
        row = LANGUAGES[self.language]
        line = self.before.rpartition("\n")[2] + text
        mark = _open_quote(text)
        if mark or _OPEN_END[row.blocks].search(text):
            taken = len(match_brackets(self.rest, self.language).surplus)
            closers = mark + "".join(reversed(match_brackets(line + mark, self.language).waiting[taken:]))
            yield from ((text + closers + tail, self.rest) for tail in _tails(line, row))
        else:
            closers = "".join(reversed(match_brackets(line + self.rest, self.language).waiting)) if self.rest else ""
            yield from ((text, self.rest + closers + tail) for tail in _tails(line + self.rest, row))


def _fewest(found: Iterator[_Errors]) -> _Errors:
    """The least of each, none being looked at once there are none around the text."""
    near = least = maxsize
    for errors in found:
        near, least = min(near, errors.near), min(least, errors.all)
        if not near:
            break
    return _Errors(near, least)


class _Alone(_View):
    """What stands before a text and on its line; brackets that are left open are closed."""

    def _code(self, text: str, rest: str | None = None) -> str:
        code = super()._code(text, rest)
        return f"{code}\n{''.join(reversed(match_brackets(code, self.language).waiting))}"


def _lines(after: str) -> tuple[str, str]:
    """The rest of the cursor's line, and what is below."""
    rest = after.partition("\n")[0]
    return rest, after[len(rest) :]


def _is_prose(text: str, view: _View, shortened: bool) -> bool:
    """Whether the text stands in a comment or a string of many lines, or is a comment, if it is not `shortened`."""
    before = view.before
    start = match_brackets(f"{before}{text}x", view.language).unended
    if start is None or start < len(before):
        return start is not None
    return not shortened and not text[: start - len(before)].strip()


def _tails(line: str, row: Language) -> Iterable[str]:
    """What may come after a line that is not all of a statement."""
    code = line.rstrip().rpartition("\n")[2]
    indent = code[: len(code) - len(code.lstrip())]
    if _ANNOTATION.match(code):
        return [f"\n{indent}{tail}" for tail in _DECLARATIONS[row.blocks]]
    words = row.words and re.search(rf"{row.words.headers}|{row.words.bodies}", code)
    opens = (
        words
        or _OPEN_END[row.blocks].search(code)
        or (row.blocks == "braces" and _HEADER.match(code[:_LONGEST_HEADER]))
    )
    return _TAILS[row.blocks] if opens else ("",)


def _open_quote(text: str) -> str:
    """What closes the string or comment of many lines that the text begins."""
    if text.rfind("/*") > text.rfind("*/"):
        return "*/"
    return next((mark for mark in ('"""', "'''", "`") if text.count(mark) % 2), "")


def _errors(root: Node, first: int, last: int) -> _Errors:
    """Those in a tree; `near` are those that reach into the code from `first` to `last`."""
    near, found, nodes = 0, 0, [root]
    while nodes:
        node = nodes.pop()
        if node.has_error:
            if node.is_error or node.is_missing:
                found += 1
                near += node.start_byte <= last and node.end_byte >= first
            nodes += node.children
    return _Errors(near, found)
