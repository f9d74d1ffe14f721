"""Tokens in, tokens out, with the prompts of the last few requests still in their key/value caches.

An engine is not thread-safe: one thread owns it. Several may share a model and its slots.
"""

from typing import Protocol

from flash_ls.deadline import Deadline, Spent
from flash_ls.engine.decode import Generation, GenerationParams, generate, prefill
from flash_ls.engine.drafter import Drafter, NoDrafter
from flash_ls.engine.model import Model
from flash_ls.engine.slots import Slots
from flash_ls.engine.tokenizer import Tokenizer

CACHE_MB = 64
"""Megabytes for prompts by default: two of 1,300 tokens, as some files are edited in turns."""


class Engine(Protocol):
    """Whatever continues prompts, in this process or another."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Whose token ids it takes and gives."""

    def generate(self, prompt: list[int], params: GenerationParams, deadline: Deadline) -> Generation:
        """Continue `prompt`. Raises `Cancelled` and `ModelError`; the engine stays usable."""

    def warm(self, prompt: list[int], deadline: Deadline) -> None:
        """Bring `prompt` into the cache for a request that may come. Raises `Cancelled`; what was done is kept."""

    def missing(self, prompt: list[int]) -> int:
        """How many tokens of `prompt` are in no cache."""


class LocalEngine:
    """A target model, its tokenizer and the prefix-cache slots, in this process."""

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        drafter: Drafter | None = None,
        cache_mb: int = CACHE_MB,
        slots: Slots | None = None,
    ) -> None:
        """`slots`: shared with other engines of the same model, instead of own ones of `cache_mb`."""
        self.tokenizer = tokenizer
        self._model = model
        self._drafter = drafter or NoDrafter()
        self._slots = Slots(model.new_cache, cache_mb) if slots is None else slots

    def generate(self, prompt: list[int], params: GenerationParams, deadline: Deadline) -> Generation:
        """See `Engine.generate`."""
        with self._slots.slot_for(prompt, len(prompt) + params.max_tokens) as cache:
            cached = len(prompt) - len(cache.rewind_to(prompt))
            try:
                return generate(self._model, self.tokenizer, cache, prompt, params, self._drafter, deadline)
            finally:
                if (read := min(len(prompt), len(cache.tokens))) > cached:
                    deadline.spent.add(Spent(read, cached))

    def warm(self, prompt: list[int], deadline: Deadline) -> None:
        """See `Engine.warm`."""
        with self._slots.slot_for(prompt, len(prompt)) as cache:
            prefill(self._model, cache, prompt, deadline, leave=1)

    def missing(self, prompt: list[int]) -> int:
        """See `Engine.missing`."""
        return self._slots.missing(prompt)
