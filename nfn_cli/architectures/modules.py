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
_COUNTER = "num_batches_tracked"
_PARAMETRIZED = re.compile(r"(^|\.)parametrizations\.weight\.original(?=\d$)")
_REMEDY = "nfn reads chains of Linear, Conv1d/2d/3d and norm layers"
_RECURRENT = re.compile(r"weight_(ih|hh)_l\d")


@dataclass(frozen=True)
class Outline:
    """What identifies a Linear or convolution: its name, its weight's shape, and whether it has a bias."""

    name: str
    shape: tuple[int, ...]
    has_bias: bool

    def describe(self) -> str:
        """Such as `fc1 400->120`."""
        return f"{self.name} {self.shape[1]}->{self.shape[0]}"


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

    @property
    def outline(self) -> Outline:
        """Without its numbers."""
        return Outline(self.name, tuple(self.weight.shape), self.bias is not None)


@dataclass(frozen=True)
class BatchNorm:
    """Eval-mode batch normalisation: statistics [n], affine parameters [n] or None."""

    name: str
    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None

    @property
    def size(self) -> int:
        """n."""
        return self.mean.shape[0]


@dataclass(frozen=True)
class Gains:
    """One number a neuron, and perhaps a bias: a LayerNorm, a GroupNorm or the slopes of a PReLU.

    Attributes:
        weight, bias: [n]; slopes may be one for all neurons, [1].
    """

    name: str
    weight: Tensor
    bias: Tensor | None

    @property
    def size(self) -> int:
        """n."""
        return self.weight.shape[0]


@dataclass(frozen=True)
class Beside:
    """A tensor of its own beside the layers, such as a standard deviation of actions or a mean of inputs."""

    name: str
    tensor: Tensor

    @property
    def module(self) -> str:
        """What holds it; empty for the network itself."""
        return self.name.rpartition(".")[0]


Norm = BatchNorm | Gains
Module = Weighted | Norm | Beside


def gather_modules(path: Path, tensors: Mapping[str, Tensor]) -> list[Module]:
    """The modules of a state dict, in the order in which they first appear.

    Weight normalisation, in either of PyTorch's two forms, is multiplied out. Counters are left out.

    Raises:
        ArchitectureError: a tensor that belongs to no Linear, convolution or norm, and is none of those that may stand
            beside them.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        module, _, part = _PARAMETRIZED.sub(r"\1weight_original", name).rpartition(".")
        # Counters are single integers; weights that are integers were quantized, and others may be masks or orders.
        if part != _COUNTER and (tensor.is_floating_point() or part in _NORM_PARTS or tensor.numel() > 1):
            parts.setdefault(module, {})[part] = tensor
    # A bias without its weight is reported last: what replaced the weight says more.
    modules = {
        name: _modules(path, name, parts[name]) for name in sorted(parts, key=lambda n: set(parts[n]) == {"bias"})
    }
    return [module for name in parts for module in modules[name]]


def _modules(path: Path, name: str, parts: dict[str, Tensor]) -> list[Module]:
    """The layer or norm with its tensors, and what else stands in the same place."""
    for part, tensor in parts.items():
        if part in _NORM_PARTS and not tensor.is_floating_point():
            raise _refusal(path, name, part, tensor)
    stored = parts
    parts = _without_weight_norm(path, name, parts)
    if "running_mean" in parts and "running_var" in parts and set(parts) <= _NORM_PARTS:
        return [_norm(path, name, parts)]
    own = {part: tensor for part, tensor in parts.items() if part in ("weight", "bias")}
    others: list[Module] = [_beside(path, name, part, tensor) for part, tensor in parts.items() if part not in own]
    if not own:
        return others
    weight, bias = own.get("weight"), own.get("bias")
    if (
        name
        and weight is not None
        and weight.ndim == 1
        and weight.numel()
        and (bias is None or bias.shape == weight.shape)
    ):
        return [Gains(name, weight, bias), *others]
    if weight is None or weight.ndim not in (2, 3, 4, 5) or 0 in weight.shape:
        part = "bias" if weight is None else "weight"
        raise _refusal(path, name, part, own[part])
    if bias is not None and bias.shape != weight.shape[:1]:
        if weight.ndim > 2 and bias.shape == weight.shape[1:2]:
            sizes = f"weight {_shape(weight)}, bias {_shape(bias)}"
            cause = f"{name} is a transposed convolution (ConvTranspose: {sizes}), which nfn does not read"
            raise ArchitectureError(path, cause, _REMEDY)
        raise _refusal(path, name, "bias", bias)
    merged = parts is not stored
    return [Weighted(name or "layer", weight, bias, f"{name}." if name else "", merged=merged), *others]


def _beside(path: Path, module: str, part: str, tensor: Tensor) -> Beside:
    """A tensor that may stand beside the layers: not one that holds weights by another name."""
    if "weight" in f"{module}.{part}" and tensor.squeeze().ndim > 1 and tensor.is_floating_point():
        raise _refusal(path, module, part, tensor)
    return Beside(f"{module}.{part}" if module else part, tensor)


def _norm(path: Path, name: str, parts: dict[str, Tensor]) -> BatchNorm:
    mean, variance = parts["running_mean"], parts["running_var"]
    for part, tensor in parts.items():
        if tensor.ndim != 1 or tensor.shape != mean.shape:
            raise _refusal(path, name, part, tensor)
    if bool((variance < 0).any()):
        raise ArchitectureError(path, f"tensor {name}.running_var has a negative variance", "save the network again")
    return BatchNorm(name, mean, variance, parts.get("weight"), parts.get("bias"))


def _refusal(path: Path, module: str, part: str, tensor: Tensor) -> ArchitectureError:
    name, shape = f"{module}.{part}" if module else part, _shape(tensor)
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        cause = f"tensor {name} ({shape} of {kind}) belongs to no layer of a chain: a quantised network?"
        return ArchitectureError(path, cause, "give the network before it was quantised")
    if _RECURRENT.match(part):
        cause = f"tensor {name} ({shape}) belongs to a recurrent layer, which nfn does not read"
        return ArchitectureError(path, cause, _REMEDY)
    return ArchitectureError(path, f"tensor {name} ({shape}) belongs to no layer of a chain", _REMEDY)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


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
