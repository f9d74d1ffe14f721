"""What a server and the engine process say to each other, as MessagePack over a local connection.

One request of a connection is under way at a time. While it is, the engine asks after each token whether the answer is
`Enough`; the server may say at any time that it wants it no more. Versions differ by the name of the socket.
"""

from collections.abc import Callable

import msgspec

from flash_ls.deadline import Spent
from flash_ls.engine.decode import Generation, GenerationParams, Step

VERSION = 2
"""Of these messages."""
MOST_BYTES = 4 << 20
"""Of one message."""


class Message(msgspec.Struct, frozen=True, tag=True):
    """Any of them."""


class Hello(Message, frozen=True):
    """The engine's first words: it is ready."""

    precision: str
    pid: int


class Request(Message, frozen=True):
    """What the engine is to do with a prompt."""

    number: int
    """Of the request, counted by the server."""
    prompt: list[int]
    budget_ms: float
    gives_way: bool


class Generate(Request, frozen=True, kw_only=True):
    """Continue it (`GenerationParams`)."""

    max_tokens: int
    stop_ids: frozenset[int]
    healed: bytes
    forced: tuple[Step, ...]
    least_likelihood: float

    def params(self, complete: Callable[[str], bool]) -> GenerationParams:
        """The same for the engine."""
        told = {
            name: getattr(self, name) for name in ("max_tokens", "stop_ids", "healed", "forced", "least_likelihood")
        }
        return GenerationParams(complete=complete, **told)


class Warm(Request, frozen=True):
    """Bring it into the cache."""


class Missing(Request, frozen=True):
    """How much of it is in no cache?"""


class Cancel(Message, frozen=True):
    """The request with this number is wanted no more."""

    number: int


class Release(Message, frozen=True):
    """The answer is wanted no more, but what is being read may be read."""

    number: int


class Enough(Message, frozen=True):
    """Whether the text so far is all that is wanted."""

    enough: bool


class Ping(Message, frozen=True):
    """Does the process still run?"""


class Text(Message, frozen=True):
    """All text so far; `Enough` is awaited."""

    text: str


class Cost(Message, frozen=True):
    """Of the request whose answer follows."""

    spent: Spent


class Generated(Message, frozen=True):
    """The answer."""

    generation: Generation


class Warmed(Message, frozen=True):
    """The prompt is in the cache, or as much of it as the budget allowed."""


class Counted(Message, frozen=True):
    """So many tokens."""

    tokens: int


class Cancelled(Message, frozen=True):
    """The request has ended without an answer, as nobody wants it."""


class Failed(Message, frozen=True):
    """The request has ended with an error: a sentence."""

    sentence: str


class Pong(Message, frozen=True):
    """It runs."""


ToEngine = Generate | Warm | Missing | Cancel | Release | Enough | Ping
Answer = Generated | Warmed | Counted | Cancelled | Failed
ToServer = Answer | Hello | Text | Cost | Pong
TO_ENGINE: msgspec.msgpack.Decoder[ToEngine] = msgspec.msgpack.Decoder(ToEngine)
TO_SERVER: msgspec.msgpack.Decoder[ToServer] = msgspec.msgpack.Decoder(ToServer)
