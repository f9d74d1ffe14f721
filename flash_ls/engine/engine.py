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
CACHE_MB = 64
"""Megabytes for prompts by default: two of 1,300 tokens, as some files are edited in turns."""


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
        cache = self._slot_for(prompt, len(prompt) + params.max_tokens)
        return generate(self._model, self.tokenizer, cache, prompt, params, self._drafter, deadline)

    def warm(self, prompt: list[int], deadline: Deadline) -> None:
        """Bring `prompt` into the cache for a request that may come. Raises `Cancelled`; what was done is kept."""
        prefill(self._model, self._slot_for(prompt, len(prompt)), prompt, deadline, leave=1)

    def missing(self, prompt: list[int]) -> int:
        """How many tokens of `prompt` no slot holds."""
        return len(prompt) - max((common_prefix(slot.tokens, prompt) for slot in self._slots), default=0)

    def _slot_for(self, prompt: list[int], rows: int) -> KVCache:
        """The slot that shares most with the prompt, if that is most of either, else another; it may fill `rows`."""
        best = max(self._slots, key=lambda slot: common_prefix(slot.tokens, prompt), default=None)
        if best is None or 2 * common_prefix(best.tokens, prompt) < min(len(best.tokens), len(prompt)):
            best = next((slot for slot in self._slots if not slot.tokens), None)  # left by a request cancelled at once
        others = [slot for slot in self._slots if slot is not best]
        best = self._make_room(others, best or self._model.new_cache(), rows, spare=best is None)
        self._slots = [*others, best]
        return best

    def _make_room(self, others: list[KVCache], slot: KVCache, rows: int, spare: bool) -> KVCache:
        """Give up the oldest of `others` until all fit under the cap; a `spare` slot is then the last one given up."""
        while others and not self._fits(others, slot, rows):
            oldest = others.pop(0)
            slot = oldest if spare else slot
        return slot

    def _fits(self, others: list[KVCache], slot: KVCache, rows: int) -> bool:
        taken = max(slot.bytes, rows * slot.row_bytes) + sum(other.bytes for other in others)
        return len(others) < MOST_SLOTS and taken <= self._cap
