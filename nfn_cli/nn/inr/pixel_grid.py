"""Places of the pixels of a picture, as `nfn zoo inr` fits them."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_grid(height: int, width: int) -> Tensor:
    """Places [height × width, 2], row by row: (row, column), each evenly from -1 to 1.

    >>> pixel_grid(1, 2)
    tensor([[ 0., -1.],
            [ 0.,  1.]])
    """
    rows, columns = (torch.linspace(-1, 1, size) if size > 1 else torch.zeros(1) for size in (height, width))
    return torch.cartesian_prod(rows, columns)
