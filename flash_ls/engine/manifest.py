"""What a servable model is: names, shapes, token ids and the files with their hashes.

Read from `manifest.json` in the artifact folder. This module knows nothing of where the weights came from or how
the graph was built.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flash_ls.errors import ManifestError

FILE_NAME = "manifest.json"
DATA_FILE, TOKENIZER_FILE = "model.data", "tokenizer.json"
EMBEDDING_FILE, SCALES_FILE, SHORTLIST_FILE = "embedding.npy", "embedding_scales.npy", "shortlist.npy"
DRAFT_FILE, DRAFT_WORDS_FILE = "draft.onnx", "draft_words.npy"
"""The files it describes, besides a graph for each precision."""


def graph_file(precision: str) -> str:
    """The graph of one precision; all graphs of an artifact refer to one data file."""
    return f"{precision}.onnx"


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a decoder-only transformer with grouped-query attention."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context: int
    """Most tokens the graph can place (rows of the rotary tables)."""
    rope_base: float
    norm_epsilon: float


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """The fill-in-the-middle prompt the model was taught (arXiv 2207.14255; with context, arXiv 2409.12186),
    and the ids that end its answer."""

    order: str
    version: int
    fim_prefix: int
    fim_middle: int
    fim_suffix: int
    repo_name: int
    file_sep: int
    stop_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size in bytes and hash of one file of the artifact."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """One servable model."""

    name: str
    revision: str
    """Hash of the upstream weights and of the build recipe: another revision is another artifact."""
    licence: str
    precisions: tuple[str, ...]
    """What it can be run in: int4, int8, mixed; fp32 in tests."""
    shape: ModelShape
    prompt: PromptFormat
    files: Mapping[str, FileEntry]

    def write(self, folder: Path) -> None:
        """Write the manifest, with a hash of its own."""
        raw = asdict(self)
        text = json.dumps(raw | {"sha256": _hash(raw)}, indent=2)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> ModelManifest:
    """The manifest of the artifact in `folder`.

    Raises `ManifestError` when it is missing, broken or altered.
    """
    path = folder / FILE_NAME
    try:
        return _parse(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ManifestError(f"Cannot read {path} ({error.strerror}); run `flash-ls model build`.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ManifestError(f"The manifest {path} is broken ({error}); run `flash-ls model build`.") from error


def _hash(raw: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()


def _parse(raw: dict[str, Any]) -> ModelManifest:
    if raw.pop("sha256") != _hash(raw):
        raise ValueError("it is not as it was written")
    return ModelManifest(
        **raw
        | {
            "precisions": tuple(raw["precisions"]),
            "shape": ModelShape(**raw["shape"]),
            "prompt": PromptFormat(**raw["prompt"] | {"stop_ids": tuple(raw["prompt"]["stop_ids"])}),
            "files": {name: FileEntry(**entry) for name, entry in raw["files"].items()},
        }
    )
