"""A small model that guesses what the target says next, from the target's own last state: `flash_ls.artifact.draft`."""

import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from flash_ls.engine.embedding import Embedding, FloatArray
from flash_ls.engine.manifest import DRAFT_FILE, DRAFT_WORDS_FILE, ModelManifest
from flash_ls.engine.onnx_model import CPU, LOAD_ERRORS, RUN_ERRORS, refusal
from flash_ls.errors import ModelError, ModelFailed

LAST = 3
"""Tokens that it sees besides the state."""
TRIALS = 5
"""Guesses that are timed; the fastest counts."""


class Guess(NamedTuple):
    """A token, how likely the draft model takes it to be, and its state before it."""

    token: int
    chance: float
    state: FloatArray
    """[1, hidden]"""


class DraftModel:
    """Thread-safe. It runs in the thread that asks, beside the target's: a guess is too short to be shared out."""

    def __init__(self, folder: Path) -> None:
        """Raises what is in `LOAD_ERRORS`."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = ort.InferenceSession(folder / DRAFT_FILE, options, providers=[CPU])
        self._words = np.load(folder / DRAFT_WORDS_FILE)
        self._embedding, self._lock = Embedding(folder), threading.Lock()
        self.ms = self._measured()
        """Milliseconds of a guess."""

    def guess(self, tokens: list[int], state: FloatArray) -> Guess:
        """What comes after `tokens` (at least one), before the last of which the state was `state` [1, hidden].

        Raises `ModelFailed`.
        """
        newest_first = [tokens[max(0, len(tokens) - back)] for back in range(1, LAST + 1)]
        with self._lock:
            embedded = self._embedding.rows(np.array(newest_first))
        try:
            following, logits = self._session.run(None, {"state": state, "embedded": embedded})
        except RUN_ERRORS as error:
            raise ModelFailed(f"The draft model failed; restart the server ({error}).") from error
        best = int(logits.argmax())
        chance = 1 / float(np.exp(logits - logits[0, best]).sum())
        return Guess(int(self._words[best]), chance, following)

    def _measured(self) -> float:
        state, times = np.ones((1, self._session.get_inputs()[0].shape[1]), np.float32), []
        for _ in range(TRIALS):
            start = time.perf_counter()
            self.guess([int(self._words[0])], state)
            times.append(1e3 * (time.perf_counter() - start))
        return min(times)


def load_draft(folder: Path, described: ModelManifest) -> DraftModel | None:
    """The draft model of an artifact, if it has one. Raises `ModelError`."""
    if DRAFT_FILE not in described.files:
        return None
    try:
        return DraftModel(folder)
    except LOAD_ERRORS as error:
        raise ModelError(refusal(described.name, folder, error)) from error
