"""Tokens in, tokens out, with the prompts of the last few requests still in their key/value caches.

Not thread-safe: one worker thread owns the engine.
"""

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache, common_prefix
from flash_ls.engine.decode import Generation, GenerationParams, generate, prefill
from flash_ls.engine.drafter import Drafter, NoDrafter
from flash_ls.engine.model import Model
from flash_ls.engine.tokenizer import Tokenizer

MOST_SLOTS = 8
CACHE_MB = 48
"""Megabytes for prompts by default: two of 900 tokens, as some files are edited in turns."""


class Engine:
    """A target model, its tokenizer and a few prefix-cache slots, the least recently used one given up first."""

    def __init__(
        self, model: Model, tokenizer: Tokenizer, drafter: Drafter | None = None, cache_mb: int = CACHE_MB
    ) -> None:
        self.tokenizer = tokenizer
        self._cap = cache_mb << 20
        self._model = model
        self._drafter = drafter or NoDrafter()
        self._slots: list[KVCache] = []

    def generate(self, prompt: list[int], params: GenerationParams, deadline: Deadline) -> Generation:
        """Continue `prompt`. Raises `Cancelled` and `ModelError`; the engine stays usable."""
        cache = self._slot_for(prompt)
        return generate(self._model, self.tokenizer, cache, prompt, params, self._drafter, deadline)

    def warm(self, prompt: list[int], deadline: Deadline) -> None:
        """Bring `prompt` into the cache for a request that may come. Raises `Cancelled`; what was done is kept."""
        prefill(self._model, self._slot_for(prompt), prompt, deadline, leave=1)

    def _slot_for(self, prompt: list[int]) -> KVCache:
        """The slot that shares most with the prompt, if that is most of either; else a new one or the oldest."""
        best = max(self._slots, key=lambda slot: common_prefix(slot.tokens, prompt), default=None)
        if best is None or 2 * common_prefix(best.tokens, prompt) < min(len(best.tokens), len(prompt)):
            best = self._spare_slot(len(prompt))
        self._slots = [*(slot for slot in self._slots if slot is not best), best]
        return best

    def _spare_slot(self, tokens: int) -> KVCache:
        """A slot for a prompt of `tokens`: one that a request cancelled at once has left empty, or a new one.

        Where that would be more than the cap, the oldest slots are given up, and the last of them is used again.
        """
        if empty := next((slot for slot in self._slots if not slot.tokens), None):
            return empty
        spare = self._model.new_cache()
        while self._slots and not self._has_room(spare, tokens):
            spare = self._slots.pop(0)
        return spare

    def _has_room(self, spare: KVCache, tokens: int) -> bool:
        taken = max(spare.bytes, tokens * spare.row_bytes) + sum(slot.bytes for slot in self._slots)
        return len(self._slots) < MOST_SLOTS and taken <= self._cap
