"""The tensors of two checkpoints on which no element acts, so that they have to be equal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.errors import DifferentError
from nfn_cli.symmetry.alignment.residuals import Residual


def beside_residuals(path: Path, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> tuple[Residual, ...]:
    """Compare tensors on which no element acts, such as a standard deviation of actions or one slope for all neurons.

    Tensors of other names are compared in their order.

    Args:
        path: of the second checkpoint.
        ours, theirs: by their names in the files.

    Returns:
        One residual for each tensor. Its deviation is relative to the tensor's largest entry.

    Raises:
        DifferentError: one has a tensor that the other has not.
    """
    mine = {name: ours[name] for name in theirs} if set(ours) == set(theirs) else ours
    shapes = [[tuple(tensor.shape) for tensor in held.values()] for held in (mine, theirs)]
    if shapes[0] != shapes[1]:
        held = [", ".join(own) or "nothing" for own in (theirs, ours)]
        cause = f"beside its layers it has {held[0]}, the other {held[1]}"
        raise DifferentError(path, cause, "compare it with a checkpoint of its own kind")
    pairs = zip(theirs.items(), mine.values(), strict=True)
    return tuple(_residual(name, own.double(), other.double()) for (name, other), own in pairs)


def _residual(name: str, ours: Tensor, theirs: Tensor) -> Residual:
    if torch.equal(ours, theirs):
        return Residual(name, 0.0, 0.0)
    difference, size = ours - theirs, torch.maximum(ours.abs(), theirs.abs()).max()
    distance = torch.linalg.vector_norm(difference) / torch.linalg.vector_norm(theirs)
    return Residual(name, distance.item(), (difference.abs().max() / size).item())
