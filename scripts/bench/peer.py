"""llama.cpp as a contender: its C functions, and what goes wrong with them. Nothing else knows its library."""

import logging
from pathlib import Path
from typing import Any

from scripts.bench.passes import PAST
from scripts.bench.sample import Sample, timed

PEER = "llama.cpp"
"""The system compared with."""
PEER_CONTEXT = 2048
"""Tokens that llama.cpp has room for."""


class PeerFailed(RuntimeError):
    """llama.cpp cannot be timed."""


class Peer:
    """llama.cpp with its default settings (`scripts.bench.passes.Contender`)."""

    def __init__(self, gguf: Path, tokens: list[int], threads: int) -> None:
        """Raises `PeerFailed` if the file is none that it can load."""
        import llama_cpp  # an extra

        logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL + 1)
        self._api: Any = llama_cpp
        self._tokens, self._held = tokens, 0
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = PEER_CONTEXT
        settings.n_threads = settings.n_threads_batch = threads
        weights = llama_cpp.llama_model_load_from_file(str(gguf).encode(), llama_cpp.llama_model_default_params())
        self._context = weights and llama_cpp.llama_init_from_model(weights, settings)
        if not self._context:
            raise PeerFailed(f"llama.cpp cannot load {gguf}; give a whole file with --gguf.")

    def step(self, width: int) -> Sample:
        if self._held < PAST:
            self.prefill(PAST)
        return self._pass(PAST, width, rows=width)

    def prefill(self, length: int) -> Sample:
        return self._pass(0, length, rows=1)

    def _pass(self, past: int, width: int, rows: int) -> Sample:
        """`width` tokens after the first `past` in one batch, with the logits of the last `rows`."""
        api, batch = self._api, self._api.llama_batch_init(width, 0, 1)
        api.llama_memory_seq_rm(api.llama_get_memory(self._context), 0, past, -1)
        batch.n_tokens = width
        for index in range(width):
            batch.token[index], batch.pos[index] = self._tokens[past + index], past + index
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
            batch.logits[index] = index >= width - rows
        sample = timed(lambda: self._decode(batch))
        api.llama_batch_free(batch)
        self._held = past + width
        return sample

    def _decode(self, batch: Any) -> None:
        if self._api.llama_decode(self._context, batch) != 0:
            raise PeerFailed("llama.cpp cannot decode a batch; run again without --peer.")
        self._api.llama_synchronize(self._context)
