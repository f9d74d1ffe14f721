"""The key/value caches of the last few prompts, under one cap of memory, for one engine or several.

Thread-safe: a slot belongs to whoever has taken it until it is given back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from flash_ls.engine.cache import KVCache, common_prefix

MOST_SLOTS = 8


class Slots:
    """Caches of prompts, the least recently used one given up first."""

    def __init__(self, new_cache: Callable[[], KVCache], cap_mb: int, most: int = MOST_SLOTS) -> None:
        self._new_cache = new_cache
        self._most = most
        self.cap_mb = cap_mb
        """May be changed at any time; what is beyond it goes when the next slot is taken."""
        self._lock = Lock()
        self._free: list[KVCache] = []
        self._taken: list[KVCache] = []

    @contextmanager
    def slot_for(self, prompt: list[int], rows: int) -> Iterator[KVCache]:
        """The slot that shares most with the prompt, if that is most of either, else another; it may fill `rows`."""
        with self._lock:
            slot = self._take(prompt, rows)
            self._taken.append(slot)
        try:
            yield slot
        finally:
            with self._lock:
                self._taken = [other for other in self._taken if other is not slot]
                self._free.append(slot)

    @property
    def bytes(self) -> int:
        """Memory that all take."""
        return sum(slot.bytes for slot in [*self._free, *self._taken])

    def __len__(self) -> int:
        return len(self._free) + len(self._taken)

    def missing(self, prompt: list[int]) -> int:
        """How many tokens of `prompt` no slot holds."""
        with self._lock:
            slots = [*self._free, *self._taken]
            return len(prompt) - max((common_prefix(slot.tokens, prompt) for slot in slots), default=0)

    def _take(self, prompt: list[int], rows: int) -> KVCache:
        best = max(self._free, key=lambda slot: common_prefix(slot.tokens, prompt), default=None)
        if best is None or 2 * common_prefix(best.tokens, prompt) < min(len(best.tokens), len(prompt)):
            best = next((slot for slot in self._free if not slot.tokens), None)  # left by a request cancelled at once
        self._free = [slot for slot in self._free if slot is not best]
        return self._make_room(best or self._new_cache(), rows, spare=best is None)

    def _make_room(self, slot: KVCache, rows: int, spare: bool) -> KVCache:
        """Give up the oldest until all fit under the cap; a `spare` slot is then the last one given up."""
        while self._free and not self._fits(slot, rows):
            oldest = self._free.pop(0)
            slot = oldest if spare else slot
        return slot

    def _fits(self, slot: KVCache, rows: int) -> bool:
        taken = max(slot.bytes, rows * slot.row_bytes) + self.bytes
        return len(self) < self._most and taken <= self.cap_mb << 20
