"""What the matrices of a decoder meet: sample prompts run through the float layers, one layer at a time.

The second moments of a matrix's inputs say which rounding errors its outputs will feel (arXiv 2210.17323). The same
decoder as the graph's, in numpy, because the graph does not exist yet. The samples are short source files in the
product's languages that come with the package.
"""

from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np

from flash_ls.artifact.quantise import GROUP, FloatArray
from flash_ls.artifact.rotary import rotary_tables
from flash_ls.artifact.rotation import turned
from flash_ls.engine.manifest import ModelShape, PromptFormat
from flash_ls.engine.tokenizer import Tokenizer

SAMPLE_TOKENS = 480
"""Tokens taken of each sample: a build takes a third of a second for each of them."""
SUFFIX_SHARE = 0.25
"""Part of a sample that stands after the cursor."""
MOST_IN_BLOCK = 1024
"""Columns whose joint moments are taken. The work grows with their cube, and far columns say little of each other."""


def samples(tokenizer: Tokenizer, form: PromptFormat) -> list[list[int]]:
    """Token ids of the sample files, each as a prompt with the cursor at three quarters of it."""
    folder = resources.files(__package__).joinpath("calibration")
    # pip compiles what ends in .py, and leaves a folder for it beside the samples.
    files = sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.name)
    texts = [path.read_text(encoding="utf-8") for path in files]
    return [_prompt(tokenizer.encode(text)[0][:SAMPLE_TOKENS], form) for text in texts]


def _prompt(ids: list[int], form: PromptFormat) -> list[int]:
    cursor = round(len(ids) * (1 - SUFFIX_SHARE))
    return [form.fim_prefix, form.fim_suffix, *ids[cursor:], form.fim_middle, *ids[:cursor]]


class Inputs(NamedTuple):
    """What a matrix meets."""

    moments: FloatArray
    """Second moments [blocks, size, size], block by block along the columns."""
    largest: FloatArray
    """[columns], of either sign."""


class Calibration:
    """The samples' activations on their way through the layers."""

    def __init__(self, shape: ModelShape, embedded: Sequence[FloatArray]) -> None:
        """`embedded` are the turned embeddings [tokens, hidden] of the samples."""
        self._shape = shape
        self._ends = np.cumsum([len(sample) for sample in embedded])[:-1]
        self._states = np.concatenate(embedded)
        self._rotary = rotary_tables(shape)

    def inputs(self, layer: dict[str, FloatArray]) -> dict[str, Inputs]:
        """What each matrix of `layer` meets; the samples move on to the next.

        `layer` has the matrices qkv, output, gate_up and down, the vectors norm, bias and ffn_norm.
        """
        met: dict[str, Inputs] = {}

        def meet(name: str, inputs: FloatArray) -> FloatArray:
            met[name] = Inputs(_blocks(inputs) / np.float32(len(inputs)), np.abs(inputs).max(axis=0))
            product: FloatArray = inputs @ layer[name].T
            return product

        packed = meet("qkv", self._norm(self._states, layer["norm"])) + layer["bias"]
        mixed = [self._attention(sample) for sample in np.split(packed, self._ends)]
        self._states = self._states + meet("output", np.concatenate(mixed))
        gate, up = np.split(meet("gate_up", self._norm(self._states, layer["ffn_norm"])), 2, axis=1)
        self._states = self._states + meet("down", gate / (1 + np.exp(-gate)) * up)
        return met

    def last_moments(self, norm: FloatArray) -> FloatArray:
        """Second moments of what the head meets, once all layers are passed; `norm` is the vector before it."""
        return _blocks(self._norm(turned(self._states), norm)) / np.float32(len(self._states))

    def _norm(self, state: FloatArray, scale: FloatArray) -> FloatArray:
        normed: FloatArray = state / np.sqrt(np.square(state).mean(axis=1, keepdims=True) + self._shape.norm_epsilon)
        return normed * scale

    def _attention(self, packed: FloatArray) -> FloatArray:
        """Causal grouped-query attention over one sample, [tokens, heads * head size]."""
        shape, tokens = self._shape, len(packed)
        heads = packed.reshape(tokens, -1, shape.head_size).swapaxes(0, 1)
        queries, keys, values = np.split(heads, [shape.heads, shape.heads + shape.kv_heads])
        keys = np.repeat(self._rotated(keys), shape.heads // shape.kv_heads, axis=0)
        values = np.repeat(values, shape.heads // shape.kv_heads, axis=0)
        scores = self._rotated(queries) @ keys.swapaxes(1, 2) / np.sqrt(np.float32(shape.head_size))
        scores += np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        mixed = weights / weights.sum(axis=2, keepdims=True) @ values
        flat: FloatArray = mixed.swapaxes(0, 1).reshape(tokens, -1)
        return flat

    def _rotated(self, heads: FloatArray) -> FloatArray:
        cos, sin = (table[: heads.shape[1]] for table in self._rotary)
        left, right = np.split(heads, 2, axis=2)
        return np.concatenate([left * cos - right * sin, right * cos + left * sin], axis=2)


def _blocks(inputs: FloatArray) -> FloatArray:
    """Sums of the products of the inputs [tokens, columns] with each other, block by block: [blocks, size, size]."""
    blocks = np.ascontiguousarray(inputs.reshape(len(inputs), -1, block_size(inputs.shape[1])).swapaxes(0, 1))
    return blocks.swapaxes(1, 2) @ blocks


def block_size(columns: int) -> int:
    """The largest block of whole groups, of at most `MOST_IN_BLOCK` columns, that divides the columns evenly."""
    sizes = range(GROUP, min(columns, MOST_IN_BLOCK) + 1, GROUP)
    return max(size for size in sizes if columns % size == 0)
