"""Small networks for tests of kinship, and changes to them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.symmetry.given import opened
from nfn_cli.symmetry.sources import Draw, draw_element, read_any, transformed_by

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

Tensors = Mapping[str, Tensor]
TRACED = ("residual", "gated")


class Residual(nn.Module):
    """Two convolutions around which a skip leads, between a stem and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 12, 3, padding=1)
        self.one = nn.Conv2d(12, 16, 3, padding=1)
        self.two = nn.Conv2d(16, 12, 3, padding=1)
        self.head = nn.Linear(12, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        stream = torch.relu(self.stem(pictures))
        stream = torch.relu(stream + self.two(torch.relu(self.one(stream))))
        return self.head(stream.mean((2, 3)))


class Gated(nn.Module):
    """A gated perceptron on a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(9, 12)
        self.gate, self.up, self.down = nn.Linear(12, 24), nn.Linear(12, 24), nn.Linear(24, 12)
        self.outputs = nn.Linear(12, 7)

    def forward(self, values: Tensor) -> Tensor:
        stream = self.inputs(values)
        stream = stream + self.down(nn.functional.silu(self.gate(stream)) * self.up(stream))
        return self.outputs(stream)


def module(kind: str, seed: int) -> nn.Module:
    """A network with random weights: `mlp`, `cnn`, `residual` or `gated`."""
    torch.manual_seed(seed)
    if kind == "mlp":
        return nn.Sequential(nn.Linear(20, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 6))
    if kind == "cnn":
        layers = [
            nn.Conv2d(3, 12, 3),
            nn.ReLU(),
            nn.Conv2d(12, 16, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ]
        return nn.Sequential(*layers, nn.Linear(16, 5))
    return Residual() if kind == "residual" else Gated()


def inputs(kind: str) -> Tensor:
    """What it reads."""
    return torch.zeros(2, {"mlp": 20, "gated": 9}[kind]) if kind in ("mlp", "gated") else torch.zeros(2, 2, 8, 8)


@cache
def tracer(kind: str) -> NetworkTracer:
    """Traces such a module, once."""
    return opened(module(kind, 0), Stated(), inputs(kind)).tracer() if kind in TRACED else NetworkTracer()


def read(kind: str, tensors: Tensors) -> AnySource:
    """Those weights as such a network."""
    given = Checkpoint(Path(kind), "memory", dict(tensors), {}, ordered=True)
    return read_any(given, Stated() if kind in TRACED else Stated("relu", "none"), tracer(kind))


def weights(kind: str, seed: int) -> dict[str, Tensor]:
    """Random weights of such a network."""
    return {name: tensor.detach() for name, tensor in module(kind, seed).state_dict().items()}


def noisy(tensors: Tensors, share: float, seed: int = 0) -> dict[str, Tensor]:
    """With noise of a share of each tensor's standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: own + share * own.std() * torch.randn(own.shape, generator=generator) for name, own in tensors.items()
    }


def disguised(kind: str, tensors: Tensors, seed: int = 1) -> dict[str, Tensor]:
    """The same function after a random element has acted."""
    source = read(kind, tensors)
    moved = transformed_by(source, draw_element(source, Draw(), seed))
    return dict(tensors) | {name: moved[name] for name in moved}
