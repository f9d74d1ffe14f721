"""The ONNX graph of a Qwen2-style decoder, written node by node while its weights stream to an external data file.

    ids ─ embedding ─ x ┐
                        ├─ RMS norm ─ packed q/k/v ─ GroupQueryAttention ─ output ─ + x ┐        layers
                        └─ RMS norm ─ gate and up in one ─ SiLU(gate)·up ─ down ─ + x ──┘        times
    x ─ RMS norm ─ the rows asked for ─ head ─ logits

Inputs: `ids` int64 [1, S]; `seqlens_k` int32 [1], tokens in the cache after this pass less one; `total` int32 [], the
same count; `first_row` int64 [1], the first of the S rows whose logits are wanted (S for none); `past.L.k` and
`past.L.v` float32 [1, kv_heads, capacity, head_size]. Outputs: `logits` float32 [1, S - first_row, vocabulary] and
`present.L.k/v`, to be bound to the buffers of the past.

Sources: the Qwen2 report (arXiv 2407.10671), grouped-query attention (arXiv 2305.13245), and ONNX Runtime's contrib
operators GroupQueryAttention, MatMulNBits, GatherBlockQuantized and SkipSimplifiedLayerNormalization.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from flash_ls.artifact.quantise import GROUP, quantise
from flash_ls.deadline import Progress
from flash_ls.engine.manifest import DATA_FILE, GRAPH_FILE, ModelShape

FloatArray = NDArray[np.float32]

MS = "com.microsoft"
OPSET, MS_OPSET, IR_VERSION = 21, 1, 10
SLAB_ROWS = 8192
"""Rows of a matrix in memory at a time: bounds the build's memory, not the file's layout."""
ALIGNMENT = 4096


class Weights(Protocol):
    """Named float32 tensors, matrices as (output, input), under the names of a GGUF file."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes, outermost first."""

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Rows start..stop of the tensor."""


class DataFile:
    """The external data of a graph: arrays go to disk as they come, only their places stay in memory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.tensors: dict[str, TensorProto] = {}

    def close(self) -> None:
        self._file.close()

    def add(self, name: str, shape: Sequence[int], kind: int, slabs: Iterator[NDArray[Any]]) -> str:
        """Store the slabs one after the other as one tensor."""
        start = -(-self._file.tell() // ALIGNMENT) * ALIGNMENT
        self._file.write(bytes(start - self._file.tell()))
        for slab in slabs:
            self._file.write(np.ascontiguousarray(slab).data)
        self._place(name, shape, kind, start, self._file.tell() - start)
        return name

    def alias(self, name: str, other: str, shape: Sequence[int]) -> str:
        """The bytes of tensor `other` under a second name and shape."""
        place = {entry.key: int(entry.value) for entry in self.tensors[other].external_data if entry.key != "location"}
        self._place(name, shape, self.tensors[other].data_type, place["offset"], place["length"])
        return name

    def _place(self, name: str, shape: Sequence[int], kind: int, offset: int, length: int) -> None:
        tensor = TensorProto(name=name, dims=shape, data_type=kind, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", DATA_FILE), ("offset", str(offset)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        self.tensors[name] = tensor


class GraphWriter:
    """Collects the nodes of one decoder. `precision` is int8 (served) or fp32 (tests and references)."""

    def __init__(self, shape: ModelShape, weights: Weights, data: DataFile, precision: str, progress: Progress) -> None:
        self.shape, self.weights, self.data, self.precision = shape, weights, data, precision
        self._progress = progress
        self._written = 0
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.inputs = [
            _value("ids", TensorProto.INT64, [1, "S"]),
            _value("seqlens_k", TensorProto.INT32, [1]),
            _value("total", TensorProto.INT32, []),
            _value("first_row", TensorProto.INT64, [1]),
        ]
        self.outputs: list[onnx.ValueInfoProto] = []

    def node(self, op: str, inputs: Sequence[str], *outputs: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, outputs, outputs[0], domain=domain, **attributes))
        return outputs[0]

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def vector(self, *names: str) -> str:
        """The named one-dimensional tensors joined, as a constant called after the first."""
        parts = [self.weights.rows(name, 0, self.weights.shape(name)[0]) for name in names]
        return self.constant(names[0], np.concatenate(parts).astype(np.float32))

    def slabs(self, names: Sequence[str]) -> Iterator[FloatArray]:
        for name in names:
            rows = self.weights.shape(name)[0]
            for start in range(0, rows, SLAB_ROWS):
                slab = self.weights.rows(name, start, min(rows, start + SLAB_ROWS))
                yield slab
                self._written += slab.size
                self._progress("building the model", self._written / matrix_parameters(self.shape))

    def linear(self, x: str, out: str, names: Sequence[str], bias: str = "") -> str:
        """One product with the named matrices stacked by output, plus the bias if there is one."""
        wide = sum(self.weights.shape(name)[0] for name in names)
        deep = self.weights.shape(names[0])[1]
        if self.precision == "fp32":
            return self._linear_float(x, out, names, bias)
        weight, scales = self.quantised(out, names, wide, deep)
        return self._product(x, out, weight, scales, wide, deep, bias)

    def _product(self, x: str, out: str, codes: str, scales: str, wide: int, deep: int, bias: str = "") -> str:
        sizes = {"K": deep, "N": wide, "bits": 8, "block_size": GROUP, "accuracy_level": 4}
        return self.node("MatMulNBits", [x, codes, scales, "", "", bias], out, domain=MS, **sizes)

    def quantised(self, name: str, names: Sequence[str], wide: int, deep: int) -> tuple[str, str]:
        """Names of the codes, uint8 [wide, groups, GROUP] around 128, and the scales, float32 [wide, groups]."""
        scales: list[FloatArray] = []

        def codes() -> Iterator[NDArray[np.uint8]]:
            for slab in self.slabs(names):
                slab_codes, slab_scales = quantise(slab)
                scales.append(slab_scales)
                yield slab_codes

        groups = deep // GROUP
        self.data.add(name + ".codes", [wide, groups, GROUP], TensorProto.UINT8, codes())
        self.data.add(name + ".scales", [wide, groups], TensorProto.FLOAT, iter(scales))
        return name + ".codes", name + ".scales"

    def _linear_float(self, x: str, out: str, names: Sequence[str], bias: str) -> str:
        matrix = np.concatenate(list(self.slabs(names))).T
        self.data.add(out + ".weight", matrix.shape, TensorProto.FLOAT, iter([matrix]))
        product = self.node("MatMul", [x, out + ".weight"], out + ".product" if bias else out)
        return self.node("Add", [product, bias], out) if bias else product

    def embedding(self) -> str:
        """Rows of the head's own matrix: the model ties them, and the file holds the bytes once."""
        vocabulary, hidden = self.shape.vocabulary, self.shape.hidden
        if self.precision == "fp32":
            rows = self.slabs(["output.weight"])
            table = self.data.add("embedding", [vocabulary, hidden], TensorProto.FLOAT, rows)
            return self.node("Gather", [table, "ids"], "embedded")
        codes, scales = self.quantised("logits", ["output.weight"], vocabulary, hidden)
        table = self.data.alias("embedding", codes, [vocabulary, hidden])
        kernel = {"gather_axis": 0, "quantize_axis": 1, "block_size": GROUP, "bits": 8}
        return self.node("GatherBlockQuantized", [table, "ids", scales], "embedded", domain=MS, **kernel)

    def head(self, x: str) -> None:
        self.outputs.insert(0, _value("logits", TensorProto.FLOAT, [1, "R", self.shape.vocabulary]))
        if self.precision == "fp32":
            self.linear(x, "logits", ["output.weight"])
            return
        self._product(x, "logits", "logits.codes", "logits.scales", self.shape.vocabulary, self.shape.hidden)

    def residual_norm(self, residual: str, update: str, scale: str, out: str) -> tuple[str, str]:
        """Names of (RMS norm of the sum, the sum)."""
        epsilon = self.shape.norm_epsilon
        names = [residual, update, self.vector(scale)]
        kind = "SkipSimplifiedLayerNormalization"
        self.node(kind, names, out + ".norm", "", "", out + ".sum", domain=MS, epsilon=epsilon)
        return out + ".norm", out + ".sum"

    def attention(self, index: int, x: str) -> str:
        """Attention of layer `index` over the cache, which its keys and values extend in place."""
        prefix = f"blk.{index}.attn_"
        past, present = [[f"{when}.{index}.{which}" for which in "kv"] for when in ("past", "present")]
        size: list[int | str] = [1, self.shape.kv_heads, "C", self.shape.head_size]
        self.inputs += [_value(name, TensorProto.FLOAT, size) for name in past]
        self.outputs += [_value(name, TensorProto.FLOAT, size) for name in present]
        bias = self.vector(*(f"{prefix}{part}.bias" for part in "qkv"))
        packed = self.linear(x, f"{index}.qkv", [f"{prefix}{part}.weight" for part in "qkv"], bias)
        inputs = [packed, "", "", *past, "seqlens_k", "total", "cos", "sin"]
        heads = {"num_heads": self.shape.heads, "kv_num_heads": self.shape.kv_heads, "do_rotary": 1}
        mixed = self.node("GroupQueryAttention", inputs, f"{index}.attention", *present, domain=MS, **heads)
        return self.linear(mixed, f"{index}.output", [prefix + "output.weight"])

    def feed_forward(self, index: int, x: str) -> str:
        """SwiGLU with gate and up in one product. QuickGelu with alpha 1 is SiLU."""
        both = self.linear(x, f"{index}.gate_up", [f"blk.{index}.ffn_gate.weight", f"blk.{index}.ffn_up.weight"])
        gate, up = f"{index}.gate", f"{index}.up"
        self.node("Split", [both], gate, up, axis=-1, num_outputs=2)
        active = self.node("QuickGelu", [gate], f"{index}.silu", domain=MS, alpha=1.0)
        return self.linear(
            self.node("Mul", [active, up], f"{index}.act"), f"{index}.down", [f"blk.{index}.ffn_down.weight"]
        )

    def write(self) -> onnx.ModelProto:
        """The whole graph; the progress is the share of the matrices written."""
        shape = self.shape
        for name, table in zip(("cos", "sin"), rotary_tables(shape), strict=True):
            self.constant(name, table)
        x = self.embedding()
        first = [x, self.vector("blk.0.attn_norm.weight")]
        norm = self.node("SimplifiedLayerNormalization", first, "first.norm", epsilon=shape.norm_epsilon, axis=-1)
        for index in range(shape.layers):
            norm, x = self.residual_norm(x, self.attention(index, norm), f"blk.{index}.ffn_norm.weight", f"{index}.mid")
            after = f"blk.{index + 1}.attn_norm.weight" if index + 1 < shape.layers else "output_norm.weight"
            norm, x = self.residual_norm(x, self.feed_forward(index, norm), after, f"{index}.end")
        ends = [self.constant("row_end", np.array([2**31])), self.constant("row_axis", np.array([1]))]
        self.head(self.node("Slice", [norm, "first_row", *ends], "wanted"))
        return self._model()

    def _model(self) -> onnx.ModelProto:
        initialisers = [*self.constants, *self.data.tensors.values()]
        graph = helper.make_graph(self.nodes, "decoder", self.inputs, self.outputs, initialisers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MS, MS_OPSET)]
        return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets, producer_name="flash_ls")


def _value(name: str, kind: int, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def matrix_parameters(shape: ModelShape) -> int:
    """How many numbers the matrices have, the tied embedding counted once."""
    attention = shape.head_size * (2 * shape.heads + 2 * shape.kv_heads)
    return shape.hidden * (shape.vocabulary + shape.layers * (attention + 3 * shape.intermediate))


def rotary_tables(shape: ModelShape) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines [context, head_size / 2] of rotary position embedding (arXiv 2104.09864)."""
    frequencies = shape.rope_base ** (-np.arange(0, shape.head_size, 2) / shape.head_size)
    angles = np.outer(np.arange(shape.context), frequencies)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def write_graph(folder: Path, shape: ModelShape, weights: Weights, precision: str, progress: Progress) -> None:
    """Write `model.onnx` and its data file into `folder`."""
    data = DataFile(folder / DATA_FILE)
    try:
        model = GraphWriter(shape, weights, data, precision, progress).write()
    finally:
        data.close()
    (folder / GRAPH_FILE).write_bytes(model.SerializeToString())
