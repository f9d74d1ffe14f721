"""One forward pass of the ONNX graph. The only module that knows ONNX Runtime."""

import os
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from flash_ls.deadline import Deadline
from flash_ls.engine.cache import KVCache
from flash_ls.engine.manifest import GRAPH_FILE, ModelShape
from flash_ls.errors import ModelError

FloatArray = NDArray[np.float32]
# What ONNX Runtime raises for a failed or terminated run; it has no common base below RuntimeError and Exception.
_STATE = ort.capi.onnxruntime_pybind11_state
_RUN_ERRORS = (_STATE.Fail, _STATE.RuntimeException, _STATE.InvalidArgument, _STATE.EPFail, RuntimeError)
_LOAD_ERRORS = (*_RUN_ERRORS, _STATE.InvalidGraph, _STATE.InvalidProtobuf, _STATE.NoSuchFile, _STATE.NotImplemented)


class Model(Protocol):
    """A target model."""

    def new_cache(self) -> KVCache:
        """An empty cache."""

    def forward(self, tokens: list[int], cache: KVCache, rows: int, deadline: Deadline) -> FloatArray:
        """Extend `cache` by `tokens`; logits [rows, vocabulary] of the last `rows` of them.

        Raises `Cancelled`, leaving `cache` as it was.
        """


def default_threads() -> int:
    """Half of the logical processors that this process may use, but two where there are two."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(usable, 2), usable // 2)


class OnnxModel:
    """The graph of `flash_ls.artifact.graph` on the CPU, writing keys and values in place."""

    def __init__(self, folder: Path, shape: ModelShape, threads: int = 0) -> None:
        """Raises `ModelError` when the graph cannot be loaded."""
        self._shape = shape
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        options.log_severity_level = 4  # errors arrive as exceptions; stderr is for the log
        try:
            self._session = ort.InferenceSession(folder / GRAPH_FILE, options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise ModelError(f"ONNX Runtime cannot load {folder}; run `flash-ls model build` ({error}).") from error

    def new_cache(self) -> KVCache:
        """An empty cache. Its pages take memory only once a pass writes them."""
        shape = self._shape
        binding = self._session.io_binding()
        for layer in range(shape.layers):
            for which in "kv":
                zeros = np.zeros((1, shape.kv_heads, shape.context, shape.head_size), np.float32)
                buffer = ort.OrtValue.ortvalue_from_numpy(zeros)
                binding.bind_ortvalue_input(f"past.{layer}.{which}", buffer)
                binding.bind_ortvalue_output(f"present.{layer}.{which}", buffer)
        return KVCache(binding, shape.context)

    def forward(self, tokens: list[int], cache: KVCache, rows: int, deadline: Deadline) -> FloatArray:
        """See `Model.forward`."""
        if len(cache.tokens) + len(tokens) > cache.capacity:
            raise ModelError(f"The prompt is longer than the model's {cache.capacity} tokens; lower prefix_tokens.")
        binding = cache.buffers
        assert isinstance(binding, ort.IOBinding)
        total = len(cache.tokens) + len(tokens)
        binding.bind_cpu_input("ids", np.array([tokens], np.int64))
        binding.bind_cpu_input("seqlens_k", np.array([total - 1], np.int32))
        binding.bind_cpu_input("total", np.array(total, np.int32))
        binding.bind_cpu_input("first_row", np.array([len(tokens) - rows], np.int64))
        binding.bind_output("logits", "cpu")
        self._run(binding, deadline)
        cache.append(tokens)
        logits: FloatArray = binding.get_outputs()[-1].numpy()[0]
        return logits

    def _run(self, binding: ort.IOBinding, deadline: Deadline) -> None:
        options = ort.RunOptions()
        options.log_severity_level = 4

        def terminate() -> None:
            options.terminate = True

        with deadline.interrupting(terminate):
            try:
                self._session.run_with_iobinding(binding, options)
            except _RUN_ERRORS as error:
                deadline.check()
                raise ModelError(f"The model failed; restart the server ({error}).") from error
