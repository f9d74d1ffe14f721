"""Text to token ids and back, in bytes where a token ends inside a character.

The only module that knows the `tokenizers` library.
"""

import codecs
from bisect import bisect_left
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as Backend

from flash_ls.errors import ModelError


def _byte_of_character() -> dict[str, int]:
    """The inverse of GPT-2's byte-to-character table: printable Latin-1 is itself, the rest begins at U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + index): byte for index, byte in enumerate(others)}


class Tokenizer:
    """A byte-level BPE tokenizer without special tokens: any text encodes, and decodes to itself."""

    def __init__(self, path: Path) -> None:
        """Raises `ModelError` if the file cannot be read."""
        try:
            self._backend = Backend.from_file(str(path))
        except Exception as error:  # the library has no type of its own
            raise ModelError(f"The file {path} is broken; run `flash-ls model build` ({error}).") from error
        byte_of = _byte_of_character()
        spelled = [b""] * self._backend.get_vocab_size()
        for token, index in self._backend.get_vocab().items():
            spelled[index] = bytes(byte_of[character] for character in token if character in byte_of)
        self._sorted_ids = np.array(sorted(range(len(spelled)), key=spelled.__getitem__), dtype=np.int64)
        self._ends = np.cumsum([0, *map(len, spelled)], dtype=np.int32)
        self._text = b"".join(spelled)  # one text: 150,000 small objects would take 10 MB

    def encode(self, text: str) -> tuple[list[int], int]:
        """Token ids of `text`, and how many of them belong to its last word.

        A word is what the tokenizer splits text into before it merges: letters with the character before them,
        punctuation, white space. Half of a surrogate pair, which an editor may send, counts as a question mark.
        """
        text = text.encode("utf-8", "replace").decode("utf-8")
        encoding = self._backend.encode(text, add_special_tokens=False)
        words = encoding.word_ids
        return encoding.ids, words.count(words[-1]) if words else 0

    def token_bytes(self, token: int) -> bytes:
        """UTF-8 bytes of one token; not always whole characters."""
        return self._text[self._ends[token] : self._ends[token + 1]] if token + 1 < len(self._ends) else b""

    def decode(self, tokens: list[int]) -> str:
        return b"".join(map(self.token_bytes, tokens)).decode("utf-8", "replace")

    def agreeing(self, pending: bytes) -> NDArray[np.int64]:
        """Ids of the tokens that begin with `pending` (not empty) or that `pending` begins with."""
        start = self._first_at_or_after(pending)
        stop = self._first_at_or_after(pending + b"\xff")
        heads = [self._place(pending[:length]) for length in range(1, len(pending))]
        return self._sorted_ids[[*(head for head in heads if head is not None), *range(start, stop)]]

    def _place(self, token: bytes) -> int | None:
        place = self._first_at_or_after(token)
        found = place < len(self._sorted_ids) and self.token_bytes(int(self._sorted_ids[place])) == token
        return place if found else None

    def _first_at_or_after(self, text: bytes) -> int:
        """The place among the sorted tokens."""
        return bisect_left(self._sorted_ids, text, key=lambda token: self.token_bytes(int(token)))


class TextStream:
    """Token after token to text that never ends inside a character."""

    def __init__(self, tokenizer: Tokenizer, skip: int = 0) -> None:
        """`skip` is how many leading bytes are not to be shown: the text of a healed prompt."""
        self._tokenizer = tokenizer
        self._skip = skip
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""

    def push(self, token: int) -> str:
        """All text so far, the new token's whole characters included."""
        data = self._tokenizer.token_bytes(token)
        shown = data[self._skip :]
        self._skip = max(0, self._skip - len(data))
        self.text += self._decoder.decode(shown)
        return self.text
