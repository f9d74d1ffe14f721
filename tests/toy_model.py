"""A model small enough to build in a second, made by the project's own builder: random weights, a real tokenizer.

`write_artifact` makes the folder that `flash_ls.completer.load_completer` loads; `write_gguf` makes an upstream file,
so that the way from weights to artifact can be tested without the real ones.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from flash_ls.artifact.draft import Draft, write_draft
from flash_ls.artifact.gguf_file import tokenizer_json
from flash_ls.artifact.graph import write_graphs
from flash_ls.artifact.quantise import FloatArray
from flash_ls.artifact.scales import NO_FACTORS, Factors
from flash_ls.artifact.store import hash_of
from flash_ls.artifact.weights import Weights
from flash_ls.engine.manifest import TOKENIZER_FILE, FileEntry, ModelManifest, ModelShape, PromptFormat

NAME = "toy"
WORDS = ["    ", "self", " return", "def", " =", "if", "print", "é", "\U0001f600"]
"""Each becomes one token, and so does each of its beginnings: the last ones end inside a character."""
SPECIALS = ["<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|repo_name|>", "<|file_sep|>"]


def _characters() -> dict[int, str]:
    """GPT-2's character for each byte: printable Latin-1 stands for itself, the other bytes follow from U+0100."""
    others = [byte for byte in range(256) if not (0x21 <= byte <= 0x7E or (0xA1 <= byte <= 0xFF and byte != 0xAD))]
    return {byte: chr(256 + others.index(byte)) if byte in others else chr(byte) for byte in range(256)}


@cache
def vocabulary() -> tuple[dict[str, int], list[str]]:
    """Ids of the words of the tokenizer, all bytes first, and its merges."""
    character = _characters()
    words = list(character.values())
    merges = []
    for word in WORDS:
        spelled = [character[byte] for byte in word.encode()]
        for length in range(2, len(spelled) + 1):
            whole = "".join(spelled[:length])
            if whole not in words:
                words.append(whole)
                merges.append(f"{whole[:-1]} {whole[-1]}")
    return {word: index for index, word in enumerate(words)}, merges


FIRST_SPECIAL = len(vocabulary()[0])
SHAPE = ModelShape(
    layers=2,
    hidden=128,
    intermediate=256,
    heads=4,
    kv_heads=2,
    head_size=32,
    vocabulary=FIRST_SPECIAL + len(SPECIALS),
    context=512,
    rope_base=10000.0,
    norm_epsilon=1e-6,
)
FORM = PromptFormat(
    order="spm",
    version=1,
    fim_prefix=FIRST_SPECIAL + SPECIALS.index("<|fim_prefix|>"),
    fim_middle=FIRST_SPECIAL + SPECIALS.index("<|fim_middle|>"),
    fim_suffix=FIRST_SPECIAL + SPECIALS.index("<|fim_suffix|>"),
    repo_name=FIRST_SPECIAL + SPECIALS.index("<|repo_name|>"),
    file_sep=FIRST_SPECIAL + SPECIALS.index("<|file_sep|>"),
    stop_ids=tuple(range(FIRST_SPECIAL, SHAPE.vocabulary)),
)


PROMPT = {key: value for key, value in asdict(FORM).items() if key != "stop_ids"} | {"first_special": FIRST_SPECIAL}
"""The same as the catalog has it."""


class ToyWeights:
    """Random weights under the names of a GGUF file, the same for the same seed."""

    def __init__(self, shape: ModelShape = SHAPE, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        self.tensors = {"output.weight": self._matrix(shape.vocabulary, shape.hidden, 0.3)}
        self.tensors["token_embd.weight"] = self.tensors["output.weight"]
        self.tensors["output_norm.weight"] = self._vector(shape.hidden, 1.0)
        for layer in range(shape.layers):
            for part, size in (("q", queries), ("k", keys), ("v", keys)):
                self.tensors[f"blk.{layer}.attn_{part}.weight"] = self._matrix(size, shape.hidden, 0.2)
                self.tensors[f"blk.{layer}.attn_{part}.bias"] = self._vector(size, 0.0)
            self.tensors[f"blk.{layer}.attn_norm.weight"] = self._vector(shape.hidden, 1.0)
            self.tensors[f"blk.{layer}.attn_output.weight"] = self._matrix(shape.hidden, queries, 0.2)
            self.tensors[f"blk.{layer}.ffn_norm.weight"] = self._vector(shape.hidden, 1.0)
            self.tensors[f"blk.{layer}.ffn_gate.weight"] = self._matrix(shape.intermediate, shape.hidden, 0.1)
            self.tensors[f"blk.{layer}.ffn_up.weight"] = self._matrix(shape.intermediate, shape.hidden, 0.1)
            self.tensors[f"blk.{layer}.ffn_down.weight"] = self._matrix(shape.hidden, shape.intermediate, 0.1)

    def _matrix(self, rows: int, columns: int, spread: float) -> FloatArray:
        return self._random.normal(0, spread, (rows, columns)).astype(np.float32)

    def _vector(self, size: int, centre: float) -> FloatArray:
        return self._random.normal(centre, 0.1, size).astype(np.float32)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        return self.tensors[name][start:stop]


def write_tokenizer(path: Path) -> None:
    """The toy's `tokenizer.json`."""
    words, merges = vocabulary()
    path.write_text(tokenizer_json(words, merges), encoding="utf-8")


def write_artifact(
    folder: Path,
    precisions: Sequence[str] = ("fp32",),
    shape: ModelShape = SHAPE,
    weights: Weights | None = None,
    shortlist: NDArray[np.int64] | None = None,
    samples: Sequence[list[int]] = (),
    draft: Draft | None = None,
    factors: Factors = NO_FACTORS,
) -> ModelManifest:
    """A whole artifact in `folder`, which is made."""
    folder.mkdir(parents=True)
    write_tokenizer(folder / TOKENIZER_FILE)
    own = weights or ToyWeights(shape)
    write_graphs(folder, shape, own, precisions, lambda label, done: None, shortlist, samples, factors)
    if draft:
        write_draft(folder, shape, own, draft)
    files = {path.name: FileEntry(path.stat().st_size, hash_of(path)) for path in sorted(folder.iterdir())}
    described = ModelManifest(NAME, "0", "Apache-2.0", tuple(precisions), shape, FORM, files)
    described.write(folder)
    return described


def write_gguf(path: Path, shape: ModelShape = SHAPE, architecture: str = "qwen2") -> None:
    """An upstream file: vectors and most matrices as float32, the `down` matrices in Q8_0."""
    writer = gguf.GGUFWriter(path, architecture)
    _add_sizes(writer, shape)
    words, merges = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*words, *SPECIALS])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(words) + [gguf.TokenType.CONTROL] * len(SPECIALS))
    writer.add_token_merges(merges)
    for name, array in ToyWeights(shape).tensors.items():
        kind = gguf.GGMLQuantizationType.Q8_0 if "ffn_down" in name else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_sizes(writer: gguf.GGUFWriter, shape: ModelShape) -> None:
    writer.add_context_length(shape.context)
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_rope_freq_base(shape.rope_base)
