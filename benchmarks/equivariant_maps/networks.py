"""Small networks of many kinds, chosen and random, as modules with one input each."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Made = tuple[nn.Module, Tensor]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh, "gelu": F.gelu}


class Chain(nn.Module):
    """Linear layers with one activation between them."""

    def __init__(self, widths: list[int], activation: str, *, bias: bool = True) -> None:
        super().__init__()
        self.activation = _ACTIVATIONS[activation]
        self.layers = nn.ModuleList(
            nn.Linear(ins, outs, bias) for ins, outs in zip(widths, widths[1:], strict=False)
        )

    def forward(self, values: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            values = self.activation(layer(values))
        return self.layers[-1](values)  # type: ignore[no-any-return]


class Repeated(nn.Module):
    """One layer that is used several times in a row."""

    def __init__(self, width: int, activation: str, times: int) -> None:
        super().__init__()
        self.activation, self.times = _ACTIVATIONS[activation], times
        self.first, self.again, self.last = nn.Linear(2, width), nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, values: Tensor) -> Tensor:
        values = self.activation(self.first(values))
        for _ in range(self.times):
            values = self.activation(self.again(values))
        return self.last(values)  # type: ignore[no-any-return]


class Block(nn.Module):
    """A residual block of convolutions: activation behind the sum, or norms before the layers."""

    def __init__(self, stream: int, inner: int, norm: str, activation: str, *, before: bool) -> None:
        super().__init__()
        self.before, self.activation = before, _ACTIVATIONS[activation]
        bias = norm == "none"
        self.conv1, self.conv2 = nn.Conv2d(stream, inner, 1, bias=bias), nn.Conv2d(inner, stream, 1, bias=bias)
        self.norm1 = _norm(norm, stream if before else inner)
        self.norm2 = _norm(norm, inner if before else stream)

    def forward(self, values: Tensor) -> Tensor:
        if self.before:
            inside = self.conv1(self.activation(self.norm1(values)))
            return values + self.conv2(self.activation(self.norm2(inside)))  # type: ignore[no-any-return]
        inside = self.activation(self.norm1(self.conv1(values)))
        return self.activation(values + self.norm2(self.conv2(inside)))


class Residual(nn.Module):
    """A stem, residual blocks, and a linear layer on the average over space."""

    def __init__(
        self, stream: int, inners: list[int], norm: str = "batch", activation: str = "relu", *, before: bool = False
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, stream, 1, bias=norm == "none")
        self.norm = _norm(norm, stream)
        self.blocks = nn.Sequential(*(Block(stream, own, norm, activation, before=before) for own in inners))
        self.fc = nn.Linear(stream, 2)
        self.activation = _ACTIVATIONS[activation]

    def forward(self, values: Tensor) -> Tensor:
        values = self.blocks(self.activation(self.norm(self.stem(values))))
        return self.fc(values.mean((2, 3)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Attention with `groups` key-value heads for `heads` query heads, and a residual stream around it."""

    def __init__(self, width: int, heads: int, groups: int, size: int) -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, size
        self.q, self.k = nn.Linear(width, heads * size, bias=False), nn.Linear(width, groups * size, bias=False)
        self.v, self.o = nn.Linear(width, groups * size, bias=False), nn.Linear(heads * size, width, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        batch, tokens, _ = values.shape
        q, k, v = (
            layer(values).view(batch, tokens, count, self.size).transpose(1, 2)
            for layer, count in ((self.q, self.heads), (self.k, self.groups), (self.v, self.groups))
        )
        k, v = (own.repeat_interleave(self.heads // self.groups, 1) for own in (k, v))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, -1)
        return values + self.o(mixed)  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Tokens, one layer of grouped attention and of a gated MLP with RMS norms, and an output that may be tied."""

    def __init__(self, width: int, heads: int, groups: int, size: int, hidden: int, *, tied: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3, width)
        self.norm1, self.norm2, self.norm3 = (nn.RMSNorm(width) for _ in range(3))
        self.attention = Attention(width, heads, groups, size)
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.head = nn.Linear(width, 3, bias=False)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        values = self.embedding(tokens)
        values = values + self.attention(self.norm1(values))
        inner = self.norm2(values)
        values = values + self.down(F.silu(self.gate(inner)) * self.up(inner))
        return self.head(self.norm3(values))  # type: ignore[no-any-return]


VECTOR, IMAGE, TOKENS = torch.zeros(2, 2), torch.zeros(2, 1, 3, 3), torch.zeros(2, 3, dtype=torch.int64)

CHOSEN: dict[str, Callable[[], Made]] = {
    "chain, relu": lambda: (Chain([2, 3, 4, 2], "relu"), VECTOR),
    "chain, tanh": lambda: (Chain([2, 3, 4, 2], "tanh"), VECTOR),
    "chain, gelu": lambda: (Chain([2, 4, 3, 2], "gelu"), VECTOR),
    "convolutions, flatten": lambda: (
        nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3), nn.ReLU(), nn.Linear(3, 2)),
        IMAGE,
    ),
    "one layer used twice, tanh": lambda: (Repeated(4, "tanh", 2), VECTOR),
    "one layer used twice, relu": lambda: (Repeated(4, "relu", 2), VECTOR),
    "residual, batch norm": lambda: (Residual(4, [3, 3]), IMAGE),
    "residual, norm first": lambda: (Residual(4, [3], before=True), IMAGE),
    "residual, no norm": lambda: (Residual(4, [3], "none"), IMAGE),
    "residual, no norm, gelu": lambda: (Residual(4, [3], "none", "gelu"), IMAGE),
    "attention, 4 heads": lambda: (Attention(4, 4, 4, 1), torch.zeros(2, 3, 4)),
    "attention, 4 heads on 2": lambda: (Attention(3, 4, 2, 2), torch.zeros(2, 3, 3)),
    "transformer, 4 heads on 2": lambda: (Transformer(4, 4, 2, 2, 3), TOKENS),
    "transformer, tied": lambda: (Transformer(4, 2, 1, 2, 3, tied=True), TOKENS),
}


def drawn(seed: int) -> Made:
    """A random network of one of the kinds above, with random widths and depth."""
    rng = random.Random(seed)

    def wide() -> int:
        return rng.randint(2, 5)

    kind = rng.choice(("chain", "repeated", "residual", "attention", "transformer"))
    activation = rng.choice(list(_ACTIVATIONS))
    if kind == "chain":
        return Chain([2, *(wide() for _ in range(rng.randint(1, 3))), 2], activation, bias=rng.random() < 0.7), VECTOR
    if kind == "repeated":
        return Repeated(wide(), activation, rng.randint(1, 3)), VECTOR
    if kind == "residual":
        inners = [wide() for _ in range(rng.randint(1, 2))]
        before = rng.random() < 0.5
        return Residual(wide(), inners, rng.choice(("batch", "none", "layer")), activation, before=before), IMAGE
    groups = rng.choice((1, 2))
    heads, size = groups * rng.choice((1, 2)), rng.choice((1, 2))
    if kind == "attention":
        width = wide()
        return Attention(width, heads, groups, size), torch.zeros(2, 3, width)
    return Transformer(wide(), heads, groups, size, wide(), tied=rng.random() < 0.5), TOKENS


def _norm(kind: str, size: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(size)
    return nn.GroupNorm(1, size) if kind == "layer" else nn.Identity()
