"""Messages in a stream of bytes, each behind its length (LSP: Base Protocol). Knows nothing of what they say.

A header that cannot be read, or a length that is wrong, costs the messages it touches and none of those behind them:
a length is also found where the rest of a message stands before it on its line.
"""

import re
from typing import BinaryIO

from flash_ls.errors import MessageError

MOST_BYTES = 64 << 20
"""Of one message. A larger one is left out; the largest document, which is `Config.max_file_bytes`, fits twice."""
_LONGEST_LINE = 8192
_LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?\n\Z", re.IGNORECASE)
_LONGEST_LENGTH = 128
"""Of the header that tells it, in bytes."""
_PART = 1 << 20


class Frames:
    """The messages that come from a stream. One thread reads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left_out = 0
        """Bytes that stand before the next header."""

    def read(self) -> bytes | None:
        """The next message, once it is there; None at the end. Raises `MessageError` for one that is too large."""
        while self._left_out and (part := self._stream.read(min(self._left_out, _PART))):
            self._left_out -= len(part)
        length, line = 0, b""
        while part := self._stream.readline(_LONGEST_LINE):
            line = line[-_LONGEST_LENGTH:] + part
            if found := _LENGTH.search(line):
                length = int(found[1])
            elif length and not line.strip():
                return self._body(length)
            line = b"" if line.endswith(b"\n") else line
        return None

    def _body(self, length: int) -> bytes | None:
        if length > MOST_BYTES:
            self._left_out = length
            raise MessageError(f"A message is larger than {MOST_BYTES >> 20} MB and is left out; open smaller files.")
        body = self._stream.read(length)
        return body if len(body) == length else None
