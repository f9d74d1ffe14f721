"""One forward pass of the ONNX graph. Besides the draft model, the only module that knows ONNX Runtime."""

import os
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from flash_ls.deadline import Deadline
from flash_ls.engine.bank import Bank
from flash_ls.engine.cache import KVCache
from flash_ls.engine.embedding import FloatArray
from flash_ls.engine.head import Head, IdArray, Logits
from flash_ls.engine.manifest import ModelManifest, graph_file
from flash_ls.engine.model import DecodeStep
from flash_ls.errors import ModelError, ModelFailed

CPU = "CPUExecutionProvider"
MOST_GROUPS = 4
"""Groups of caches, stepped together lately, whose bindings are kept."""
RECHECK_BELOW = 0.7
"""Of a mixed graph; in nats: two words this close are told apart by 8 bits, not by 4."""
# What ONNX Runtime raises for a failed or terminated run; it has no common base below RuntimeError and Exception.
_STATE = ort.capi.onnxruntime_pybind11_state
RUN_ERRORS = (_STATE.Fail, _STATE.RuntimeException, _STATE.InvalidArgument, _STATE.EPFail, RuntimeError)
_NO_MEMORY = ("bad_alloc", "allocate memory")
"""In what ONNX Runtime and the system say of a load that takes too much."""
LOAD_ERRORS = (
    *(*RUN_ERRORS, _STATE.InvalidGraph, _STATE.InvalidProtobuf, _STATE.NoSuchFile, _STATE.NotImplemented),
    *(MemoryError, OSError, EOFError, ValueError),
)
"""What a graph that cannot be loaded, or files that are not as they should be, raise."""


VERSION = str(ort.__version__)


def available_providers() -> list[str]:
    """ONNX Runtime's execution providers that are installed."""
    return list(ort.get_available_providers())


def default_threads() -> int:
    """Half of the logical processors that this process may use, but two where there are two."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(usable, 2), usable // 2)


class OnnxModel:
    """A graph of `flash_ls.artifact.graph`, writing keys and values in place."""

    def __init__(
        self, folder: Path, described: ModelManifest, precision: str, threads: int = 0, provider: str = CPU
    ) -> None:
        """Raises `ModelError` when the graph cannot be loaded."""
        self._shape = described.shape
        self.precision = precision
        self.recheck_below = RECHECK_BELOW if precision == "mixed" else 0.0
        self.precise_from = described.shape.context + 1
        """Tokens from which on a pass takes the precise path in any case: none until it is known to be no slower."""
        self._groups: dict[tuple[Bank, int, int], _Buffers] = {}
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        options.enable_cpu_mem_arena = precision != "int4"  # 12 MB that those who want the least memory can spare
        options.log_severity_level = 4  # errors arrive as exceptions; stderr is for the log
        try:
            self._session = ort.InferenceSession(folder / graph_file(precision), options, providers=[provider])
            self._inputs = {value.name for value in self._session.get_inputs()}
            self._head = Head(folder)
            self._banks = [Bank(described.shape)]
        except LOAD_ERRORS as error:
            raise ModelError(refusal(described.name, folder, error)) from error

    def new_cache(self) -> KVCache:
        """An empty cache. Its pages take memory only once a pass writes them."""
        shape = self._shape
        row_bytes = 2 * shape.layers * shape.kv_heads * shape.head_size * np.dtype(np.float32).itemsize
        bank, place = self._free_place()
        cache = KVCache(self._buffers(bank, place, 1), shape.context, row_bytes, bank)
        bank.give(place, cache)
        return cache

    def _free_place(self) -> tuple[Bank, int]:
        for bank in self._banks:
            if (place := bank.free_place) is not None:
                return bank, place
        self._banks.append(Bank(self._shape))
        return self._banks[-1], 0

    def _buffers(self, bank: Bank, first: int, count: int) -> "_Buffers":
        binding = self._session.io_binding()
        return _Buffers(binding, self._shape.hidden, self._inputs, first, bank.arrays(first, count))

    def forward(
        self,
        tokens: list[int],
        cache: KVCache,
        rows: int,
        deadline: Deadline,
        words: IdArray | None = None,
        precise: bool = False,
    ) -> Logits:
        """See `Model.forward`."""
        if len(cache.tokens) + len(tokens) > cache.capacity:
            raise ModelError(f"The prompt is longer than the model's {cache.capacity} tokens; lower prefix_tokens.")
        buffers = cache.buffers
        assert isinstance(buffers, _Buffers)
        buffers.bind(len(tokens), rows, self._head.shortlisted)
        buffers.embedded[0] = self._head.embedding.rows(np.array(tokens))
        buffers.place([len(cache.tokens) + len(tokens)], precise or len(tokens) >= self.precise_from)
        self._run(buffers.binding, deadline)
        cache.append(tokens)
        certain = cache.tokens[: len(cache.tokens) - max(0, rows - 1)]
        logits = self._head.logits(buffers.logits[0], buffers.hidden[0], certain, words)
        return logits._replace(precise=bool(buffers.precise))

    def forward_each(self, steps: Sequence[DecodeStep]) -> list[Logits]:
        """See `Model.forward_each`."""
        bank, places = _places(steps)
        first, count = min(places), max(places) + 1 - min(places)
        lengths = bank.lengths(first, count)
        if len(steps) == 1 or max(lengths) >= self._shape.context:  # a full cache between them has no row to spare
            return [self.forward([s.token], s.cache, 1, Deadline(), s.words, s.precise) for s in steps]
        group = self._group(bank, first, count)
        group.embedded[:] = self._head.embedding.rows(np.array([steps[0].token]))  # also of caches that take no part
        for step, place in zip(steps, places, strict=True):
            group.embedded[place - first] = self._head.embedding.rows(np.array([step.token]))
        group.place([length + 1 for length in lengths], steps[0].precise or count >= self.precise_from)
        self._run(group.binding, Deadline())
        return [self._stepped(group, step, place - first) for step, place in zip(steps, places, strict=True)]

    def _group(self, bank: Bank, first: int, count: int) -> "_Buffers":
        key = (bank, first, count)
        if key not in self._groups:
            if len(self._groups) == MOST_GROUPS:
                self._groups.clear()
            self._groups[key] = self._buffers(bank, first, count)
            self._groups[key].bind(1, 1, self._head.shortlisted)
        return self._groups[key]

    def _stepped(self, group: "_Buffers", step: DecodeStep, row: int) -> Logits:
        step.cache.append([step.token])
        logits = self._head.logits(group.logits[row], group.hidden[row], step.cache.tokens, step.words)
        return logits._replace(precise=bool(group.precise))

    def _run(self, binding: ort.IOBinding, deadline: Deadline) -> None:
        options = ort.RunOptions()
        options.log_severity_level = 4
        options.add_run_config_entry("gpu_graph_id", "-1")  # unset, each pass takes 80 us to find that out

        def terminate() -> None:
            options.terminate = True

        with deadline.interrupting(terminate):
            try:
                self._session.run_with_iobinding(binding, options)
            except RUN_ERRORS as error:
                deadline.check()
                raise ModelFailed(f"The model failed; restart the server ({error}).") from error


def _places(steps: Sequence[DecodeStep]) -> tuple[Bank, list[int]]:
    """Where their caches are, all in one bank."""
    banks, places = {step.cache.bank for step in steps}, []
    for step in steps:
        assert isinstance(step.cache.buffers, _Buffers)
        places.append(step.cache.buffers.first)
    (bank,) = banks
    assert isinstance(bank, Bank)
    return bank, places


def refusal(name: str, folder: Path, error: Exception) -> str:
    """What the user reads of a graph that cannot be loaded."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return f"There is not enough memory for {name}; close other programs, or set the precision to int4."
    return f"ONNX Runtime cannot load {folder}; run `flash-ls model build` ({error})."


class _Buffers:
    """What the graph reads and writes of caches side by side: keys and values stay, the rest is for one pass."""

    def __init__(
        self, binding: ort.IOBinding, hidden: int, inputs: Container[str], first: int, states: Sequence[FloatArray]
    ) -> None:
        """`first`: the place in their bank; `states`: each [caches, kv_heads, context, head_size]."""
        self.binding, self.first = binding, first
        self._hidden, self._count = hidden, len(states[0])
        self._bound = (0, -1)
        for number, state in enumerate(states):
            self._bind("in", f"past.{number // 2}.{'kv'[number % 2]}", state)
            self._bind("out", f"present.{number // 2}.{'kv'[number % 2]}", state)
        self.seqlens_k, self.total = np.zeros(self._count, np.int32), np.zeros((), np.int32)
        self.first_row, self.last_from = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.precise = np.zeros((), np.bool_)
        for name in ("seqlens_k", "total", "first_row", "last_from", "precise"):
            if name in inputs:
                self._bind("in", name, getattr(self, name))

    def bind(self, width: int, rows: int, words: int) -> None:
        """Make room for a pass of `width` tokens with `rows` rows of `words` logits."""
        if self._bound == (width, rows):
            return
        self.embedded = np.empty((self._count, width, self._hidden), np.float32)
        self.logits = np.empty((self._count, rows, words), np.float32)
        self.hidden = np.empty((self._count, rows, self._hidden), np.float32)
        self.first_row[0], self.last_from[0] = width - rows, min(width - rows, width - 1)
        self._bind("in", "embedded", self.embedded)
        self._bind("out", "logits", self.logits)
        self._bind("out", "hidden", self.hidden)
        self._bound = (width, rows)

    def place(self, lengths: Sequence[int], precise: bool) -> None:
        """Say how many tokens each cache will have after the pass."""
        self.seqlens_k[:] = np.array(lengths) - 1
        self.total[...], self.precise[...] = max(lengths), precise

    def _bind(self, way: str, name: str, array: NDArray[Any]) -> None:
        bind = self.binding.bind_input if way == "in" else self.binding.bind_output
        bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
