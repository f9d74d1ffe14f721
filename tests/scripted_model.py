"""A target model that says what a test wants it to, through the interface of the real one.

It spells the expected buffer byte by byte: whatever prefix the prompt has, the next byte is the most likely token.
"""

import numpy as np

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.head import IdArray, Logits
from flash_ls.engine.tokenizer import Tokenizer
from tests.toy_model import FORM, SHAPE


class ScriptedModel:
    """Continues the text after the prompt's fim_middle to `whole`, then stops; `instead` is its second choice."""

    recheck_below = 0.0

    def __init__(self, tokenizer: Tokenizer, whole: str, instead: str | None = None) -> None:
        self._tokenizer = tokenizer
        self._texts = {9: whole.encode()} | ({} if instead is None else {8: instead.encode()})
        """By how likely they are."""
        self.prompt_text = ""
        """What the model was shown before the text it continues."""
        self.seen = ""
        """All that it was shown last."""

    def new_cache(self) -> KVCache:
        return KVCache(None, SHAPE.context)

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        deadline.check()
        cache.append(tokens)
        ends = range(len(cache.tokens) - rows + 1, len(cache.tokens) + 1)
        said = [self._logits(cache.tokens[:end]) for end in ends]
        values = np.array(said, np.float32).reshape(rows, SHAPE.vocabulary)
        asked = np.arange(SHAPE.vocabulary) if words is None else words
        return Logits(asked, values[:, asked])

    def _logits(self, tokens: list[int]) -> FloatArray:
        middle = tokens.index(FORM.fim_middle)
        self.prompt_text = self._tokenizer.decode(tokens[:middle])
        self.seen = self._tokenizer.decode(tokens)
        written = b"".join(map(self._tokenizer.token_bytes, tokens[middle + 1 :]))
        logits = np.zeros(SHAPE.vocabulary, np.float32)
        rests = {value: text[len(written) :] for value, text in self._texts.items() if text.startswith(written)}
        for value, rest in sorted((rests or {9: b""}).items()):
            logits[self._token(rest[:1])] = value
        return logits

    def _token(self, byte: bytes) -> int:
        if not byte:
            return FORM.stop_ids[0]
        return next(token for token in range(256) if self._tokenizer.token_bytes(token) == byte)
