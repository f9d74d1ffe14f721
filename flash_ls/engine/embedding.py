"""The table with a row for each word: what a token enters the decoder as, and what its likelihood is measured by.

It stays in its file: of 150,000 rows a session looks up some thousands. They are read, not mapped, as each page that is
mapped would bring its neighbours into the process's memory.
"""

import os
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from flash_ls.engine.manifest import EMBEDDING_FILE, SCALES_FILE

FloatArray = NDArray[np.float32]


class Embedding:
    """Rows of `hidden` numbers: 8-bit codes [words, hidden] with a scale for each group of columns, or float32.

    Not thread-safe.
    """

    def __init__(self, folder: Path) -> None:
        """Raises `OSError` and `ValueError` when the files cannot be read."""
        self._scales: FloatArray = np.load(folder / SCALES_FILE)
        self._file = (folder / EMBEDDING_FILE).open("rb", buffering=0)
        assert npy.read_magic(self._file) == (1, 0)
        (self._words, self._hidden), _, self._dtype = npy.read_array_header_1_0(self._file)
        self._start = self._file.tell()

    def __len__(self) -> int:
        return int(self._words)

    def rows(self, tokens: NDArray[np.int64]) -> FloatArray:
        """float32 [tokens, hidden]."""
        codes = np.empty((len(tokens), self._hidden), self._dtype)
        starts = [self._start + token * self._hidden * self._dtype.itemsize for token in tokens.tolist()]
        self._announce(starts)
        for row, start in zip(codes, starts, strict=True):
            self._file.seek(start)
            self._file.readinto(row.data)
        scales = self._scales[tokens]
        groups = codes.reshape(*scales.shape, self._hidden // scales.shape[1])
        rows: FloatArray = (groups * scales[..., None]).reshape(codes.shape)
        return rows

    def _announce(self, starts: list[int]) -> None:
        """Have the system fetch all rows at once that it has not in memory, instead of one after the other."""
        if hasattr(os, "posix_fadvise"):
            for start in starts:
                os.posix_fadvise(
                    self._file.fileno(), start, self._hidden * self._dtype.itemsize, os.POSIX_FADV_WILLNEED
                )
