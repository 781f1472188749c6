"""Coordinates (row, column) of a picture's pixels: the inputs of its implicit neural representation."""

from __future__ import annotations

import torch
from torch import Tensor


def places_along(size: int) -> Tensor:
    """Coordinates of `size` pixels along one side, evenly from -1 to 1, float32 [size]; a single one lies at 0.

    >>> places_along(3)
    tensor([-1.,  0.,  1.])
    """
    # On the CPU even where a head is being built without memory: elsewhere torch would load its compiler for this.
    return torch.linspace(-1, 1, size, device="cpu") if size > 1 else torch.zeros(1, device="cpu")


def pixel_grid(height: int, width: int) -> Tensor:
    """Coordinates (row, column) of all pixels, float32 [height × width, 2], row by row.

    >>> pixel_grid(1, 2)
    tensor([[ 0., -1.],
            [ 0.,  1.]])
    """
    return torch.cartesian_prod(places_along(height), places_along(width))
