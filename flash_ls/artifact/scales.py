"""What was learnt of the scales of four bits: for each matrix a factor for each scale, once its codes are rounded.

The codes stay those of `flash_ls.artifact.quantise`; only what a group is multiplied with is taught (PEQA, arXiv
2305.14152; the second phase of EfficientQAT, arXiv 2407.11062). Knows nothing of how it was taught.
"""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType

import numpy as np

from flash_ls.artifact.quantise import FloatArray, FourBits

Factors = Mapping[str, FloatArray]
"""[rows, groups] by matrix, `LAYER.PART`, matrices that share their input as one."""
NO_FACTORS: Factors = MappingProxyType({})


def scaled(rounded: FourBits, factors: FloatArray | None) -> FourBits:
    """With each scale times its factor."""
    return rounded if factors is None else rounded._replace(scales=rounded.scales * factors)


def save(path: Path, factors: Factors) -> None:
    """Write the factors in half precision, as what they differ from one."""
    np.savez(path, allow_pickle=False, **{name: (array - 1).astype(np.float16) for name, array in factors.items()})


def load(file: str) -> Factors:
    """The factors in a data file of this package, or in one elsewhere."""
    with resources.files(__package__).joinpath(file).open("rb") as stream, np.load(stream) as arrays:
        return {name: 1 + arrays[name].astype(np.float32) for name in arrays.files}
