"""A few networks at a time, so that what stands between two layers stays in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def in_parts(make: Callable[[Sequence[Tensor]], Tensor], inputs: Sequence[Tensor], networks: int) -> Tensor:
    """What `make` gives for inputs [batch, ...], of so many networks at a time; of all at once with gradients.

    >>> with torch.no_grad():
    ...     in_parts(lambda part: part[0] + len(part[0]), [torch.zeros(3)], 2)
    tensor([2., 2., 1.])
    """
    if torch.is_grad_enabled():
        return make(inputs)
    return torch.cat([make(part) for part in parts_of(inputs, networks)])


def parts_of(inputs: Sequence[Tensor], networks: int) -> list[tuple[Tensor, ...]]:
    """Inputs [batch, ...] of so many networks at a time, the last ones of what is left."""
    return list(zip(*(values.split(networks) for values in inputs), strict=True))
