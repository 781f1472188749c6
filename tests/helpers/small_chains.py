"""Small chains: made, trained for a few steps, pruned, disguised."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Stated
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.symmetry import Source, read_source
from nfn_cli.symmetry.sources import Draw, draw_element, transformed_by


def mlp(*widths: int, seed: int = 0, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(seed)
    sizes = (6, *widths, 4)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), act())]
    return nn.Sequential(*layers[:-1])


def opened(tensors: dict[str, Tensor], activation: str = "relu") -> Source:
    named = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    return read_source(
        Checkpoint(Path("memory"), "memory", named, {}, ordered=True), Stated(activation, "none", chain=True)
    )


def trained(module: nn.Module, steps: int, shape: tuple[int, ...] = (6,), rate: float = 1e-3) -> nn.Module:
    generator = torch.Generator().manual_seed(steps)
    optimizer = torch.optim.Adam(module.parameters(), rate)
    x = torch.randn(64, *shape, generator=generator)
    y = x.flatten(1)[:, :4].argmax(1)
    module.train()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    return module.eval()


def pruned(state: dict[str, Tensor], kept: list[Tensor], layers: list[str], repeat: int = 1) -> dict[str, Tensor]:
    """Only some neurons of each hidden layer, in the order that is given."""
    found = dict(state)
    for place, own in enumerate(kept):
        for name in [one for one in state if one.rpartition(".")[0] == layers[place] and state[one].ndim]:
            found[name] = found[name][own]
        reader, last = f"{layers[place + 1]}.weight", place == len(kept) - 1
        blocks = own[:, None] * repeat + torch.arange(repeat) if last else own[:, None]
        found[reader] = found[reader][:, blocks.flatten()]
    return found


def disguised(source: Source, seed: int = 3) -> Source:
    moved = dict(source.checkpoint.tensors) | dict(transformed_by(source, draw_element(source, Draw(), seed)))
    return opened(moved, source.network.weights.architecture.activation)
