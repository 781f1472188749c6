"""Tensors of several names that are one in memory: acting on one acts on the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures.modules import Weighted
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError

_REMEDY = "nfn reads no network that uses one tensor in several places"


def refuse_ties(checkpoint: Checkpoint, moved: Collection[str]) -> None:
    """Check that no tensor that may be transformed shares memory with another, or is tied to one by the file.

    Raises:
        ArchitectureError: naming the tensors.
    """
    for names in checkpoint.ties:
        tensors = [checkpoint.tensors[name] for name in names if name in checkpoint.tensors]
        if any(name in moved for name in names) and any(tensor.numel() > 1 for tensor in tensors):
            cause = f"{' and '.join(names[:3])} are tied: the same tensor under several names"
            raise ArchitectureError(checkpoint.path, cause, _REMEDY)


def refuse_copies(path: Path, layers: Sequence[Weighted]) -> None:
    """Check that no two layers of a chain have the same weights, which tied layers have once they are copied.

    Raises:
        ArchitectureError: naming the layers.
    """
    sizes = Counter(layer.weight.numel() for layer in layers)
    seen: dict[tuple[int, float, float], list[Weighted]] = {}
    for layer in layers:
        if sizes[layer.weight.numel()] < 2:
            continue
        flat = layer.weight.flatten()
        # Transposed, as an autoencoder's decoder may have its encoder's weights, the ends of a matrix stay.
        key = (flat.numel(), flat[0].item(), flat[-1].item())
        for other in seen.setdefault(key, []):
            if _are_copies(layer.weight, other.weight):
                cause = f"{other.name} and {layer.name} have the same weights: they seem to be tied"
                raise ArchitectureError(path, cause, _REMEDY)
        seen[key].append(layer)


def _are_copies(one: Tensor, other: Tensor) -> bool:
    """Whether two weights are the same, or each other's transpose, and not just all one number."""
    alike = one.shape == other.shape and torch.equal(one, other)
    turned = one.transpose(0, 1).shape == other.shape and torch.equal(one.transpose(0, 1), other)
    return (alike or turned) and bool((one != one.flatten()[0]).any())
