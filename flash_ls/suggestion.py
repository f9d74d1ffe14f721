"""How a completion is fitted to what an editor shows beside it: the selected item of a menu, or the menu itself.

Pure text. Knows nothing of the protocol or of how completions are made.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flash_ls.document import Snapshot
from flash_ls.language import LANGUAGES, language_of

if TYPE_CHECKING:
    from flash_ls.completer import Completion


def extension(snapshot: Snapshot, start: int, completion: Completion) -> str | None:
    """The text from `start` to the cursor and what the completion adds to it; None if it changes anything else."""
    selected = snapshot.text[start : snapshot.cursor]
    beyond = snapshot.text[snapshot.cursor : completion.end]
    text = snapshot.text[start : completion.start] + completion.text
    if completion.start < start or not text.startswith(selected) or not completion.text.endswith(beyond):
        return None
    return text.removesuffix(beyond)


def whole_word(snapshot: Snapshot, completion: Completion) -> tuple[int, str]:
    """The completion made to replace the word before the cursor too, as the offset where that begins and its text."""
    language = LANGUAGES.get(language_of(snapshot.path, snapshot.language_id))
    in_names = language.in_names if language else "_"
    start = snapshot.cursor
    while start > 0 and (snapshot.text[start - 1].isalnum() or snapshot.text[start - 1] in in_names):
        start -= 1
    start = min(start, completion.start)
    return start, snapshot.text[start : completion.start] + completion.text


def label(text: str) -> str:
    """The first line that says something."""
    return re.split(r"[\r\n]", text.strip(), maxsplit=1)[0].rstrip()
