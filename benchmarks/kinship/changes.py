"""Changes of weights that need no training: noise, pruning, lower precision, a replaced layer, a mean."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from files import Tensors
from torch import Tensor

_QUANTA = 127  # of int8


def noisy(tensors: Tensors, share: float, seed: int) -> dict[str, Tensor]:
    """Gaussian noise of a share of each tensor's standard deviation; variances stay positive."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, old in tensors.items():
        found[name] = old
        if old.is_floating_point() and old.numel() > 1:
            new = old + share * old.std() * torch.randn(old.shape, generator=generator)
            found[name] = new.clamp_min(old.min() / 2) if name.endswith("running_var") else new
    return found


def pruned(tensors: Tensors, share: float = 0.5) -> dict[str, Tensor]:
    """The smallest entries of every matrix and kernel set to zero."""
    found = {}
    for name, old in tensors.items():
        found[name] = old
        if old.dim() > 1:
            least = old.abs().flatten().kthvalue(max(1, int(share * old.numel()))).values
            found[name] = old.where(old.abs() > least, 0)
    return found


def stored_as(tensors: Tensors, dtype: torch.dtype) -> dict[str, Tensor]:
    """Floating-point tensors in another dtype."""
    return {name: old.to(dtype) if old.is_floating_point() else old for name, old in tensors.items()}


def int8(tensors: Tensors) -> dict[str, Tensor]:
    """Matrices and kernels rounded to int8 and back, each row by its largest magnitude."""
    found = {}
    for name, old in tensors.items():
        found[name] = old
        if old.dim() > 1:
            rows = old.flatten(1)
            quantum = rows.abs().amax(1, keepdim=True).clamp_min(1e-30) / _QUANTA
            found[name] = ((rows / quantum).round() * quantum).view(old.shape)
    return found


def mean(one: Tensors, other: Tensors) -> dict[str, Tensor]:
    """The point between two networks."""
    return {name: (old + other[name]) / 2 if old.is_floating_point() else old for name, old in one.items()}


def layers(names: Iterable[str]) -> list[str]:
    """What can be replaced, as prefixes: a block's MLP of a language model, a block of a ResNet, a layer of a chain."""
    found: list[str] = []
    for name in names:
        place = name.find(".mlp.")
        if place >= 0:
            layer = name[: place + len(".mlp.")]
        elif name.startswith("layer"):
            layer = ".".join(name.split(".")[:2]) + "."
        elif name.startswith(("conv", "fc")) and "conv1.bias" in names:
            layer = name.split(".")[0] + "."
        else:
            continue
        if layer not in found:
            found.append(layer)
    return found


def replaced(tensors: Tensors, layer: str, stranger: Tensors | None, seed: int) -> dict[str, Tensor]:
    """One layer from an independent network, or drawn anew with the same mean and deviation.

    Args:
        layer: a prefix of `layers`.
        stranger: None to draw.
    """
    generator = torch.Generator().manual_seed(seed)
    found = dict(tensors)
    for name, old in tensors.items():
        if name.startswith(layer) and old.is_floating_point():
            if stranger is not None:
                found[name] = stranger[name]
            else:
                drawn = old.mean() + old.std(correction=0) * torch.randn(old.shape, generator=generator)
                found[name] = drawn.abs().clamp_min(1e-3) if name.endswith("running_var") else drawn
    return found
