"""What a GGUF file holds: the model's sizes, its tensors as float32, and its tokenizer.

The file is mapped, not read: a tensor costs memory only while its rows are asked for. Format: the ggml project's
gguf.md specification.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from flash_ls.artifact import vocabulary
from flash_ls.artifact.quantise import FloatArray
from flash_ls.artifact.tensors import HEAD
from flash_ls.artifact.vocabulary import Vocabulary
from flash_ls.engine.manifest import ModelShape
from flash_ls.errors import CorruptFile

NORMAL = gguf.TokenType.NORMAL
CONTEXT = 4096
"""Positions the rotary tables cover: far more than a prompt of this product has."""

# One word with the character before it, one digit, punctuation with its line ends, or white space (Qwen2 tokenizer).
WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class GgufFile:
    """One opened file of the qwen2 architecture, of whose vocabulary only some words may be wanted."""

    def __init__(self, path: Path, keep: Callable[[int], Vocabulary] = vocabulary.whole) -> None:
        """`keep` gets the size of the vocabulary. Raises `CorruptFile` when the file is not one."""
        try:
            reader = gguf.GGUFReader(path)
            architecture = reader.fields["general.architecture"].contents()
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise CorruptFile(f"{path} is not a GGUF file ({error}); delete it and fetch the model again.") from error
        self._fields = reader.fields
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        if architecture != "qwen2":
            raise CorruptFile(f"{path} does not hold a qwen2 model; delete it and fetch the model again.")
        self.kept = keep(int(self._tensors[HEAD].shape[1]))
        """The words that `shape`, `rows` and the tokenizer are about."""

    def field(self, name: str) -> Any:
        return self._fields[name].contents()

    def model_shape(self) -> ModelShape:
        hidden, heads = self.field("qwen2.embedding_length"), self.field("qwen2.attention.head_count")
        return ModelShape(
            layers=self.field("qwen2.block_count"),
            hidden=hidden,
            intermediate=self.field("qwen2.feed_forward_length"),
            heads=heads,
            kv_heads=self.field("qwen2.attention.head_count_kv"),
            head_size=hidden // heads,
            vocabulary=len(self.kept.ids),
            context=CONTEXT,
            rope_base=self.field("qwen2.rope.freq_base"),
            norm_epsilon=round(self.field("qwen2.attention.layer_norm_rms_epsilon"), 12),
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes, outermost first."""
        rows, *columns = (int(size) for size in reversed(self._tensors[name].shape))
        return len(self.kept.ids) if name == HEAD else rows, *columns

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Rows start..stop of the tensor as float32."""
        tensor = self._tensors[name]
        data = tensor.data[self.kept.ids[start:stop]] if name == HEAD else tensor.data[start:stop]
        return np.asarray(gguf.dequantize(data, tensor.tensor_type), dtype=np.float32)

    def write_tokenizer(self, path: Path) -> None:
        """The tokenizer in the form of the `tokenizers` library.

        Two things differ from upstream on purpose. No special tokens: text that looks like `<|fim_middle|>` stays text.
        No Unicode normalisation: every text comes back as it was.
        """
        kinds = self.field("tokenizer.ggml.token_type")
        tokens = self.field("tokenizer.ggml.tokens")
        normal = (
            (tokens[upstream], served) for served, upstream in enumerate(self.kept.ids) if kinds[upstream] == NORMAL
        )
        words = dict(normal)
        merges = [merge for merge in self.field("tokenizer.ggml.merges") if merge.replace(" ", "") in words]
        path.write_text(tokenizer_json(words, merges), encoding="utf-8")


def tokenizer_json(words: dict[str, int], merges: Sequence[str]) -> str:
    """A byte-level BPE tokenizer of these words, each merge being two of them with a space between."""
    split = {"type": "Split", "pattern": {"Regex": WORD_PATTERN}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    whole = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "decoder": level,
        "model": {"type": "BPE", "vocab": words, "merges": [merge.split(" ") for merge in merges]},
    }
    return json.dumps(whole, ensure_ascii=False)
