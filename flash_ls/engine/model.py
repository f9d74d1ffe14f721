"""What the engine asks of a model, whatever runs it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.head import IdArray, Logits


class DecodeStep(NamedTuple):
    """One token for one cache, and what is asked of it: see `Model.forward`."""

    token: int
    cache: KVCache
    words: IdArray | None = None
    precise: bool = False


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


class BatchModel(Model, Protocol):
    """One that can step several caches at once."""

    def forward_each(self, steps: Sequence[DecodeStep]) -> list[Logits]:
        """Take the steps in one pass, so that the weights are read once for all (Orca, OSDI 2022).

        Their caches differ, are of one bank, and none is full; either all steps are `precise` or none.
        """
