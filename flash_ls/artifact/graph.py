"""The ONNX graph of a Qwen2-style decoder, written node by node over the tensors of a data file.

    embedded, turned ─ x ┐
                         ├─ RMS norm ─ packed q/k/v ─ GroupQueryAttention ─ output ─ + x ┐    layers
                         └─ RMS norm ─ gate and up in one ─ SiLU(gate)·up ─ down ─ + x ──┘    times
    x ─ RMS norm, turned back ─ the rows asked for ─ head over the shortlist ─ logits

Inputs: `embedded` float32 [B, S, hidden], S tokens for each of B caches, of which one or the other is 1; `seqlens_k`
int32 [B], tokens in each cache after this pass less one; `total` int32 [], the most tokens in one; `first_row` int64
[1], the first of the S rows whose logits are wanted (S for none); `precise` bool [], in the mixed precision alone;
`past.L.k` and `past.L.v` float32 [B, kv_heads, capacity, head_size]. Outputs: `logits` float32 [B, S - first_row,
shortlist], `hidden` float32 [B, S - first_row, hidden], what the head reads, and `present.L.k/v`, to be bound to the
buffers of the past.

A product is made by one of three kernels. `int4`: MatMulNBits, weights of 4 bits: the fewest bytes for a narrow pass.
`int8`: weights of 8 bits and activations of 8 bits with a scale for each token, in integers: the fewest operations for
a wide pass, and a token's result does not depend on its neighbours. `mixed` has both and chooses by `precise`. The head
is of 4 bits in all: what it leaves open, `flash_ls.engine.head` settles.

Sources: the Qwen2 report (arXiv 2407.10671), grouped-query attention (arXiv 2305.13245), and ONNX Runtime's contrib
operators GroupQueryAttention, MatMulNBits, MatMulIntegerToFloat and SkipSimplifiedLayerNormalization.
"""

from collections.abc import Mapping, Sequence
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
        """The product of `x` with the matrix `name`, plus the vector `bias` if there is one."""
        if self.precision == "fp32":
            return self._plus(self.node("MatMul", [x, self.tensor(f"{name}.fp32")], f"{out}.product"), bias, out)
        if self.precision == "int4" or name == "head":
            return self._int4(x, name, out, bias)
        return self._int8(x, name, out, bias) if self.precision == "int8" else self._either(x, name, out, bias)

    def _plus(self, product: str, bias: str, out: str) -> str:
        return self.node("Add", [product, bias], out) if bias else self.node("Identity", [product], out)

    def _int4(self, x: str, name: str, out: str, bias: str) -> str:
        weights = [self.tensor(f"{name}.int4.{part}") for part in ("codes", "scales", "zeros")]
        wide, groups, _ = self._places[f"{name}.int4.codes"].dims
        sizes = {"K": groups * GROUP, "N": wide, "bits": 4, "block_size": GROUP, "accuracy_level": 4}
        return self.node("MatMulNBits", [x, *weights, "", bias], out, domain=MS, **sizes)

    def _int8(self, x: str, name: str, out: str, bias: str) -> str:
        codes, scales = (self.tensor(f"{name}.int8.{part}") for part in ("codes", "scales"))
        largest = self.node("ReduceMax", [self.node("Abs", [x], f"{out}.abs"), "last_axis"], f"{out}.max", keepdims=1)
        part = self.node("Div", [x, largest], f"{out}.part")
        rounded = self.node("QuantizeLinear", [part, "step", "middle"], f"{out}.rounded")
        product = self.node("MatMulIntegerToFloat", [rounded, codes, "step", scales, "middle"], f"{out}.sum", domain=MS)
        return self._plus(self.node("Mul", [product, largest], f"{out}.product"), bias, out)

    def _either(self, x: str, name: str, out: str, bias: str) -> str:
        """One kernel of the two at run time; the weights belong to the graph, as those of a branch would be copied."""
        branches = {}
        outer, self.nodes = self.nodes, []
        for branch, kernel in (("then_branch", self._int8), ("else_branch", self._int4)):
            result = _value(kernel(x, name, f"{out}.{branch}", bias), TensorProto.FLOAT, None)
            branches[branch] = helper.make_graph(self.nodes, f"{out}.{branch}", [], [result])
            self.nodes = []
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
        packed = self.linear(x, f"{index}.qkv", f"{index}.packed", self.vector(f"{index}.bias"))
        inputs = [packed, "", "", *past, "seqlens_k", "total", "cos", "sin"]
        heads = {"num_heads": self.shape.heads, "kv_num_heads": self.shape.kv_heads, "do_rotary": 1}
        mixed = self.node("GroupQueryAttention", inputs, f"{index}.attention", *present, domain=MS, **heads)
        return self.linear(mixed, f"{index}.output", f"{index}.attended")

    def feed_forward(self, index: int, x: str) -> str:
        """SwiGLU with gate and up in one product. QuickGelu with alpha 1 is SiLU."""
        gate, up = f"{index}.gate", f"{index}.up"
        self.node("Split", [self.linear(x, f"{index}.gate_up", f"{index}.both")], gate, up, axis=-1, num_outputs=2)
        active = self.node("QuickGelu", [gate], f"{index}.silu", domain=MS, alpha=1.0)
        return self.linear(self.node("Mul", [active, up], f"{index}.act"), f"{index}.down", f"{index}.fed")

    def write(self) -> onnx.ModelProto:
        """The whole graph."""
        shape = self.shape
        self._constants()
        x = self.turned("embedded", "entered")
        norm = self.node("SimplifiedLayerNormalization", [x, "ones"], "first", epsilon=shape.norm_epsilon, axis=-1)
        for index in range(shape.layers):
            norm, x = self.residual_norm(x, self.attention(index, norm), f"{index}.mid")
            norm, x = self.residual_norm(x, self.feed_forward(index, norm), f"{index}.end")
        # All rows are turned, as some may be asked for or none: a product without rows is an error of the runtime.
        last = self.node("Mul", [self.turned(norm, "leaving"), self.vector("norm")], "last")
        self.node("Slice", [last, "first_row", "row_end", "row_axis"], "hidden")
        self.linear("hidden", "head", "logits")
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
        if "int8" in FORMS[self.precision]:
            self.constant("last_axis", np.array([-1]))
            self.constant("step", np.array(1 / 127, np.float32))
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
