"""The forward pass of a Qwen2-style decoder in plain numpy: the whole sequence at once, in float64, without a cache.

What the ONNX graph computes is compared with this. Source: the Qwen2 report (arXiv 2407.10671).
"""

import numpy as np
from numpy.typing import NDArray

from flash_ls.artifact.weights import Weights
from flash_ls.engine.manifest import ModelShape

Array = NDArray[np.float64]


class ReferenceModel:
    """A decoder whose embedding is the matrix of its head."""

    def __init__(self, shape: ModelShape, weights: Weights) -> None:
        self._shape = shape
        self._weights = weights

    def logits(self, tokens: list[int]) -> Array:
        """Logits [tokens, vocabulary] at every position."""
        logits: Array = self.states(tokens) @ self._tensor("output.weight").T
        return logits

    def states(self, tokens: list[int]) -> Array:
        """What the head reads [tokens, hidden] at every position."""
        x = self._tensor("output.weight")[tokens]
        for layer in range(self._shape.layers):
            prefix = f"blk.{layer}."
            x = x + self._attention(prefix, self._norm(prefix + "attn_norm.weight", x))
            x = x + self._feed_forward(prefix, self._norm(prefix + "ffn_norm.weight", x))
        return self._norm("output_norm.weight", x)

    def _tensor(self, name: str) -> Array:
        return self._weights.rows(name, 0, self._weights.shape(name)[0]).astype(np.float64)

    def _norm(self, name: str, x: Array) -> Array:
        mean_square = np.mean(x * x, axis=-1, keepdims=True)
        scaled: Array = x / np.sqrt(mean_square + self._shape.norm_epsilon) * self._tensor(name)
        return scaled

    def _attention(self, prefix: str, x: Array) -> Array:
        shape, length = self._shape, len(x)
        query, key, value = (self._projected(f"{prefix}attn_{part}", x) for part in "qkv")
        query, key = self._rotated(query), self._rotated(key)
        group = shape.heads // shape.kv_heads
        key, value = np.repeat(key, group, axis=0), np.repeat(value, group, axis=0)
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(shape.head_size)
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
        mixed = _softmax(scores) @ value
        joined: Array = mixed.transpose(1, 0, 2).reshape(length, -1)
        out: Array = joined @ self._tensor(prefix + "attn_output.weight").T
        return out

    def _projected(self, name: str, x: Array) -> Array:
        """Heads first: [heads, tokens, head_size]."""
        flat: Array = x @ self._tensor(name + ".weight").T + self._tensor(name + ".bias")
        return flat.reshape(len(x), -1, self._shape.head_size).transpose(1, 0, 2)

    def _rotated(self, x: Array) -> Array:
        """Rotary position embedding of [heads, tokens, head_size]; a pair is a value and the one half a head later."""
        half = self._shape.head_size // 2
        angles = np.outer(np.arange(x.shape[1]), self._shape.rope_base ** (-np.arange(half) / half))
        first, second = x[..., :half], x[..., half:]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    def _feed_forward(self, prefix: str, x: Array) -> Array:
        gate = x @ self._tensor(prefix + "ffn_gate.weight").T
        up = x @ self._tensor(prefix + "ffn_up.weight").T
        active: Array = gate / (1 + np.exp(-gate)) * up
        out: Array = active @ self._tensor(prefix + "ffn_down.weight").T
        return out


def _softmax(scores: Array) -> Array:
    exponents: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Array = exponents / exponents.sum(axis=-1, keepdims=True)
    return shares
