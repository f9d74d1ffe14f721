"""A decoder in PyTorch whose weights stay as they are, and what it learns beside them: low-rank adapters.

Each matrix W of a layer becomes W + B A (LoRA, arXiv 2106.09685). The layers are those of `flash_ls.artifact.tensors`:
matrices that share their input are one, and so have one A. The head is computed only where it is asked for.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from flash_ls.artifact.adapter import Adapter, Factors
from flash_ls.artifact.rotary import rotary_tables
from flash_ls.artifact.tensors import HEAD, MATRICES, layer, whole
from flash_ls.artifact.weights import Weights
from flash_ls.engine.manifest import ModelShape

M = TypeVar("M", bound=nn.Module)


class LowRank(nn.Module):
    """A frozen matrix [outputs, inputs] in the precision of the products, and its adapter in float32."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.down = nn.Parameter(torch.randn(rank, weight.shape[1]) / weight.shape[1] ** 0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank))

    def forward(self, x: Tensor) -> Tensor:
        low = functional.linear(x, self.down.to(x.dtype))
        return functional.linear(x, self.weight) + functional.linear(low, self.up.to(x.dtype))


class Layer(nn.Module):
    """Grouped-query attention and SwiGLU."""

    def __init__(self, shape: ModelShape, parts: Mapping[str, np.ndarray], rank: int, dtype: torch.dtype) -> None:
        super().__init__()
        self._shape, self._dtype = shape, dtype
        self.matrices = nn.ModuleDict(
            {name: LowRank(torch.tensor(parts[name], dtype=dtype), rank) for name in MATRICES}
        )
        self.vectors = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(array), requires_grad=False)
                for name, array in parts.items()
                if name not in MATRICES
            }
        )

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.matrices["output"](self._mixed(self._norm(x, "norm"), rotary)).float()
        gate, up = self.matrices["gate_up"](self._norm(x, "ffn_norm")).chunk(2, dim=-1)
        return x + self.matrices["down"](functional.silu(gate) * up).float()

    def _mixed(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """[texts, tokens, heads * head size]"""
        shape = self._shape
        packed = self.matrices["qkv"](x) + self.vectors["bias"].to(x.dtype)
        heads = packed.unflatten(-1, (-1, shape.head_size)).transpose(1, 2)
        query, key, value = heads.split([shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
        query, key = rotated(query, rotary), rotated(key, rotary)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return mixed.transpose(1, 2).flatten(2)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        """In the precision of the products; what layers hand on is float32."""
        scaled = functional.rms_norm(x, x.shape[-1:], self.vectors[name], self._shape.norm_epsilon)
        return scaled.to(self._dtype)


class Student(nn.Module):
    """The decoder: token ids [texts, tokens] to the states [texts, tokens, hidden] that the head reads.

    Texts begin together. What stands behind the end of a shorter one has no part in what is said of it.
    """

    def __init__(self, shape: ModelShape, weights: Weights, rank: int, dtype: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.ModuleList(Layer(shape, layer(weights, index), rank, dtype) for index in range(shape.layers))
        self.norm = nn.Parameter(torch.tensor(whole(weights, "output_norm.weight")), requires_grad=False)
        self.embedding = nn.Parameter(torch.tensor(whole(weights, HEAD), dtype=dtype), requires_grad=False)
        self.rotation: Tensor | None  # [hidden, hidden], its own inverse, if the stream of the layers is turned
        self.register_buffer("rotation", None, persistent=False)
        for name, table in zip(("cos", "sin"), rotary_tables(shape), strict=True):
            self.register_buffer(name, torch.tensor(table), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        embedded = self.embedding[tokens]
        cos, sin = (table[: tokens.shape[1]].to(embedded.dtype) for table in (self.cos, self.sin))
        x = self.turned(embedded.float())
        for decoder_layer in self.layers:
            x = decoder_layer(x, (cos, sin))
        normed = functional.rms_norm(x, x.shape[-1:], eps=self.shape.norm_epsilon)
        return (self.turned(normed) * self.norm).to(embedded.dtype)

    def turned(self, x: Tensor) -> Tensor:
        """What enters the layers, or leaves them, in the other basis."""
        return x if self.rotation is None else x @ self.rotation

    def logits(self, states: Tensor, words: Tensor | None = None) -> Tensor:
        """[rows, words] in float32, of all words or of those listed."""
        head = self.embedding if words is None else self.embedding[words]
        return functional.linear(states, head).float()

    def learnt(self) -> list[nn.Parameter]:
        """The parameters that are not frozen."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def shortened(self, layers: Sequence[int]) -> "Student":
        """A student with these layers alone, which it shares with this one."""
        short = twin(self)
        short.layers = nn.ModuleList(self.layers[index] for index in layers)
        return short

    def take(self, adapter: Adapter) -> None:
        """Go on from what was learnt before, at the same rank."""
        with torch.no_grad():
            for name, factors in adapter.items():
                index, part = name.split(".")
                matrix = self.layers[int(index)].matrices[part]
                matrix.up.copy_(torch.tensor(factors.up))
                matrix.down.copy_(torch.tensor(factors.down))

    def adapter(self) -> dict[str, Factors]:
        """What was learnt, as `flash_ls.artifact.adapter` takes it."""
        return {
            f"{index}.{name}": Factors(matrix.up.detach().cpu().numpy(), matrix.down.detach().cpu().numpy())
            for index, decoder_layer in enumerate(self.layers)
            for name, matrix in decoder_layer.matrices.items()
        }


def rotated(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """x [texts, heads, tokens, head size] with its two halves turned by the angles of each position."""
    cos, sin = rotary
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def twin(module: M) -> M:
    """Another module with the same parts and buffers, which can be exchanged."""
    other = copy(module)
    other._modules, other._buffers = dict(module._modules), dict(module._buffers)
    return other
