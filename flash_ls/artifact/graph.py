"""The ONNX graph of a Qwen2-style decoder, written node by node over the tensors of a data file.

    embedded, turned ─ x ┐
                         ├─ RMS norm ─ packed q/k/v ─ GroupQueryAttention ─ output ─ + x ┐    layers
                         └─ RMS norm ─ gate and up in one ─ SiLU(gate)·up ─ down ─ + x ──┘    times
    x ─ RMS norm, turned back ─ the rows asked for ─ head over the shortlist ─ logits

Inputs: `embedded` float32 [B, S, hidden], S tokens for each of B caches, of which one or the other is 1; `seqlens_k`
int32 [B], tokens in each cache after this pass less one; `total` int32 [], the most tokens in one; `first_row` int64
[1], the first of the S rows whose logits are wanted (S for none); `last_from` int64 [1], the first row that the last
layer goes on with once it has all keys and values, which is `first_row` or, as it has to be one, S - 1; `precise` bool
[], in the mixed precision alone; `past.L.k` and `past.L.v` float32 [B, kv_heads, capacity, head_size]. Outputs:
`logits` float32 [B, R, shortlist] of the rows wanted, `hidden` float32 [B, R, hidden], what the head reads, and
`present.L.k/v`, to be bound to the buffers of the past.

A product is made by one of three kernels. `int4`: MatMulNBits, weights of 4 bits: the fewest bytes for a narrow pass.
`int8`: weights and activations of 8 bits, in integers: the fewest operations for a wide pass, and a token's result does
not depend on its neighbours. What comes from a norm is alike in all tokens and channels, as the stream is turned, and
has one scale for all; what else is multiplied has a scale for each token. `mixed` has both kernels and chooses by
`precise`. The head is of 4 bits in all: what it leaves open, `flash_ls.engine.head` settles.

Sources: the Qwen2 report (arXiv 2407.10671), grouped-query attention (arXiv 2305.13245), and ONNX Runtime's contrib
operators GroupQueryAttention, MatMulNBits, MatMulIntegerToFloat and SkipSimplifiedLayerNormalization.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from flash_ls.artifact import rotation
from flash_ls.artifact.quantise import GROUP, FloatArray
from flash_ls.artifact.rotary import rotary_tables
from flash_ls.artifact.scales import NO_FACTORS, Factors
from flash_ls.artifact.tensors import Place, write_tensors
from flash_ls.artifact.weights import Weights
from flash_ls.deadline import Progress
from flash_ls.engine.manifest import DATA_FILE, ModelShape, graph_file

MS = "com.microsoft"
OPSET, MS_OPSET, IR_VERSION = 21, 1, 10
FORMS = {"fp32": {"fp32"}, "int4": {"int4"}, "int8": {"int8"}, "mixed": {"int4", "int8"}}
"""What each precision needs of the matrices."""
NORM_RANGE = 4.5
"""Of what comes from a norm, whose mean square is one, what 8 bits have room for: 4 and 5 leave larger errors."""
Writer = Callable[[str], str]
"""Writes nodes that compute something, and takes and returns its name."""


class GraphWriter:
    """Collects the nodes of one decoder in one precision."""

    def __init__(
        self, shape: ModelShape, places: Mapping[str, Place], vectors: Mapping[str, FloatArray], precision: str
    ) -> None:
        self.shape, self.precision = shape, precision
        self._places, self._vectors = places, vectors
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[TensorProto] = []
        self.inputs = [
            _value("embedded", TensorProto.FLOAT, ["B", "S", shape.hidden]),
            _value("seqlens_k", TensorProto.INT32, ["B"]),
            _value("total", TensorProto.INT32, []),
            _value("first_row", TensorProto.INT64, [1]),
            _value("last_from", TensorProto.INT64, [1]),
        ]
        self.outputs: list[onnx.ValueInfoProto] = []

    def node(self, op: str, inputs: Sequence[str], *outputs: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, outputs, outputs[0], domain=domain, **attributes))
        return outputs[0]

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.initialisers.append(onnx.numpy_helper.from_array(array, name))
        return name

    def vector(self, name: str) -> str:
        return self.constant(name, self._vectors[name])

    def tensor(self, name: str) -> str:
        """The tensor of the data file, known to the graph by the same name."""
        place = self._places[name]
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(place.dtype))
        tensor = TensorProto(name=name, dims=place.dims, data_type=kind, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", DATA_FILE), ("offset", place.offset), ("length", place.bytes)):
            tensor.external_data.add(key=key, value=str(value))
        self.initialisers.append(tensor)
        return name

    def linear(self, x: str, name: str, out: str, bias: str = "") -> str:
        """The product of `x` with the matrix `name`, plus the vector `bias` if there is one; in integers never."""
        if self.precision == "fp32":
            product = self.node("MatMul", [x, self.tensor(f"{name}.fp32")], f"{out}.product")
            return self.node("Add", [product, bias], out) if bias else self.node("Identity", [product], out)
        weights = [self.tensor(f"{name}.int4.{part}") for part in ("codes", "scales", "zeros")]
        wide, groups, _ = self._places[f"{name}.int4.codes"].dims
        sizes = {"K": groups * GROUP, "N": wide, "bits": 4, "block_size": GROUP, "accuracy_level": 4}
        return self.node("MatMulNBits", [x, *weights, "", bias], out, domain=MS, **sizes)

    def integers(self, codes: str, step: str, name: str, out: str, bias: str = "") -> str:
        """The product of activations `codes`, in units of `step`, with the matrix `name` of 8 bits."""
        weights, scales = (self.tensor(f"{name}.int8.{part}") for part in ("codes", "scales"))
        inputs = [codes, weights, step, scales, "middle", "", bias]
        return self.node("MatMulIntegerToFloat", inputs, out, domain=MS)

    def rounded(self, x: str, out: str) -> tuple[str, str]:
        """`x` in 8 bits, in units of `step` times each token's largest, and these largest."""
        largest = self.node("ReduceMax", [self.node("Abs", [x], f"{out}.abs"), "last_axis"], f"{out}.max", keepdims=1)
        part = self.node("Div", [x, largest], f"{out}.part")
        return self.node("QuantizeLinear", [part, "step", "middle"], f"{out}.rounded"), largest

    def rounded_norm(self, x: str, out: str) -> str:
        """`x`, which comes from a norm, in 8 bits and units of `norm_step`."""
        return self.node("QuantizeLinear", [x, "norm_step", "middle"], f"{out}.rounded")

    def either(self, out: str, narrow: Writer, precise: Writer) -> str:
        """What two functions compute that take the name of it: one or the other, in the mixed precision at run time.

        The weights belong to the graph, as those of a branch would be copied.
        """
        if self.precision != "mixed":
            return (precise if self.precision == "int8" else narrow)(out)
        branches = {}
        outer = self.nodes
        for branch, writer in (("then_branch", precise), ("else_branch", narrow)):
            self.nodes = []
            result = _value(writer(f"{out}.{branch}"), TensorProto.FLOAT, None)
            branches[branch] = helper.make_graph(self.nodes, f"{out}.{branch}", [], [result])
        self.nodes = outer
        return self.node("If", ["precise"], out, **branches)

    def turned(self, x: str, out: str) -> str:
        """As `flash_ls.artifact.rotation.turned`."""
        seen = self.node("Reshape", [x, "as_matrix"], f"{out}.seen")
        right = self.node("MatMul", [seen, "right_turn"], f"{out}.right")
        return self.node("Reshape", [self.node("MatMul", ["left_turn", right], f"{out}.both"), "as_row"], out)

    def residual_norm(self, residual: str, update: str, out: str) -> tuple[str, str]:
        """Names of (RMS norm of the sum, the sum)."""
        names = [residual, update, "ones"]
        kind, epsilon = "SkipSimplifiedLayerNormalization", self.shape.norm_epsilon
        self.node(kind, names, out + ".norm", "", "", out + ".sum", domain=MS, epsilon=epsilon)
        return out + ".norm", out + ".sum"

    def attention(self, index: int, x: str) -> str:
        """Attention of layer `index` over the cache, which its keys and values extend in place."""
        past, present = [[f"{when}.{index}.{which}" for which in "kv"] for when in ("past", "present")]
        size: list[int | str] = ["B", self.shape.kv_heads, "C", self.shape.head_size]
        self.inputs += [_value(name, TensorProto.FLOAT, size) for name in past]
        self.outputs += [_value(name, TensorProto.FLOAT, size) for name in present]
        inputs = [self.packed(index, x), "", "", *past, "seqlens_k", "total", "cos", "sin"]
        heads = {"num_heads": self.shape.heads, "kv_num_heads": self.shape.kv_heads, "do_rotary": 1}
        return self.node("GroupQueryAttention", inputs, f"{index}.attention", *present, domain=MS, **heads)

    def packed(self, index: int, x: str) -> str:
        """Queries, keys and values, before they are rotated."""
        name, bias = f"{index}.qkv", self.vector(f"{index}.bias")

        def precise(out: str) -> str:
            return self.integers(self.rounded_norm(x, out), "norm_step", name, out, bias)

        return self.either(f"{index}.packed", lambda out: self.linear(x, name, out, bias), precise)

    def attended(self, index: int, mixed: str) -> str:
        """What attention adds to the stream."""
        name = f"{index}.output"

        def precise(out: str) -> str:
            codes, largest = self.rounded(mixed, out)
            return self.node("Mul", [self.integers(codes, "step", name, f"{out}.sum"), largest], out)

        return self.either(f"{index}.attended", lambda out: self.linear(mixed, name, out), precise)

    def feed_forward(self, index: int, x: str) -> str:
        """SwiGLU. QuickGelu with alpha 1 is SiLU."""

        def active(gate: str, up: str, out: str) -> str:
            silu = self.node("QuickGelu", [gate], f"{out}.silu", domain=MS, alpha=1.0)
            return self.node("Mul", [silu, up], f"{out}.active")

        def narrow(out: str) -> str:
            halves = f"{out}.gate", f"{out}.up"
            self.node("Split", [self.linear(x, f"{index}.gate_up", f"{out}.both")], *halves, axis=-1, num_outputs=2)
            return self.linear(active(*halves, out), f"{index}.down", out)

        def precise(out: str) -> str:
            norm = self.rounded_norm(x, out)
            gate, up = (self.integers(norm, "norm_step", f"{index}.{half}", f"{out}.{half}") for half in ("gate", "up"))
            codes, largest = self.rounded(active(gate, up, out), f"{out}.down")
            return self.node("Mul", [self.integers(codes, "step", f"{index}.down", f"{out}.sum"), largest], out)

        return self.either(f"{index}.fed", narrow, precise)

    def rows(self, x: str, first: str, out: str) -> str:
        """The rows of `x` from `first` on."""
        return self.node("Slice", [x, first, "row_end", "row_axis"], out)

    def write(self) -> onnx.ModelProto:
        """The whole graph."""
        shape = self.shape
        self._constants()
        x = self.turned("embedded", "entered")
        norm = self.node("SimplifiedLayerNormalization", [x, "ones"], "first", epsilon=shape.norm_epsilon, axis=-1)
        for index in range(shape.layers):
            mixed = self.attention(index, norm)
            if index == shape.layers - 1:
                x, mixed = (self.rows(name, "last_from", f"{name}.last") for name in (x, mixed))
            norm, x = self.residual_norm(x, self.attended(index, mixed), f"{index}.mid")
            norm, x = self.residual_norm(x, self.feed_forward(index, norm), f"{index}.end")
        last = self.node("Mul", [self.turned(norm, "leaving"), self.vector("norm")], "last")
        self.linear(self.rows(last, "wanted_from", "hidden"), "head", "logits")
        for name, size in (("logits", "W"), ("hidden", "H")):
            self.outputs.append(_value(name, TensorProto.FLOAT, ["B", "R", size]))
        return self._model()

    def _constants(self) -> None:
        for name, table in zip(("cos", "sin"), rotary_tables(self.shape), strict=True):
            self.constant(name, table)
        left, right = rotation.factors(self.shape.hidden)
        self.constant("left_turn", left)
        self.constant("right_turn", right)
        self.constant("as_matrix", np.array([0, 0, len(left), len(right)]))
        self.constant("as_row", np.array([0, 0, -1]))
        self.constant("ones", np.ones(self.shape.hidden, np.float32))
        self.constant("row_end", np.array([2**31]))
        self.constant("row_axis", np.array([1]))
        self.node("Sub", ["first_row", "last_from"], "wanted_from")
        if "int8" in FORMS[self.precision]:
            self.constant("last_axis", np.array([-1]))
            self.constant("step", np.array(1 / 127, np.float32))
            self.constant("norm_step", np.array(NORM_RANGE / 127, np.float32))
            self.constant("middle", np.array(128, np.uint8))
        if self.precision == "mixed":
            self.inputs.append(_value("precise", TensorProto.BOOL, []))

    def _model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "decoder", self.inputs, self.outputs, self.initialisers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MS, MS_OPSET)]
        return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets, producer_name="flash_ls")


def _value(name: str, kind: int, shape: Sequence[int | str] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def write_graphs(
    folder: Path,
    shape: ModelShape,
    weights: Weights,
    precisions: Sequence[str],
    progress: Progress,
    shortlist: NDArray[np.int64] | None = None,
    samples: Sequence[list[int]] = (),
    factors: Factors = NO_FACTORS,
) -> None:
    """Write the graphs of a model and what they refer to into `folder`.

    `shortlist` are the words the head is about, all by default; `samples` are the prompts that calibrate four bits, and
    `factors` what was learnt of their scales.
    """
    words = np.arange(shape.vocabulary) if shortlist is None else shortlist
    forms = frozenset().union(*(FORMS[precision] for precision in precisions))
    places, vectors = write_tensors(folder, shape, weights, forms, words, samples, factors, progress)
    for precision in precisions:
        model = GraphWriter(shape, places, vectors, precision).write()
        (folder / graph_file(precision)).write_bytes(model.SerializeToString())
