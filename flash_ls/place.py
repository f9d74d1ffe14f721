"""A place in a document, and what becomes of a text that a model wrote for it.

The text is cut where its line or block ends, loses what stands behind the cursor already, and is held against the
syntax of its surroundings; what is left can be inserted as it is.

Knows nothing of models or tokens.
"""

import re
from typing import NamedTuple

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


class Fitted(NamedTuple):
    """What of a text can be inserted at a place."""

    text: str
    taken: int
    """How many characters behind the cursor it replaces."""
    fault: str
    """Why it is less than the model wrote, or the empty string.

    "done": the line is right as it is; "empty": nothing new; "comment": nobody asked for one; "unsound".
    """


class Place:
    """A cursor in a document; `whole`: for all that is missing there, not only the rest of a line or block."""

    def __init__(self, snapshot: Snapshot, whole: bool = False) -> None:
        self.snapshot = snapshot
        self.language = language_of(snapshot.path, snapshot.language_id)
        self.scope = scope_at(snapshot.text, snapshot.cursor, self.language)
        self.line_prefix = snapshot.before.rpartition("\n")[2]
        self.rule: CutRule = StatementRule(self.line_prefix, self.language, snapshot.after)
        if self.scope.opens_block:
            self.rule = BlockRule(self.scope.indent, self.language, snapshot.after)
        elif self.scope.kind != "code":
            self.rule = LineRule()
        if whole:
            self.rule = self.whole

    @property
    def asks_for_a_line(self) -> bool:
        """Rather than for a block, or for all that is missing."""
        return isinstance(self.rule, LineRule | StatementRule)

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
        taken = closers_taken(text, self.snapshot.line_suffix)
        after = self.snapshot.after[taken:].replace("\r\n", "\n")
        return sound_part(text, self.snapshot.before.replace("\r\n", "\n"), after, self.language)

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
