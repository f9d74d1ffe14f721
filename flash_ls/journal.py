"""What became of each request: the last few hundred, and a sentence for each way in which one may end.

Holds names, times and counts, nothing of the user's code. Knows nothing of documents, models or the protocol.
"""

from collections import Counter, deque
from dataclasses import dataclass, fields
from enum import StrEnum


class Reason(StrEnum):
    """How a request ended."""

    SHOWN = "shown"
    TYPED_THROUGH = "typed through"
    """Shown from what was known already."""
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    UNSURE = "unsure"
    COMMENT = "comment"
    STRING = "string"
    SECRET_FILE = "secret file"
    DISABLED = "disabled"
    LOADING = "loading"
    RESTARTING = "restarting"
    AWAY = "away"
    BUSY = "busy"
    REFUSED = "refused"
    EMPTY = "empty"
    DONE = "done"
    INSIDE_A_WORD = "inside a word"
    UNSOUND = "unsound"
    LIMIT = "limit"
    DEADLINE = "deadline"
    ERROR = "error"
    TOO_LARGE = "too large"
    NOT_OPEN = "not open"


_SENTENCES = {
    Reason.SHOWN: "A suggestion is shown.",
    Reason.TYPED_THROUGH: "The suggestion goes on as you type along it.",
    Reason.SUPERSEDED: "You typed on before the suggestion was ready; it comes when you pause.",
    Reason.CANCELLED: "Your editor took its request back.",
    Reason.UNSURE: "The model is not sure enough; ask for a suggestion to see it, or lower flashLs.min_confidence.",
    Reason.COMMENT: "Only a comment could be written here; ask for a suggestion, or see flashLs.complete_comments.",
    Reason.STRING: "The cursor is in a string; set flashLs.complete_strings to true to have suggestions there.",
    Reason.SECRET_FILE: "This looks like a file of keys or passwords, and those get no suggestions.",
    Reason.DISABLED: "flash-ls is off; set flashLs.enabled to true in your editor's settings.",
    Reason.LOADING: "The model is not loaded yet: seconds, at first minutes; if it takes longer: `flash-ls doctor`.",
    Reason.RESTARTING: "The model's process has ended; the next request starts another.",
    Reason.AWAY: "The team's server does not answer; look at flashLs.engine_url and the network, or ask who runs it.",
    Reason.BUSY: "The team's server is busy; the next suggestion comes in a moment.",
    Reason.REFUSED: "The team's server refuses your requests; the log of flash-ls says why.",
    Reason.EMPTY: "The model has nothing to add here.",
    Reason.DONE: "The line is complete as it is.",
    Reason.INSIDE_A_WORD: "The cursor is inside a word; move it to the end of the word, or ask for a suggestion.",
    Reason.UNSOUND: "What the model would write breaks the syntax here; type a little more.",
    Reason.LIMIT: "The answer would be too long; raise flashLs.max_line_tokens or flashLs.max_block_tokens.",
    Reason.DEADLINE: "Nothing was ready within flashLs.budget_ms; `flash-ls doctor` tells how fast this machine is.",
    Reason.ERROR: "flash-ls failed; its log says why, and `flash-ls doctor` looks for the fault.",
    Reason.TOO_LARGE: "The file is too large; raise flashLs.max_file_bytes and open it again.",
    Reason.NOT_OPEN: "Your editor has not told flash-ls of this file; open it again.",
}
_BY_NAME = {str(reason): reason for reason in Reason}


def sentence(reason: Reason) -> str:
    """What the user reads: why there is no suggestion, and what to do if anything can be done."""
    return _SENTENCES[reason]


def reason_of(finish: str, shown: bool, called: bool) -> Reason:
    """The reason of a completion that finished so, whether it has text, and whether the model was called for it."""
    if shown:
        return Reason.SHOWN if called else Reason.TYPED_THROUGH
    return _BY_NAME.get(finish, Reason.EMPTY)


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that has been answered."""

    time: float
    """When it was answered, in seconds since the epoch."""
    file: str
    """Without its folders."""
    language: str
    version: int
    """Of the document."""
    reason: Reason
    finish: str = ""
    """How the text ended that is shown: a `decode.Finish`."""
    milliseconds: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    decoded_tokens: int = 0
    called: bool = False
    """Whether the model was."""


_NAMES = [field.name for field in fields(Entry)]


class Journal:
    """The last requests, in the order in which they were answered."""

    def __init__(self, most: int = 200) -> None:
        self._entries: deque[Entry] = deque(maxlen=most)

    def add(self, entry: Entry) -> None:
        """Keep an entry, in the place of the oldest if there are too many."""
        self._entries.append(entry)

    @property
    def last(self) -> Entry | None:
        return self._entries[-1] if self._entries else None

    def reasons(self, most: int = 20) -> list[str]:
        """How the last requests ended, at most so many."""
        return [str(entry.reason) for entry in self._entries][-most:]

    def as_dict(self, most: int = 20) -> dict[str, object]:
        """For JSON: `entries`, the last of them, at most so many, and `reasons`, how often each occurs among all."""
        entries = list(self._entries)
        counts = Counter(str(entry.reason) for entry in entries)
        last = [{name: getattr(entry, name) for name in _NAMES} for entry in entries[-most:]]
        return {"reasons": dict(counts.most_common()), "entries": last}
