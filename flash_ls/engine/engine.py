"""Tokens in, tokens out, with the prompts of the last few requests still in their key/value caches.

Not thread-safe: one worker thread owns the engine.
"""

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache, common_prefix
from flash_ls.engine.decode import Generation, GenerationParams, generate
from flash_ls.engine.drafter import Drafter, NoDrafter
from flash_ls.engine.model import Model
from flash_ls.engine.tokenizer import Tokenizer

SLOTS = 3
"""Prompts kept: some files are edited in turns. A slot of 1,000 tokens takes 25 MB."""


class Engine:
    """A target model, its tokenizer and a few prefix-cache slots, the least recently used one given up first."""

    def __init__(self, model: Model, tokenizer: Tokenizer, drafter: Drafter | None = None) -> None:
        self.tokenizer = tokenizer
        self._model = model
        self._drafter = drafter or NoDrafter()
        self._slots: list[KVCache] = []

    def generate(self, prompt: list[int], params: GenerationParams, deadline: Deadline) -> Generation:
        """Continue `prompt`. Raises `Cancelled` and `ModelError`; the engine stays usable."""
        cache = self._slot_for(prompt)
        return generate(self._model, self.tokenizer, cache, prompt, params, self._drafter, deadline)

    def _slot_for(self, prompt: list[int]) -> KVCache:
        """The slot that shares most with the prompt, if that is most of either; else a new one or the oldest."""
        best = max(self._slots, key=lambda slot: common_prefix(slot.tokens, prompt), default=None)
        if best is None or 2 * common_prefix(best.tokens, prompt) < min(len(best.tokens), len(prompt)):
            best = self._spare_slot()
        self._slots = [*(slot for slot in self._slots if slot is not best), best]
        return best

    def _spare_slot(self) -> KVCache:
        """A slot that a request cancelled at once has left empty, else a new one, else the oldest."""
        empty = next((slot for slot in self._slots if not slot.tokens), None)
        return empty or (self._model.new_cache() if len(self._slots) < SLOTS else self._slots[0])
