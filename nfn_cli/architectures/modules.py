"""Gather the tensors of a state dict into the modules that own them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.errors import ArchitectureError

_NORM_PARTS = {"weight", "bias", "running_mean", "running_var"}
_PARAMETRIZED = re.compile(r"(^|\.)parametrizations\.weight\.original(?=\d$)")
_REMEDY = "nfn reads chains of Linear, Conv1d/2d/3d and BatchNorm layers"


@dataclass(frozen=True)
class Weighted:
    """A Linear or convolution: weight [out, in, *kernel], bias [out] or None.

    Attributes:
        prefix: what stands before `weight` and `bias` in the file; empty for a bare layer.
        merged: the weight was multiplied out of a weight normalisation, so the file has no tensor of its own for it.
    """

    name: str
    weight: Tensor
    bias: Tensor | None
    prefix: str = ""
    merged: bool = False

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
        module, _, part = _PARAMETRIZED.sub(r"\1weight_original", name).rpartition(".")
        # Counters and position numbers are integers; weights that are were quantized.
        if tensor.is_floating_point() or part in _NORM_PARTS:
            parts.setdefault(module, {})[part] = tensor
    # A bias by itself is told last: what took its weight's place tells more.
    modules = {
        name: _module(path, name, parts[name]) for name in sorted(parts, key=lambda n: set(parts[n]) == {"bias"})
    }
    return [modules[name] for name in parts]


def _module(path: Path, name: str, parts: dict[str, Tensor]) -> Weighted | BatchNorm:
    for part, tensor in parts.items():
        if not tensor.is_floating_point():
            raise _refusal(path, name, part, tensor)
    stored = parts
    parts = _without_weight_norm(path, name, parts)
    weight, bias = parts.get("weight"), parts.get("bias")
    if "running_mean" in parts and "running_var" in parts and set(parts) <= _NORM_PARTS:
        return _norm(path, name, parts)
    for part, tensor in parts.items():
        if part not in ("weight", "bias"):
            raise _refusal(path, name, part, tensor)
    if weight is None or weight.ndim not in (2, 3, 4, 5) or 0 in weight.shape:
        part = "bias" if weight is None else "weight"
        raise _refusal(path, name, part, parts[part])
    if bias is not None and bias.shape != weight.shape[:1]:
        raise _refusal(path, name, "bias", bias)
    return Weighted(name or "layer", weight, bias, f"{name}." if name else "", merged=parts is not stored)


def _norm(path: Path, name: str, parts: dict[str, Tensor]) -> BatchNorm:
    mean, variance = parts["running_mean"], parts["running_var"]
    for part, tensor in parts.items():
        if tensor.ndim != 1 or tensor.shape != mean.shape:
            raise _refusal(path, name, part, tensor)
    if bool((variance < 0).any()):
        raise ArchitectureError(path, f"tensor {name}.running_var has a negative variance", "save the network again")
    return BatchNorm(name, mean, variance, parts.get("weight"), parts.get("bias"))


def _refusal(path: Path, module: str, part: str, tensor: Tensor) -> ArchitectureError:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    if not tensor.is_floating_point():
        shape = f"{shape} of {str(tensor.dtype).removeprefix('torch.')}"
    name = f"{module}.{part}" if module else part
    return ArchitectureError(path, f"tensor {name} ({shape}) belongs to no layer of a chain", _REMEDY)


def _without_weight_norm(path: Path, name: str, parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """g · v / ‖v‖ (Salimans and Kingma 2016); the norm runs over the axes on which g has size one."""
    for size, direction in (("weight_g", "weight_v"), ("weight_original0", "weight_original1")):
        if size in parts and direction in parts:
            g, v = parts[size].double(), parts[direction].double()
            axes = [axis for axis in range(v.ndim) if g.ndim == 0 or g.shape[axis : axis + 1] == (1,)]
            kept = [1 if axis in axes else length for axis, length in enumerate(v.shape)]
            if not axes or (g.ndim > 0 and list(g.shape) != kept):
                raise _refusal(path, name, size, parts[size])
            weight = g * v / torch.linalg.vector_norm(v, dim=axes, keepdim=True)
            if not bool(torch.isfinite(weight).all()):
                raise ArchitectureError(path, f"{name} has a weight norm of zero", "save the network again")
            # Half precision would round what is folded further.
            weight = weight if parts[direction].dtype == torch.float64 else weight.float()
            return {k: t for k, t in parts.items() if k not in (size, direction)} | {"weight": weight}
    return parts
