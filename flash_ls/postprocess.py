"""Which part of what a model wrote is shown: where it ends, and what of it the text after the cursor says already.

Models write on until they are stopped and like to repeat what follows. These are pure functions of text; they know of
languages only what ends a block and what is a string, and nothing of syntax trees, tokens or editors.

    generated     what was decoded after the cursor
    after         the document after the cursor
    line suffix   the part of it on the cursor's line
"""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from flash_ls.language import LANGUAGES, block_end, literals

_LABEL = re.compile(r"case\b|(?:default|public|private|protected)\s*(?::|->)")
_LABEL_MAYBE = re.compile(r"\w+[ \t]*-?")
_CLOSED_WITH = re.compile(r"[)\];,]*")
_CLOSERS_AHEAD = re.compile(r"(?:[])}\s]|[\"'`](?!\w))*")
_NONBLANK_LINE = re.compile(r"^[^\S\n]*(?P<code>\S.*)$", re.MULTILINE)
_FULL_LINE = re.compile(r"[^\n]*(?=\n)")
_TELLING = 3
"""Letters and digits of a line that is not found again by chance."""
_PUNCTUATION = re.compile(r"[])}\"'`;,:]+")
_BRACKET_OR_QUOTE = re.compile(r"\\.|[][(){}\"'`\n]")
_AUTO_CLOSED = re.compile(r"[])}\"'`]{1,4}\s*")
_OPENERS = {
    "indent": re.compile(
        r"^\s*(?:async\s+)?(?:case|class|def|elif|else|except|finally|for|if|match|try|while|with)\b.*:\s*(?:#.*)?\Z"
    ),
    "braces": re.compile(r"\{\s*\Z"),
}
"""A line that opens a block, by what surrounds blocks."""
_CLOSER_OF = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "\"'`"
_TAB_WIDTH = 4


class CutRule(Protocol):
    """When enough was decoded, and what of it belongs to the completion."""

    def complete(self, generated: str) -> bool:
        """Whether `cut` would be the same whatever is decoded next. Stays true once it is."""

    def cut(self, generated: str, finished: bool) -> str:
        """The beginning of `generated` that belongs, without trailing whitespace.

        `finished`: the model ended the text itself. If not, and the rule is not complete, only whole lines belong.
        """


@dataclass(frozen=True, slots=True)
class LineRule:
    """The rest of the cursor's line."""

    def complete(self, generated: str) -> bool:
        return "\n" in generated

    def cut(self, generated: str, finished: bool) -> str:
        line, line_end, _ = generated.partition("\n")
        return line.rstrip() if line_end or finished else ""


@dataclass(frozen=True, slots=True)
class BlockRule:
    """The body of a block: all lines deeper than its header, and what closes it unless that is there already."""

    header_indent: str
    language: str
    follows: str = ""
    """The text after the cursor."""

    def complete(self, generated: str) -> bool:
        start = self._outside(generated)
        if start < 0:
            return False
        # What follows the closing brace, as in "});", belongs to it: it ends only where something else begins.
        end = start + self._closing(generated[start:])
        return end == start or end < len(generated)

    def cut(self, generated: str, finished: bool) -> str:
        start = self._outside(f"{generated}\n" if finished else generated)
        if start >= 0:
            end = start + self._closing(generated[start:])
        else:
            end = len(generated) if finished else generated.rfind("\n") + 1
        return generated[:end].rstrip()

    def _outside(self, generated: str) -> int:
        """Offset of the first line outside of the block, or -1. The very first line continues the cursor's."""
        start = generated.find("\n") + 1
        while start:
            line_end = generated.find("\n", start) + 1
            line = generated[start : line_end or len(generated)]
            if self._is_outside(line) and not _is_in_literal(generated, start, self.language):
                return start
            start = line_end
        return -1

    def _is_outside(self, line: str) -> bool:
        """Whether the line is known to be outside of the block; of one that has only just begun it may not be known."""
        code = line.lstrip()
        if not code or _is_deeper(line[: len(line) - len(code)], self.header_indent):
            return False
        if _is_indented(self.language):
            return True
        # Directives, labels and branches stand at the header's indentation or left of it, and yet inside.
        directive = code.startswith("#") and LANGUAGES[self.language].directives
        return not (directive or self._is_label(code) or _LABEL_MAYBE.fullmatch(code))

    def _is_label(self, code: str) -> bool:
        words = LANGUAGES[self.language].words
        if words is None:
            return _LABEL.match(code) is not None
        return re.match(words.branches, code) is not None and not re.match(words.branches, self._next())

    def _closing(self, outside: str) -> int:
        """Length of the block's own end at the head of the text outside, indentation included."""
        if _is_indented(self.language) or self._is_closed() or not outside.startswith(self.header_indent):
            return 0
        end = block_end(self.language).match(outside, len(self.header_indent))
        closed_with = end and _CLOSED_WITH.match(outside, end.end())
        return closed_with.end() if closed_with else 0

    def _is_closed(self) -> bool:
        """Whether what closes the block comes next, or another branch of the same statement."""
        words = LANGUAGES[self.language].words
        branch = words is not None and re.match(words.branches, self._next())
        return bool(branch or block_end(self.language).match(self._next()))

    def _next(self) -> str:
        """The code that comes next, if it is on the cursor's line or below in the header's column."""
        code = self.follows.lstrip()
        line_start = self.follows.rfind("\n", 0, len(self.follows) - len(code)) + 1
        indent = self.follows[line_start : len(self.follows) - len(code)]
        return code if line_start == 0 or indent == self.header_indent else ""


def _is_indented(language: str) -> bool:
    """Whether nothing but its indentation ends a block."""
    return language not in LANGUAGES or LANGUAGES[language].blocks in ("indent", "none")


def _is_in_literal(text: str, offset: int, language: str) -> bool:
    """Whether a string or comment reaches over `offset`."""
    if language not in LANGUAGES:
        return False
    return any(literal.start() < offset < literal.end() for literal in literals(language).finditer(text))


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """All that the model writes until it ends by itself, or comes to what follows the cursor."""

    follows: str
    """The text after the cursor."""

    def complete(self, generated: str) -> bool:
        return self._end(generated) >= 0

    def cut(self, generated: str, finished: bool) -> str:
        end = self._end(generated)
        return generated[:end].rstrip() if end >= 0 else generated.rstrip() if finished else ""

    def _end(self, generated: str) -> int:
        """Where the first line ends that is, or ends with, what follows; -1 if there is none."""
        following = _NONBLANK_LINE.search(self.follows)
        tail = following["code"].rstrip() if following else ""
        if sum(map(str.isalnum, tail)) < _TELLING:
            return -1
        within = bool(self.follows.partition("\n")[0].strip())
        for line in _FULL_LINE.finditer(generated):
            code = line[0].strip()
            if code == tail or (within and code.endswith(tail)):
                return line.end()
        return -1


@dataclass(frozen=True, slots=True)
class StatementRule:
    """The rest of the cursor's line, and the body of the block that it opens if there is none yet."""

    line_prefix: str
    """What stands before the cursor on its line."""
    language: str
    follows: str = ""
    """The text after the cursor."""

    def complete(self, generated: str) -> bool:
        return "\n" in generated and self._rule(generated).complete(generated)

    def cut(self, generated: str, finished: bool) -> str:
        return self._rule(generated).cut(generated, finished)

    def _rule(self, generated: str) -> CutRule:
        line = self.line_prefix + generated.partition("\n")[0]
        indent = line[: len(line) - len(line.lstrip())]
        opener = _OPENERS.get(LANGUAGES[self.language].blocks) if self.language in LANGUAGES else None
        opens = opener is not None and opener.search(line) is not None and not self._has_body(indent)
        return BlockRule(indent, self.language, self.follows) if opens else LineRule()

    def _has_body(self, indent: str) -> bool:
        """Whether what follows stands deeper than the line, or on it."""
        line_suffix, _, below = self.follows.partition("\n")
        following = _NONBLANK_LINE.search(below)
        deeper = following is not None and _is_deeper(following[0][: -len(following["code"])], indent)
        return deeper or not (line_suffix.strip() == "" or is_auto_closed(line_suffix))


def _is_deeper(indent: str, other: str) -> bool:
    if indent.startswith(other) or other.startswith(indent):
        return len(indent) > len(other)
    return len(indent.expandtabs(_TAB_WIDTH)) > len(other.expandtabs(_TAB_WIDTH))


def trim_overlap(text: str, after: str, line_prefix: str = "") -> str:
    """The beginning of `text` that does not repeat what follows the cursor.

    `line_prefix` is what stands before the cursor on its line.
    """
    line_suffix = after.partition("\n")[0].rstrip()
    kept = text[: _repeated_lines_start(text, after, line_prefix)]
    if len(kept) < len(text) and not line_suffix:
        kept = kept.rstrip()
    kept = kept[: _repeated_tail_start(kept, line_suffix)]
    return kept if kept.strip() else ""


def _repeated_lines_start(text: str, after: str, line_prefix: str) -> int:
    """Offset of the last lines of `text` that are also the next lines after the cursor; its length without any."""
    lines = list(_NONBLANK_LINE.finditer(f"{line_prefix}{text}"))
    following = [line[0] for line in islice(_NONBLANK_LINE.finditer(after), len(lines))]
    for count in range(len(following), 0, -1):
        tail = lines[-count:]
        start = max(0, tail[0].start("code") - len(line_prefix))
        if _is_repetition([line[0] for line in tail], following[:count]) and _is_balanced_without(text, start):
            return start
    return len(text)


def _is_repetition(lines: list[str], following: list[str]) -> bool:
    """A single closer is one only in the same column: nested blocks end in one brace after the other."""
    if [line.strip() for line in lines] != [line.strip() for line in following]:
        return False
    if len(lines) > 1 or sum(map(str.isalnum, lines[0])) >= 3:
        return True
    return lines[0].rstrip() == following[0].rstrip() and _PUNCTUATION.fullmatch(lines[0].strip()) is not None


def _repeated_tail_start(text: str, line_suffix: str) -> int:
    """Offset of the longest tail of `text` with which the line suffix begins; its length without one."""
    for suffix in (line_suffix, line_suffix.lstrip()):
        for size in range(min(len(text), len(suffix)), 0, -1):
            start = len(text) - size
            telling = size > 1 or size == len(suffix) or _PUNCTUATION.fullmatch(suffix[:size])
            if telling and text.endswith(suffix[:size]) and suffix[:size].strip() and _is_balanced_without(text, start):
                return start
    return len(text)


def _is_balanced_without(text: str, start: int) -> bool:
    """Whether nothing before `start` is closed by what comes after it."""
    return all(opener < 0 or opener >= start for closer, opener in _pairs(text) if closer >= start)


def closers_taken(text: str, line_suffix: str) -> int:
    """How many characters of the line suffix `text` replaces: closers that an editor had typed and the text has too."""
    ahead = _CLOSERS_AHEAD.match(line_suffix)
    expected = [offset for offset in range(ahead.end() if ahead else 0) if not line_suffix[offset].isspace()]
    inside = line_suffix[expected[0]] if expected and line_suffix[expected[0]] in _QUOTES else ""
    taken = 0
    for closer, opener in _pairs(text, inside):
        if opener < 0 and expected and text[closer] == line_suffix[expected[0]]:
            taken = expected.pop(0) + 1
    return taken


def is_auto_closed(line_suffix: str) -> bool:
    """Whether the rest of the line is nothing but closers, as editors type them by themselves."""
    return _AUTO_CLOSED.fullmatch(line_suffix) is not None


def _pairs(text: str, quote: str = "") -> list[tuple[int, int]]:
    """Offset of every closing bracket and quote of `text` with that of its partner, or -1 if that is not in the text.

    With `quote` the text begins inside such a string. A quote without a partner on its line counts as a closer.
    """
    pairs: list[tuple[int, int]] = []
    opened: list[int] = []
    quoted = -1
    for token in _BRACKET_OR_QUOTE.finditer(f"{text}\n"):
        character, offset = token[0], token.start()
        if quote and character == quote:
            pairs.append((offset, quoted))
            quote = ""
        elif quote and character == "\n" and (quote != "`" or offset == len(text)):
            pairs += [(quoted, -1)] if quoted >= 0 else []
            quote = ""
        elif not quote and character in _QUOTES:
            quote, quoted = character, offset
        elif not quote and character in _CLOSER_OF:
            opened.append(offset)
        elif not quote and character in _CLOSER_OF.values():
            matches = opened and _CLOSER_OF[text[opened[-1]]] == character
            pairs.append((offset, opened.pop() if matches else -1))
    return pairs
