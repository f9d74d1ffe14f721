"""Which words of the upstream vocabulary a model keeps. `models/vocabulary.py` chooses them.

A kept word's id is its place among the kept ones, so the order stays: normal words first, special ones last.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Upstream ids of the words kept, ascending, int64 [words]."""

    ids: NDArray[np.int64]

    def served_id(self, upstream: int) -> int:
        """The id of a kept word, given upstream's. Raises `KeyError` for a word that is not kept."""
        place = int(np.searchsorted(self.ids, upstream))
        if place == len(self.ids) or self.ids[place] != upstream:
            raise KeyError(upstream)
        return place


@cache
def load(file: str) -> Vocabulary:
    """The vocabulary in a data file of this package."""
    with resources.files(__package__).joinpath(file).open("rb") as stream, np.load(stream) as arrays:
        return Vocabulary(arrays["ids"].astype(np.int64))


def whole(words: int) -> Vocabulary:
    """All of an upstream vocabulary."""
    return Vocabulary(np.arange(words))
