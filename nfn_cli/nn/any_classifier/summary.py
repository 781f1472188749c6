"""A network's statistics as one vector, in which distances between networks are measured."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.nn.any_classifier.network_statistics import ANSWERS, TOKEN, WHOLE, NetworkStatistics

SUMMARY = 3 * TOKEN + WHOLE + ANSWERS


def summary(statistics: NetworkStatistics) -> Tensor:
    """The mean over layers, the first and the last layer, the whole, and answers; [networks, 239]."""
    layers, depth = statistics.layers, statistics.depth
    present = (torch.arange(layers.shape[1], device=layers.device) < depth[:, None])[:, :, None]
    mean = (layers * present).sum(1) / depth[:, None]
    last = layers[torch.arange(len(depth), device=depth.device), depth - 1]
    return torch.cat([layers[:, 0], last, mean, statistics.whole, statistics.answers], 1)
