"""A draft model beside a target: what it learnt, and the graph it is served as.

    state [1, hidden]    ─ RMS norm ┐
                                    ├─ gate and up in one ─ SiLU(gate)·up ─ down ─ + state ─ next ─ head ─ logits
    embedded [3, hidden] ─ RMS norm ┘

It goes on from the target's own last state, token by token, as a recurrent net, and so needs no prompt and no cache of
its own (ReDrafter, arXiv 2403.09919); its head has rows of the target's for the words that come often (FR-Spec, arXiv
2502.14856). Inputs: `state`, what the target's head read before the last token, and `embedded`, the rows of the last
tokens, the newest first, both float32. Outputs: `next` float32 [1, hidden] and `logits` float32 [1, words]. The weights
have 8 bits in groups.
"""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, parser

from flash_ls.artifact.graph import IR_VERSION, MS, MS_OPSET, OPSET
from flash_ls.artifact.quantise import GROUP, FloatArray, eight_bits
from flash_ls.artifact.tensors import HEAD
from flash_ls.artifact.weights import Weights
from flash_ls.engine.draft_model import LAST
from flash_ls.engine.manifest import DRAFT_FILE, DRAFT_WORDS_FILE, ModelShape

GRAPH = """
draft (float[1, %(hidden)d] state, float[%(last)d, %(hidden)d] embedded) => (float next, float logits) {
  before = SimplifiedLayerNormalization <axis = -1, epsilon = %(epsilon)s> (state, ones)
  each = SimplifiedLayerNormalization <axis = -1, epsilon = %(epsilon)s> (embedded, ones)
  said = Reshape (each, row)
  both = Concat <axis = 1> (before, said)
  wide = com.microsoft.MatMulNBits <%(gate_up)s> (both, gate_up_codes, gate_up_scales)
  gate, up = Split <axis = 1, num_outputs = 2> (wide)
  active = com.microsoft.QuickGelu <alpha = 1.0> (gate)
  inner = Mul (active, up)
  change = com.microsoft.MatMulNBits <%(down)s> (inner, down_codes, down_scales)
  next = Add (state, change)
  logits = com.microsoft.MatMulNBits <%(head)s> (next, head_codes, head_scales)
}
"""
BYTE_ZERO = 128
"""Of the kernel's unsigned codes."""


class Draft(NamedTuple):
    """What a draft model learnt."""

    words: NDArray[np.int64]
    """[words], token ids of a model that keeps all words of upstream."""
    gate_up: FloatArray
    """[2 inner, (1 + LAST) hidden]."""
    down: FloatArray
    """[hidden, inner]."""


def save(path: Path, draft: Draft) -> None:
    """Write it in half precision."""
    learnt = {name: array.astype(np.float16) for name, array in draft._asdict().items() if name != "words"}
    np.savez(path, allow_pickle=False, words=draft.words.astype(np.uint32), **learnt)


def load(file: str) -> Draft:
    """The draft model in a data file of this package."""
    with resources.files(__package__).joinpath(file).open("rb") as stream, np.load(stream) as arrays:
        learnt = {name: arrays[name].astype(np.float32) for name in Draft._fields if name != "words"}
        return Draft(words=arrays["words"].astype(np.int64), **learnt)


def write_draft(folder: Path, shape: ModelShape, weights: Weights, draft: Draft) -> None:
    """Write its graph and its words; the head's rows are those of the target's `weights`."""
    (folder / DRAFT_FILE).write_bytes(draft_graph(shape, draft, _rows(weights, draft.words)).SerializeToString())
    np.save(folder / DRAFT_WORDS_FILE, draft.words)


def draft_graph(shape: ModelShape, draft: Draft, head: FloatArray) -> onnx.ModelProto:
    """The graph; `head` is [words, hidden]."""
    matrices = {"gate_up": draft.gate_up, "down": draft.down, "head": head}
    sizes = {
        name: f"K = {matrix.shape[1]}, N = {len(matrix)}, bits = 8, block_size = {GROUP}, accuracy_level = 4"
        for name, matrix in matrices.items()
    }
    named = {"hidden": shape.hidden, "last": LAST, "epsilon": f"{shape.norm_epsilon:.9f}", **sizes}
    graph = parser.parse_graph(GRAPH % named)
    constants = {"ones": np.ones(shape.hidden, np.float32), "row": np.array([1, -1]), **_coded(matrices)}
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MS, MS_OPSET)]
    return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets, producer_name="flash_ls")


def _coded(matrices: Mapping[str, FloatArray]) -> dict[str, FloatArray | NDArray[np.uint8]]:
    """Codes [outputs, groups, GROUP] and scales [outputs, groups] of each."""
    found: dict[str, FloatArray | NDArray[np.uint8]] = {}
    for name, matrix in matrices.items():
        codes, scales = eight_bits(matrix)
        unsigned = (codes.astype(np.int16) + BYTE_ZERO).astype(np.uint8)
        found |= {f"{name}_codes": unsigned.reshape(*scales.shape, GROUP), f"{name}_scales": scales}
    return found


def _rows(weights: Weights, words: NDArray[np.int64]) -> FloatArray:
    rows = [weights.rows(HEAD, int(word), int(word) + 1) for word in words]
    return np.concatenate(rows).astype(np.float32)
