"""Small modules of many architectures, traced, with random weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.architectures.tracing.export import export
from nfn_cli.architectures.tracing.tracer import trace

IMAGE = (torch.zeros(1, 3, 4, 4),)
TOKENS = (torch.zeros(1, 6, dtype=torch.long),)


class Residual(nn.Module):
    """Bottlenecks with BatchNorm, before the convolutions or behind them, and a stage that is narrowed."""

    def __init__(self, *, before: bool = False, groups: int = 1) -> None:
        super().__init__()
        self.before = before
        self.stem, self.stem_bn = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.blocks = nn.ModuleList()
        for _ in range(2):
            block = nn.Module()
            block.conv1, block.conv3 = nn.Conv2d(8, 12, 1, bias=False), nn.Conv2d(12, 8, 1, bias=False)
            block.conv2 = nn.Conv2d(12, 12, 3, padding=1, groups=groups, bias=False)
            block.bn1 = nn.BatchNorm2d(8 if before else 12)
            block.bn2, block.bn3 = nn.BatchNorm2d(12), nn.BatchNorm2d(12 if before else 8)
            self.blocks.append(block)
        self.down, self.down_bn = nn.Conv2d(8, 10, 1, stride=2, bias=False), nn.BatchNorm2d(8 if before else 10)
        self.fc = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.before:
            for block in self.blocks:
                y = block.conv1(torch.relu(block.bn1(x)))
                x = x + block.conv3(torch.relu(block.bn3(block.conv2(torch.relu(block.bn2(y))))))
            x = self.down(torch.relu(self.down_bn(x)))
        else:
            x = torch.relu(self.stem_bn(x))
            for block in self.blocks:
                y = torch.relu(block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x))))))
                x = torch.relu(x + block.bn3(block.conv3(y)))
            x = torch.relu(self.down_bn(self.down(x)))
        return self.fc(x.mean((2, 3)))


class Dense(nn.Module):
    """Every layer reads all layers before it, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(6 + 4 * place) for place in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(6 + 4 * place, 4, 3, padding=1) for place in range(2))
        self.fc = nn.Linear(14, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs, strict=False):
            x = torch.cat([x, conv(torch.relu(norm(x)))], 1)
        return self.fc(torch.relu(self.norms[2](x)).mean((2, 3)))


class Gated(nn.Module):
    """A depthwise convolution, and a gate on its channels (squeeze and excitation)."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.depthwise = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.bn, self.out_bn = nn.BatchNorm2d(8), nn.BatchNorm2d(6)
        self.squeeze, self.excite, self.out = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1), nn.Conv2d(8, 6, 1)
        self.fc = nn.Linear(6 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.bn(self.depthwise(torch.relu(self.expand(x)))))
        gate = self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return self.fc(torch.relu(self.out_bn(self.out(x * torch.sigmoid(gate)))).flatten(1))


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Llama(nn.Module):
    """RMSNorm, rotated queries and keys, grouped heads, gated MLP."""

    def __init__(self, *, tied: bool = False, width: int = 16, heads: int = 4, groups: int = 2) -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, width // heads
        inner = groups * self.size
        self.embed, self.norm, self.head = nn.Embedding(17, width), RMSNorm(width), nn.Linear(width, 17, bias=False)
        if tied:
            self.head.weight = self.embed.weight
        self.layers = nn.ModuleList()
        for _ in range(2):
            layer = nn.Module()
            layer.norm1, layer.norm2 = RMSNorm(width), RMSNorm(width)
            layer.q, layer.o = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
            layer.k, layer.v = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
            layer.gate, layer.up = nn.Linear(width, 20, bias=False), nn.Linear(width, 20, bias=False)
            layer.down = nn.Linear(20, width, bias=False)
            self.layers.append(layer)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        rates = 1 / 10_000 ** (torch.arange(0, self.size, 2) / self.size)
        angles = torch.outer(torch.arange(tokens.shape[1]), rates)
        cos, sin = (torch.cat([own, own], -1).to(x.dtype) for own in (angles.cos(), angles.sin()))

        def turned(y: Tensor) -> Tensor:
            half = self.size // 2
            return y * cos + torch.cat([-y[..., half:], y[..., :half]], -1) * sin

        for layer in self.layers:
            y = layer.norm1(x)
            q, k, v = (
                part.unflatten(-1, (-1, self.size)).transpose(1, 2) for part in (layer.q(y), layer.k(y), layer.v(y))
            )
            many = self.heads // self.groups
            k, v = (own.repeat_interleave(many, 1) for own in (turned(k), v))
            mixed = F.scaled_dot_product_attention(turned(q), k, v, is_causal=True)
            x = x + layer.o(mixed.transpose(1, 2).flatten(2))
            y = layer.norm2(x)
            x = x + layer.down(F.silu(layer.gate(y)) * layer.up(y))
        return self.head(self.norm(x))


class GPT(nn.Module):
    """LayerNorm, fused queries, keys and values, GELU, tied embeddings."""

    def __init__(self, width: int = 16, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.tokens, self.positions, self.norm = nn.Embedding(17, width), nn.Embedding(12, width), nn.LayerNorm(width)
        self.layers = nn.ModuleList()
        for _ in range(2):
            layer = nn.Module()
            layer.norm1, layer.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            layer.qkv, layer.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            layer.fc, layer.back = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
            self.layers.append(layer)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for layer in self.layers:
            q, k, v = (
                own.unflatten(-1, (self.heads, -1)).transpose(1, 2) for own in layer.qkv(layer.norm1(x)).chunk(3, -1)
            )
            x = x + layer.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
            x = x + layer.back(F.gelu(layer.fc(layer.norm2(x))))
        return F.linear(self.norm(x), self.tokens.weight)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 6, num_layers=2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 2))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...]]] = {
    "mlp": (mlp, (torch.zeros(3, 4),)),
    "cnn": (cnn, IMAGE),
    "residual": (Residual, IMAGE),
    "preactivation": (lambda: Residual(before=True), IMAGE),
    "grouped": (lambda: Residual(groups=3), IMAGE),
    "dense": (Dense, IMAGE),
    "gated": (Gated, IMAGE),
    "gpt": (GPT, TOKENS),
    "llama": (Llama, TOKENS),
    "tied llama": (lambda: Llama(tied=True), TOKENS),
    "lstm": (Recurrent, (torch.zeros(2, 5, 4),)),
}


def traced(name: str) -> LabelledArchitecture:
    """The labels of one of `NETWORKS`."""
    make, inputs = NETWORKS[name]
    return trace(export(make().eval(), inputs))


def random_state(architecture: LabelledArchitecture, seed: int = 0) -> dict[str, Tensor]:
    """Random weights, gains and running statistics, float64; tied names share them."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for tensor in architecture.tensors:
        if not tensor.uses:
            continue
        values = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        if tensor.name.endswith("running_var"):
            values = values.abs() + 0.5
        elif values.ndim <= 1:
            values = values * 0.3 + 1
        else:
            values = values / values[0].numel() ** 0.5
        state.update({name: values for name in tensor.names})
    return state
