"""Memory for the keys and values of several caches side by side, so that one pass can take a token for each of them.

Two arrays a layer, keys and values, each float32 [PLACES, kv_heads, context, head_size]; a cache has one place in all.
"""

import mmap
import weakref
from math import prod
from typing import Any

import numpy as np

from flash_ls.engine.cache import KVCache
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.manifest import ModelShape

PLACES = 8
"""Caches of one bank, and so the widest batch."""


class Bank:
    """Pages take memory once a pass writes them, and give it back when their cache is gone."""

    def __init__(self, shape: ModelShape) -> None:
        self._size = (PLACES, shape.kv_heads, shape.context, shape.head_size)
        self._memory = [_reserve(4 * prod(self._size)) for _ in range(2 * shape.layers)]
        self._caches: list[weakref.ref[KVCache] | None] = [None] * PLACES

    @property
    def free_place(self) -> int | None:
        """The first place that no cache has."""
        return next((place for place, cache in enumerate(self._caches) if cache is None), None)

    def give(self, place: int, cache: KVCache) -> None:
        """Let `cache` have `place` as long as it is in use."""
        self._caches[place] = weakref.ref(cache)
        weakref.finalize(cache, self._take_back, place).atexit = False

    def arrays(self, first: int, count: int) -> list[FloatArray]:
        """Keys and values of `count` places, layer by layer: views of shape [count, kv_heads, context, head_size]."""
        whole = (np.frombuffer(memory, np.float32).reshape(self._size) for memory in self._memory)
        return [array[first : first + count] for array in whole]

    def lengths(self, first: int, count: int) -> list[int]:
        """How many rows of each of these places are in use."""
        caches = [reference and reference() for reference in self._caches[first : first + count]]
        return [len(cache.tokens) if cache else 0 for cache in caches]

    def _take_back(self, place: int) -> None:
        bytes_each = 4 * prod(self._size[1:])
        start, end = place * bytes_each, (place + 1) * bytes_each
        for memory in self._memory:
            _release(memory, -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE)
        self._caches[place] = None


def _reserve(size: int) -> mmap.mmap:
    """Zeros; unlike numpy's, never in huge pages, of which a row would take a whole one. Raises `MemoryError`."""
    private: dict[str, Any] = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    try:
        memory = mmap.mmap(-1, size, **private)
    except OSError as error:
        raise MemoryError(error.strerror) from error
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory


def _release(memory: mmap.mmap, start: int, end: int) -> None:
    if hasattr(mmap, "MADV_DONTNEED") and start < end:
        memory.madvise(mmap.MADV_DONTNEED, start, end - start)
