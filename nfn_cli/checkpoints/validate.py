"""Refuse what cannot be a network's weights, before anything is computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.errors import CheckpointError

# How many entries are looked at together; a huge tensor would otherwise need as much memory again for its mask.
_CHUNK = 1 << 24


def validate_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that there is a weight matrix and that every weight is a finite real number.

    Raises:
        CheckpointError: naming the tensor, and for NaN and Inf how many there are.
    """
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_complex():
            kind = "quantized" if tensor.is_quantized else "complex" if tensor.is_complex() else "sparse"
            raise CheckpointError(path, f"tensor {name!r} is {kind}", "save dense real weights")
        if tensor.is_meta:
            raise CheckpointError(path, f"tensor {name!r} has no data (it is on the meta device)", "save the weights")
    if not any(tensor.is_floating_point() and tensor.ndim >= 2 for tensor in tensors.values()):
        cause = f"no weight matrix among its {len(tensors)} tensors"
        raise CheckpointError(path, cause, "give the checkpoint of a network with linear or convolution layers")
    broken = {name: counts for name, tensor in tensors.items() if any(counts := _not_finite(tensor))}
    if broken:
        name, (nan, inf) = next(iter(broken.items()))
        found = " and ".join(f"{count} {kind}" for count, kind in ((nan, "NaN"), (inf, "Inf")) if count)
        more = f", and {len(broken) - 1} more tensors are not finite" if len(broken) > 1 else ""
        cause = f"tensor {name!r} holds {found} of {tensors[name].numel()} values{more}"
        raise CheckpointError(path, cause, "use a checkpoint from before training diverged")


def _not_finite(tensor: Tensor) -> tuple[int, int]:
    """How many NaN and Inf."""
    if not tensor.is_floating_point():
        return 0, 0
    nan = inf = 0
    for chunk in tensor.reshape(-1).split(_CHUNK):
        values = chunk.float() if chunk.element_size() == 1 else chunk  # float8 has no isfinite
        if not bool(torch.isfinite(values).all()):
            nan += int(torch.isnan(values).sum())
            inf += int(torch.isinf(values).sum())
    return nan, inf
