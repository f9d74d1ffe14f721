"""Rotary position embedding (arXiv 2104.09864)."""

import numpy as np

from flash_ls.artifact.quantise import FloatArray
from flash_ls.engine.manifest import ModelShape


def rotary_tables(shape: ModelShape) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines [context, head_size / 2]."""
    frequencies = shape.rope_base ** (-np.arange(0, shape.head_size, 2) / shape.head_size)
    angles = np.outer(np.arange(shape.context), frequencies)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
