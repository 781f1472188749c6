"""STATNN's features: seven statistics of every weight and every bias (Unterthiner et al. 2020, arXiv 2002.11448).

Permuting neurons leaves them as they are; scaling or flipping neurons does not.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def read_statistics(point: NetworkWeights) -> list[Tensor]:
    """Mean, variance and the quantiles of 0, 25, 50, 75 and 100 % of each tensor of a batch of networks.

    Args:
        point: tensors [batch, *shape].

    Returns:
        One tensor, float32 [batch, 7 · tensors]: first the seven of the first layer's weight, then of its bias, ...
    """
    return [torch.cat([_seven(point.tensors[spec.name]) for spec in point.architecture.tensors], dim=1)]


def _seven(tensor: Tensor) -> Tensor:
    entries = tensor.flatten(1).cpu()
    # torch.quantile takes 16 million entries at most.
    quantiles = np.quantile(entries.numpy(), _QUANTILES, axis=1)
    wide = entries.double()
    columns = [wide.mean(1), wide.var(1, correction=0), *torch.from_numpy(quantiles).double()]
    return torch.stack(columns, dim=1).float()
