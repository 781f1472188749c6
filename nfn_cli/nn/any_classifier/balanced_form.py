"""The doubly balanced form of a matrix of weights: rows and columns scaled until each has the same mean square.

Scaling rows and columns of a matrix by any positive numbers leaves this form as it is, so it is invariant under the
scales of every network that the matrix may be a layer of, whatever lies between its layers. Signs and permutations of
rows and columns act on it as on the matrix.

The form exists and is unique where no entry is 0 (Sinkhorn 1964, *A relationship between arbitrary positive matrices
and doubly stochastic matrices*, here for the squares), and rows and columns of zeros change nothing. With other
patterns of zeros the iteration may have no limit; it ends after 200 rounds.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 200
_CLOSE = 1e-9


def balanced(weight: Tensor) -> Tensor:
    """The doubly balanced form, float64, of mean square 1 over rows and columns that are not zero.

    Args:
        weight: [out, in, *kernel]; the entries of a kernel are scaled together.

    >>> scaled = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) * torch.tensor([[10.0], [0.1]])
    >>> torch.allclose(balanced(scaled), balanced(torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
    True
    """
    own = weight.double()
    largest = own.abs().amax()
    if not largest > 0:
        return torch.zeros_like(own)
    own = own / largest
    squares = own.square().flatten(2).mean(2) if own.ndim > 2 else own.square()
    rows_there, columns_there = squares.sum(1) > 0, squares.sum(0) > 0
    rows, columns = rows_there.double(), columns_there.double()
    across, down = columns_there.sum(), rows_there.sum()
    for _ in range(_ROUNDS):
        rows = torch.where(rows_there, across / (squares @ columns), 0.0)
        means = (rows @ squares) * columns / down
        columns = torch.where(columns_there, down / (rows @ squares), 0.0)
        if (means[columns_there] - 1).abs().amax() < _CLOSE:
            break
    shape = [-1, *[1] * (own.ndim - 1)]
    return own * rows.sqrt().view(shape) * columns.sqrt().view([1, *shape[:-1]])
