"""What a decoder is built from."""

from typing import Protocol

from flash_ls.artifact.quantise import FloatArray


class Weights(Protocol):
    """Named float32 tensors, matrices as (output, input), under the names of a GGUF file."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes, outermost first."""

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Rows start..stop of the tensor."""
