"""Cases of each kind, made from chance: steps for a session (`scripts.fuzzing.session`)."""

from random import Random
from typing import Any

from scripts.fuzzing import edits, mutations
from scripts.fuzzing.finding import Steps

ENCODINGS = ("utf-16", "utf-8", "utf-32")
SIZE = 200
"""Messages of a case."""
OWN_SHARE = 4
"""One message in so many is one that the client means, where most are mutated."""
TOGETHER = 3
"""Messages of one piece of a stream."""


def edit_case(chance: Random) -> Steps:
    """Edits alone."""
    return [_encoding(chance), *_own(edits.sequence(chance, SIZE))]


def message_case(chance: Random) -> Steps:
    """Edits among mutated bodies."""
    size = SIZE // OWN_SHARE
    return _mixed(chance, [{"raw": mutations.body(chance).decode("latin-1")} for _ in range(SIZE - size)])


def stream_case(chance: Random) -> Steps:
    """Edits among mutated bodies under headers that may be wrong."""
    return _mixed(chance, [_piece(chance) for _ in range((SIZE - SIZE // OWN_SHARE) // TOGETHER)])


def _own(messages: list[dict[str, Any]]) -> Steps:
    return [{"own": message} for message in messages]


def _encoding(chance: Random) -> dict[str, Any]:
    return {"encoding": chance.choice(ENCODINGS)}


def _mixed(chance: Random, others: Steps) -> Steps:
    steps = _own(edits.sequence(chance, SIZE // OWN_SHARE))
    for step in others:
        steps.insert(chance.randrange(len(steps) + 1), step)
    return [_encoding(chance), *steps]


def _piece(chance: Random) -> dict[str, Any]:
    parts = []
    for _ in range(TOGETHER):
        body = mutations.body(chance)
        parts.append(mutations.frame(body) if chance.randrange(2) else mutations.mangled(body, chance))
    return {"stream": b"".join(parts).decode("latin-1")}


def messages_in(steps: Steps) -> int:
    return sum(TOGETHER if "stream" in step else "encoding" not in step for step in steps)
