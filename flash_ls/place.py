"""A place in a document, and what becomes of a text that a model wrote for it.

The text is cut where its line or block ends and its brackets are closed, loses what stands behind the cursor already,
and is held against the syntax of its surroundings; what is left can be inserted as it is.

Knows nothing of models or tokens.
"""

import re
from dataclasses import dataclass
from sys import maxsize
from typing import NamedTuple

from flash_ls.brackets import closers_below, closing_lines, goes_on, match_brackets
from flash_ls.document import Snapshot
from flash_ls.indentation import with_indentation_of
from flash_ls.language import LANGUAGES, language_of
from flash_ls.postprocess import (
    AnswerRule,
    BlockRule,
    CutRule,
    LineRule,
    StatementRule,
    closers_taken,
    is_auto_closed,
    trim_overlap,
)
from flash_ls.soundness import sound_part
from flash_ls.syntax import scope_at

_DOCSTRING = re.compile(r"[rR]?(?:\"\"\"|''')")
_NEWLINE = re.compile("\n")
_LINE_END = re.compile(r"[])};,\s]*")
"""A rest of a line that may stand behind the last of many lines as well as behind the first."""


class Fitted(NamedTuple):
    """What of a text can be inserted at a place."""

    text: str
    taken: int
    """How many characters behind the cursor it replaces."""
    fault: str
    """Why it is less than the model wrote, or the empty string.

    "done": the line is right as it is; "empty": nothing new; "comment": nobody asked for one; "unsound".
    """


@dataclass(frozen=True, slots=True)
class ClosingRule:
    """What another rule takes, with the lines that close the brackets which it and the cursor's line leave open."""

    inner: CutRule
    line_prefix: str
    language: str
    follows: str
    """The text after the cursor, which may close them too."""

    def complete(self, generated: str) -> bool:
        return self.inner.complete(generated) and self._end(generated, len(self.inner.cut(generated, False))) >= 0

    def cut(self, generated: str, finished: bool) -> str:
        kept = self.inner.cut(generated, finished)
        end = self._end(f"{generated}\n" if finished else generated, len(kept))
        if end >= 0 or finished:
            return generated[: max(end, len(kept))].rstrip()
        lines = generated[: generated.rfind("\n") + 1].rstrip()
        return lines and lines + closing_lines(self.line_prefix + lines, self.language, self._closed(lines))

    def _end(self, generated: str, start: int) -> int:
        """Where the line ends that closes what is open at `start`; -1 if it may come yet.

        `start`, if nothing is open or something else begins before it is closed.
        """
        closed = self._closed(generated)
        for end in (start, *(line_end.start() for line_end in _NEWLINE.finditer(generated, start))):
            brackets = match_brackets(self.line_prefix + generated[:end], self.language)
            if len(brackets.waiting) <= closed:
                return end
            line, line_end, below = generated[end:].partition("\n")
            if not line and line_end and brackets.unended is None and not goes_on(below, self._indent(generated)):
                return start
        return -1

    def _closed(self, generated: str) -> int:
        """How many of the brackets that the line opens are closed by what follows.

        All, if it has more closers than the line up to the cursor has use for: then that is the head of what is there.
        """
        rest, line_end, below = self.follows.partition("\n")
        opened = len(match_brackets(self.line_prefix, self.language).waiting)
        on_line = min(opened, len(match_brackets(rest, self.language).surplus))
        closed = on_line + closers_below(self._indent(generated), line_end + below, self.language)
        return closed if closed <= opened else maxsize

    def _indent(self, generated: str) -> str:
        line = self.line_prefix + generated.partition("\n")[0]
        return line[: len(line) - len(line.lstrip())]


class Place:
    """A cursor in a document; `whole`: for all that is missing there, not only the rest of a line or block."""

    def __init__(self, snapshot: Snapshot, whole: bool = False) -> None:
        self.snapshot = snapshot
        self.language = language_of(snapshot.path, snapshot.language_id)
        self.scope = scope_at(snapshot.text, snapshot.cursor, self.language)
        self.line_prefix = snapshot.before.rpartition("\n")[2]
        self.rule: CutRule = self._statement
        if self.scope.opens_block:
            self.rule = BlockRule(self.scope.indent, self.language, snapshot.after)
        elif self.scope.kind != "code":
            self.rule = LineRule()
        if whole:
            self.rule = self.whole

    @property
    def asks_for_a_line(self) -> bool:
        """Rather than for a block, or for all that is missing."""
        return isinstance(self.rule, LineRule | StatementRule | ClosingRule)

    @property
    def _statement(self) -> CutRule:
        """The rule for the rest of the line, with what it opens if what follows lets it."""
        rule = StatementRule(self.line_prefix, self.language, self.snapshot.after)
        by_line = self.language not in LANGUAGES or LANGUAGES[self.language].blocks == "none"
        if by_line or not _LINE_END.fullmatch(self.snapshot.line_suffix):
            return rule
        return ClosingRule(rule, self.line_prefix, self.language, self.after)

    @property
    def whole(self) -> CutRule:
        """The rule for all that is missing here."""
        return AnswerRule(self.snapshot.after)

    @property
    def after(self) -> str:
        """The text after the cursor without brackets that an editor closed by itself: the model shall close them."""
        automatic = len(self.snapshot.line_suffix) if is_auto_closed(self.snapshot.line_suffix) else 0
        return self.snapshot.after[automatic:]

    def fit(self, text: str, finished: bool, rule: CutRule | None = None) -> Fitted:
        """What of `text` can be inserted by the place's own rule or another. `finished`: the model, or it, ended it."""
        snapshot = self.snapshot
        cut = with_indentation_of((rule or self.rule).cut(text, finished), snapshot.before)
        if cut.strip() and cut.strip() == snapshot.line_suffix.strip():
            return Fitted("", 0, "done")
        text = trim_overlap(cut, snapshot.after, self.line_prefix).rstrip()
        if not text.strip() or text == snapshot.line_suffix[: closers_taken(text, snapshot.line_suffix)]:
            return Fitted("", 0, "empty")
        if self._is_unasked_comment(text):
            return Fitted("", 0, "comment")
        part = self._sound(text)
        return Fitted(
            self._line_ends(part), closers_taken(part, snapshot.line_suffix), "" if part == text else "unsound"
        )

    def may_go_on(self, text: str) -> bool:
        """Whether a text that does not fit may do so with lines that its rule has cut off.

        That is where it ends the cursor's line at once, or where the end of the line is there already.
        """
        line_suffix = self.snapshot.line_suffix
        if not self.asks_for_a_line or "\n" not in text:
            return False
        return not text.partition("\n")[0].strip() or bool(line_suffix.strip())

    def telling(self, text: str) -> int:
        """In which first characters of `text` another text has to differ to be another suggestion."""
        start = len(text) - len(text.lstrip())
        end = text.find("\n", start)
        return start + 1 if self._is_unasked_comment(text) else len(text) + 1 if end < 0 else end

    def _sound(self, text: str) -> str:
        before, after = (part.replace("\r\n", "\n") for part in (self.snapshot.before, self.snapshot.after))
        return sound_part(text, before, after, self.language)

    def _is_unasked_comment(self, text: str) -> bool:
        """A comment on a line of its own, where one line is asked for and none stands above."""
        if self.language not in LANGUAGES or self.scope.kind != "code" or self.line_prefix.strip():
            return False
        above = self.snapshot.before.rstrip().rpartition("\n")[2].lstrip()
        return self._is_comment(text.lstrip()) and not (self.scope.opens_block or self._is_comment(above))

    def _is_comment(self, line: str) -> bool:
        pattern = LANGUAGES[self.language].comments
        return re.match(pattern, line) is not None or (self.language == "python" and bool(_DOCSTRING.match(line)))

    def _line_ends(self, text: str) -> str:
        """Line ends as the buffer has them."""
        return text.replace("\n", "\r\n") if "\r\n" in self.snapshot.text else text
