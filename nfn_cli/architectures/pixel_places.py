"""The places of a picture's pixels, as implicit neural representations of pictures take them: (row, column)."""

from __future__ import annotations

import torch
from torch import Tensor


def places_along(size: int) -> Tensor:
    """Places of so many pixels along one side, evenly from -1 to 1, float32 [size]; one alone lies at 0.

    >>> places_along(3)
    tensor([-1.,  0.,  1.])
    """
    # On the CPU even where a head is being built without memory: elsewhere torch would load its compiler for this.
    return torch.linspace(-1, 1, size, device="cpu") if size > 1 else torch.zeros(1, device="cpu")


def pixel_grid(height: int, width: int) -> Tensor:
    """Places of all pixels, float32 [height × width, 2], row by row: (row, column).

    >>> pixel_grid(1, 2)
    tensor([[ 0., -1.],
            [ 0.,  1.]])
    """
    return torch.cartesian_prod(places_along(height), places_along(width))
