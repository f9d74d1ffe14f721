"""The table with a row for each word: what a token enters the decoder as, and what its likelihood is measured by.

It stays on disk, mapped: of 150,000 rows a session looks up some thousands.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flash_ls.engine.manifest import EMBEDDING_FILE, SCALES_FILE

FloatArray = NDArray[np.float32]


class Embedding:
    """Rows of `hidden` numbers; 8-bit codes [words, hidden] with a scale for each group of columns, or float32."""

    def __init__(self, folder: Path) -> None:
        self._codes: NDArray[Any] = np.load(folder / EMBEDDING_FILE, mmap_mode="r")
        self._scales: FloatArray = np.load(folder / SCALES_FILE, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._codes)

    def rows(self, tokens: NDArray[np.int64]) -> FloatArray:
        """float32 [tokens, hidden]."""
        scales = self._scales[tokens]
        grouped = self._codes[tokens].reshape(*scales.shape, -1) * scales[..., None]
        rows: FloatArray = grouped.reshape(len(tokens), -1)
        return rows
