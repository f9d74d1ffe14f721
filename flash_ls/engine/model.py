"""What the engine asks of a model, whatever runs it."""

from typing import Protocol

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.head import IdArray, Logits


class Model(Protocol):
    """A target model."""

    recheck_below: float
    """Nats: a fast pass whose best two words are closer is to be repeated `precise`; 0 for never."""

    def new_cache(self) -> KVCache:
        """An empty cache."""

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        """Extend `cache` by `tokens`; the logits of the last `rows` of them, of `words` or by default of likely words.

        The last `rows` - 1 tokens are drafts: they are not yet words of the prompt. `precise` takes the path of more
        bits where there are two. Raises `Cancelled`, leaving `cache` as it was.
        """
