"""What a user's server and a team's server say to each other.

A request is one POST with one message. The answer is a stream of frames, each a message behind its length: every
choice of the model as it is made. The user's server judges them and hangs up when it has enough, so that no token
waits for a verdict to cross the network.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator

import msgspec

from flash_ls.engine.decode import Choice
from flash_ls.engine.manifest import TOKENIZER_FILE, ModelManifest
from flash_ls.shared.messages import Failed, Generate, Hello, Message, Warm

PATH = "/v1"
"""Of these frames' version, behind whatever the url has."""
MOST_BYTES = 256 << 10
"""Of a request or a frame; a prompt takes at most 20,000."""
MODEL_HEADER = "Flash-Ls-Model"
ROUTE_HEADER = "Flash-Ls-Route"
"""Requests with the same value meet the same replica while that has room."""
_LENGTH = struct.Struct(">I")


class Begun(Message, frozen=True):
    """The prompt is read; so much of it was in a cache."""

    cached_tokens: int


class Chosen(Message, frozen=True):
    """The next choice of the model."""

    choice: Choice


class Done(Message, frozen=True):
    """That was all. An answer that ends without this was cut off."""


Request = Generate | Warm
Frame = Begun | Chosen | Done | Failed | Hello
REQUEST: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_FRAME: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def packed(message: Message) -> bytes:
    """The body of a request."""
    return msgspec.msgpack.encode(message)


def framed(message: Frame) -> bytes:
    """One frame of an answer."""
    data = packed(message)
    return _LENGTH.pack(len(data)) + data


def unframed(read: Callable[[], bytes]) -> Iterator[Frame]:
    """The frames of what `read` gives piece by piece; empty is the end. Raises `ValueError`, and what `read` raises."""
    data = b""
    while piece := read():
        data += piece
        while len(data) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
            if end > MOST_BYTES:
                raise ValueError("a frame is too long")
            if len(data) < end:
                break
            yield _FRAME.decode(data[_LENGTH.size : end])
            data = data[end:]
    raise ValueError("the answer was cut off")


def fingerprint(described: ModelManifest) -> str:
    """Of all that both ends must have alike for token ids to mean the same."""
    facts = (described.revision, described.files[TOKENIZER_FILE].sha256, described.prompt)
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:32]


def weight(route: str, replica: str) -> bytes:
    """How much a route prefers a replica: evenly over all, and never changed by what others there are."""
    return hashlib.sha256(f"{route} {replica}".encode()).digest()
