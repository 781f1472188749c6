"""Small modules of many kinds, as they are traced: of each, how it is built and inputs for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Small:
    """A kind of module, and inputs."""

    build: Callable[[], nn.Module]
    inputs: Tensor


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 with random numbers: matrices of norm 1 a row, about 1 elsewhere, variances positive."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            if name.endswith("running_var"):
                tensor.copy_(drawn.abs() + 0.5)
            elif tensor.ndim <= 1:
                tensor.copy_(1 + 0.3 * drawn)
            else:
                tensor.copy_(drawn / math.sqrt(tensor[0].numel()))
    return module


def mlp(activation: Callable[[Tensor], Tensor]) -> nn.Module:
    """Three linear layers."""
    return Steps(nn.Linear(4, 8), activation, nn.Linear(8, 7), activation, nn.Linear(7, 2))


class Steps(nn.Module):
    """Modules and functions, one after the other."""

    def __init__(self, *steps: Any) -> None:
        super().__init__()
        self.steps = steps
        for place, step in enumerate(steps):
            if isinstance(step, nn.Module):
                self.add_module(str(place), step)

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


def conv(reads: int, lists: int, size: int = 3, **options: Any) -> nn.Conv2d:
    """A convolution that keeps lengths."""
    return nn.Conv2d(reads, lists, size, padding=size // 2, **options)


class Residual(nn.Module):
    """Residual blocks: convolutions and BatchNorms; the activation behind the sum, or before the convolutions."""

    def __init__(self, before: bool, blocks: int = 2, width: int = 6) -> None:
        super().__init__()
        self.before = before
        self.stem, self.norm = conv(3, width, bias=False), nn.BatchNorm2d(width)
        self.convs = nn.ModuleList(conv(width, width, bias=False) for _ in range(2 * blocks))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2 * blocks))
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if not self.before:
            x = F.relu(self.norm(x))
        for place in range(0, len(self.convs), 2):
            h = x
            for norm, layer in zip(self.norms[place : place + 2], self.convs[place : place + 2], strict=True):
                h = layer(F.relu(norm(h))) if self.before else norm(layer(F.relu(h)))
            x = x + h if self.before else F.relu(x + h)
        if self.before:
            x = F.relu(self.norm(x))
        return self.head(x.mean((2, 3)))


class Dense(nn.Module):
    """Every layer reads all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 4, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 3 * place) for place in range(3))
        self.convs = nn.ModuleList(conv(4 + 3 * place, 3, bias=False) for place in range(2))
        self.head = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, layer in zip(self.norms, self.convs, strict=False):
            x = torch.cat([x, layer(F.relu(norm(x)))], 1)
        return self.head(F.relu(self.norms[2](x)).mean((2, 3)))


class Gated(nn.Module):
    """A depthwise convolution with a gate from the channels' means, between pointwise ones; then one in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.norm = conv(3, 8, 1), nn.BatchNorm2d(8)
        self.depth, self.norm2 = conv(8, 8, groups=8), nn.BatchNorm2d(8)
        self.squeeze, self.excite = conv(8, 3, 1), conv(3, 8, 1)
        self.project, self.norm3 = conv(8, 6, 1), nn.BatchNorm2d(6)
        self.grouped, self.head = conv(6, 6, groups=2), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm2(self.depth(F.silu(self.norm(self.expand(x))))))
        x = x * torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.head(F.relu(self.grouped(self.norm3(self.project(x)))).mean((2, 3)))


class ConvNext(nn.Module):
    """Depthwise convolutions, LayerNorm over channels, and a factor for each channel."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.stem, self.depth = conv(3, width), conv(width, width, 5, groups=width)
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 9), nn.Linear(9, width)
        self.gamma = nn.Parameter(torch.ones(width))
        self.last, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        h = self.down(F.gelu(self.up(self.norm(self.depth(x).permute(0, 2, 3, 1)))))
        x = x + (self.gamma * h).permute(0, 3, 1, 2)
        return self.head(self.last(x.mean((2, 3))))


@dataclass(frozen=True)
class Plan:
    """A transformer's choices."""

    norm: str = "layer"  # or rms
    post: bool = False  # norms behind the sums
    fused: bool = False
    groups: int = 2  # key-value heads, of 4 query heads
    rotary: bool = False
    qk_norm: bool = False
    table: bool = False  # a bias for every distance and head, shared by all layers
    gate: bool = False
    bias: bool = True
    tied: bool = False
    causal: bool = True


class Rms(nn.Module):
    """Root mean square norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Attention(nn.Module):
    """Attention with four query heads of four numbers."""

    def __init__(self, plan: Plan, width: int) -> None:
        super().__init__()
        self.plan, self.size = plan, 4
        rows = self.size * (4 + 2 * plan.groups)
        if plan.fused:
            self.qkv = nn.Linear(width, rows, bias=plan.bias)
        else:
            self.q = nn.Linear(width, 4 * self.size, bias=plan.bias)
            self.k = nn.Linear(width, plan.groups * self.size, bias=plan.bias)
            self.v = nn.Linear(width, plan.groups * self.size, bias=plan.bias)
        if plan.qk_norm:
            self.q_norm, self.k_norm = Rms(self.size), Rms(self.size)
        self.out = nn.Linear(4 * self.size, width, bias=plan.bias)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        one, many = self.plan.groups * self.size, 4 * self.size
        parts = self.qkv(x).split((many, one, one), -1) if self.plan.fused else (self.q(x), self.k(x), self.v(x))
        q, k, v = (part.unflatten(-1, (-1, self.size)).transpose(1, 2) for part in parts)
        if self.plan.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.plan.rotary:
            q, k = self._turned(q), self._turned(k)
        k, v = (part.repeat_interleave(4 // self.plan.groups, 1) for part in (k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.size)
        if bias is not None:
            scores = scores + bias
        if self.plan.causal:
            length = x.shape[1]
            scores = scores + torch.full((length, length), float("-inf"), dtype=x.dtype).triu(1)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))

    def _turned(self, x: Tensor) -> Tensor:
        angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * torch.tensor([1.0, 0.1], dtype=x.dtype)
        cosine, sine = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
        one, other = x.chunk(2, -1)
        return x * cosine + torch.cat([-other, one], -1) * sine


class Block(nn.Module):
    """Attention and two or three linear layers, each beside a sum."""

    def __init__(self, plan: Plan, width: int) -> None:
        super().__init__()
        self.plan = plan
        norm = Rms if plan.norm == "rms" else nn.LayerNorm
        self.attention = Attention(plan, width)
        if plan.gate:
            self.gate = nn.Linear(width, 10, bias=plan.bias)
        self.up, self.down = nn.Linear(width, 10, bias=plan.bias), nn.Linear(10, width, bias=plan.bias)
        self.norm1, self.norm2 = norm(width), norm(width)

    def _mixed(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x) if self.plan.gate else F.gelu(self.up(x)))

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        if self.plan.post:
            x = self.norm1(x + self.attention(x, bias))
            return self.norm2(x + self._mixed(x))
        x = x + self.attention(self.norm1(x), bias)
        return x + self._mixed(self.norm2(x))


class Transformer(nn.Module):
    """A language model of two blocks."""

    def __init__(self, plan: Plan, width: int = 8) -> None:
        super().__init__()
        self.plan = plan
        self.embed = nn.Embedding(11, width)
        if not (plan.rotary or plan.table):
            self.places = nn.Embedding(9, width)
        if plan.table:
            self.table = nn.Embedding(9, 4)
        self.blocks = nn.ModuleList(Block(plan, width) for _ in range(2))
        self.norm = (Rms if plan.norm == "rms" else nn.LayerNorm)(width)
        self.head = nn.Linear(width, 11, bias=False)
        if plan.tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x, bias = self.embed(tokens), None
        places = torch.arange(tokens.shape[1])
        if self.plan.table:
            bias = self.table(places[:, None] - places + 4).permute(2, 0, 1)
        elif not self.plan.rotary:
            x = x + self.places(places)
        for block in self.blocks:
            x = block(x, bias)
        return self.head(self.norm(x))


class Recurrent(nn.Module):
    """Two recurrent layers and a linear one."""

    def __init__(self, kind: type[nn.Module], **options: Any) -> None:
        super().__init__()
        self.recurrent = kind(3, 5, num_layers=2, batch_first=True, **options)
        self.head = nn.Linear(10 if options.get("bidirectional") else 5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0])


def _draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


_FLAT, _IMAGE, _SERIES = _draw(5, 4), _draw(2, 3, 8, 8), _draw(2, 4, 3)
_TOKENS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


def _transformer(**options: Any) -> Small:
    return Small(lambda: Transformer(Plan(**options)), _TOKENS)


def _same(x: Tensor) -> Tensor:
    return x


def _sine(x: Tensor) -> Tensor:
    return torch.sin(3 * x)


SMALL: dict[str, Small] = {
    "MLP, ReLU": Small(lambda: mlp(F.relu), _FLAT),
    "MLP, tanh": Small(lambda: mlp(torch.tanh), _FLAT),
    "MLP, sine": Small(lambda: mlp(_sine), _FLAT),
    "MLP, GELU": Small(lambda: mlp(F.gelu), _FLAT),
    "MLP, none": Small(lambda: mlp(_same), _FLAT),
    "CNN, BatchNorm": Small(
        lambda: Steps(
            conv(3, 6),
            nn.BatchNorm2d(6),
            F.relu,
            conv(6, 5, bias=False),
            nn.BatchNorm2d(5),
            F.relu,
            nn.Flatten(),
            nn.Linear(320, 3),
        ),
        _IMAGE,
    ),
    "residual": Small(lambda: Residual(before=False), _IMAGE),
    "residual, activation first": Small(lambda: Residual(before=True), _IMAGE),
    "dense": Small(Dense, _IMAGE),
    "gates, groups": Small(Gated, _IMAGE),
    "ConvNeXt": Small(ConvNext, _IMAGE),
    "GPT-2": _transformer(fused=True, groups=4, tied=True),
    "Llama": _transformer(norm="rms", rotary=True, gate=True, bias=False),
    "BERT": _transformer(post=True, groups=4, causal=False),
    "QK-norm": _transformer(norm="rms", rotary=True, gate=True, bias=False, qk_norm=True),
    "T5": _transformer(norm="rms", table=True, groups=4, bias=False),
    "LSTM": Small(lambda: Recurrent(nn.LSTM), _SERIES),
    "LSTM, both ways": Small(lambda: Recurrent(nn.LSTM, bidirectional=True), _SERIES),
    "GRU": Small(lambda: Recurrent(nn.GRU), _SERIES),
}
