"""Find the layer that each BatchNorm stands behind, and fold it into that layer.

In evaluation a BatchNorm is affine, y = γ (x − μ) / √(v + ε) + β, so behind a layer it is part of the layer's weight
and bias. Whether an activation stands between the two cannot be told from tensors; the usual order, BatchNorm directly
behind its layer, is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures.modules import BatchNorm, Weighted
from nfn_cli.errors import ArchitectureError

_EPSILON = 1e-5  # PyTorch's default; a state dict does not hold it


def match_norms(
    path: Path, layers: Sequence[Weighted], norms: Sequence[BatchNorm], in_file: Sequence[str] | None
) -> dict[str, BatchNorm]:
    """The BatchNorm behind each layer, by the layer's name.

    Tried for each, with sizes that must agree: the layer before it in the file (where that order is the module's); the
    one before it in a numbered container (`features.1` behind `features.0`); the only one under the same parent; the
    one with the same number (`bn2`, `conv2`); the only one of its size.

    Raises:
        ArchitectureError: none fits, or two would stand behind one layer.
    """
    matched: dict[str, BatchNorm] = {}
    for norm in norms:
        fitting = [layer for layer in layers if layer.weight.shape[0] == norm.mean.shape[0]]
        layer = _before_in_file(norm, fitting, in_file) or _by_name(norm, fitting)
        if layer is None or layer.name in matched:
            cause = f"cannot tell behind which layer {norm.name} ({norm.mean.shape[0]} channels) stands"
            raise ArchitectureError(path, cause, "name it like its layer (conv2, bn2), directly behind the layer")
        matched[layer.name] = norm
    return matched


def fold(weight: Tensor, bias: Tensor, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight [out, ...] and bias [out], float64, of the layer and the BatchNorm behind it as one layer."""
    scale = (norm.variance.double() + _EPSILON).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = torch.zeros_like(scale) if norm.bias is None else norm.bias.double()
    folded = weight.double() * scale.view(-1, *[1] * (weight.ndim - 1))
    return folded, (bias.double() - norm.mean.double()) * scale + shift


def _before_in_file(norm: BatchNorm, fitting: Sequence[Weighted], in_file: Sequence[str] | None) -> Weighted | None:
    if in_file is None:
        return None
    position = in_file.index(norm.name)
    before = in_file[position - 1] if position else None
    return next((layer for layer in fitting if layer.name == before), None)


def _by_name(norm: BatchNorm, fitting: Sequence[Weighted]) -> Weighted | None:
    parent, _, own = norm.name.rpartition(".")
    siblings = [layer for layer in fitting if layer.name.rpartition(".")[0] == parent]
    if own.isdecimal():
        numbered: Mapping[int, Weighted] = {
            int(layer.name.rpartition(".")[2]): layer
            for layer in siblings
            if layer.name.rpartition(".")[2].isdecimal() and int(layer.name.rpartition(".")[2]) < int(own)
        }
        if numbered:
            return numbered[max(numbered)]
    alike = [layer for layer in siblings if _number(layer.name) == _number(norm.name) is not None]
    for candidates in (alike, siblings if parent else [], fitting):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _number(name: str) -> int | None:
    found = re.search(r"(\d+)$", name)
    return int(found.group(1)) if found else None
