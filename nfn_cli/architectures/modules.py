"""Gather the tensors of a state dict into the modules that own them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.errors import ArchitectureError

_NORM_PARTS = {"weight", "bias", "running_mean", "running_var"}
_REMEDY = "nfn reads chains of Linear, Conv1d/2d/3d and BatchNorm layers"


@dataclass(frozen=True)
class Weighted:
    """A Linear or convolution: weight [out, in, *kernel], bias [out] or None."""

    name: str
    weight: Tensor
    bias: Tensor | None

    def describe(self) -> str:
        """Such as `fc1 400->120`."""
        return f"{self.name} {self.weight.shape[1]}->{self.weight.shape[0]}"


@dataclass(frozen=True)
class BatchNorm:
    """Eval-mode batch normalisation: statistics [n], affine parameters [n] or None."""

    name: str
    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None


def gather_modules(path: Path, tensors: Mapping[str, Tensor]) -> list[Weighted | BatchNorm]:
    """The modules of a state dict, in the order in which they first appear.

    Weight normalisation, in either of PyTorch's two forms, is multiplied out.

    Raises:
        ArchitectureError: a tensor that belongs to no Linear, convolution or BatchNorm.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():  # counters and position numbers are integers
            module, _, part = name.replace(".parametrizations.weight.original", ".weight_original").rpartition(".")
            parts.setdefault(module, {})[part] = tensor
    return [_module(path, name, own) for name, own in parts.items()]


def _module(path: Path, name: str, parts: dict[str, Tensor]) -> Weighted | BatchNorm:
    parts = _without_weight_norm(parts)
    weight, bias = parts.get("weight"), parts.get("bias")
    if "running_mean" in parts and "running_var" in parts and set(parts) <= _NORM_PARTS:
        return BatchNorm(name, parts["running_mean"], parts["running_var"], weight, bias)
    for part, tensor in parts.items():
        if part not in ("weight", "bias"):
            raise _refusal(path, f"{name}.{part}".lstrip("."), tensor)
    if weight is None or weight.ndim not in (2, 3, 4, 5):
        part = "bias" if weight is None else "weight"
        raise _refusal(path, f"{name}.{part}".lstrip("."), parts[part])
    if bias is not None and bias.shape != weight.shape[:1]:
        raise _refusal(path, f"{name}.bias".lstrip("."), bias)
    if 0 in weight.shape:
        raise _refusal(path, f"{name}.weight".lstrip("."), weight)
    return Weighted(name or "layer", weight, bias)


def _refusal(path: Path, tensor_name: str, tensor: Tensor) -> ArchitectureError:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    return ArchitectureError(path, f"tensor {tensor_name} ({shape}) belongs to no layer of a chain", _REMEDY)


def _without_weight_norm(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """g · v / ‖v‖, the norm over all axes but the first (Salimans and Kingma 2016)."""
    for size, direction in (("weight_g", "weight_v"), ("weight_original0", "weight_original1")):
        if size in parts and direction in parts:
            v = parts[direction].double()
            norm = torch.linalg.vector_norm(v.flatten(1), dim=1).view(-1, *[1] * (v.ndim - 1))
            weight = (parts[size].double() * v / norm).to(parts[direction].dtype)
            return {k: t for k, t in parts.items() if k not in (size, direction)} | {"weight": weight}
    return parts
