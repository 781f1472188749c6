"""The running statistics of a module's BatchNorms, estimated anew on inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_BATCH = 512
MOST_INPUTS = 10_000


def tracked_norms(module: nn.Module) -> dict[str, _BatchNorm]:
    """The BatchNorms with running statistics, by name; of one that is used in several places the first name."""
    parts = module.named_modules()
    return {name: part for name, part in parts if isinstance(part, _BatchNorm) and part.running_mean is not None}


def reestimate(module: nn.Module, inputs: Tensor, run: Callable[[Tensor], Any] | None = None) -> list[str]:
    """Estimate the running statistics of all BatchNorms of a module, in place, by one pass.

    In this pass a BatchNorm normalises by its batch, so that what lies behind it sees what it will see; all else is run
    as in evaluation. Statistics are means over batches of equal size in random order.

    >>> norm = nn.BatchNorm1d(1)
    >>> reestimate(norm, torch.tensor([[1.0], [3.0]]))
    ['']
    >>> norm.running_mean, norm.running_var
    (tensor([2.]), tensor([2.]))

    Args:
        inputs: [count, *shape]; of more than 10,000 as many are drawn.
        run: a batch through the module; the module itself if None.

    Returns:
        The names of the BatchNorms that were run; others keep what they had.
    """
    norms = tracked_norms(module)
    kept = {name: (norm.running_mean, norm.running_var, norm.num_batches_tracked) for name, norm in norms.items()}
    training = {part: part.training for part in module.modules()}
    module.eval()
    momenta = {name: norm.momentum for name, norm in norms.items()}
    for norm in norms.values():
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None
        norm.running_mean, norm.running_var = torch.zeros_like(mean), torch.ones_like(variance)
        norm.num_batches_tracked = torch.zeros((), dtype=torch.int64, device=mean.device)
        norm.momentum = None  # the mean over all batches
        norm.train()
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))[:MOST_INPUTS]
    found = []
    try:
        with torch.no_grad():
            for batch in order.tensor_split(-(-len(order) // _BATCH)):
                (run or module)(inputs[batch])
    finally:
        for name, norm in norms.items():
            old_mean, old_variance, count = kept[name]
            if norm.num_batches_tracked:
                found.append(name)
            else:
                norm.running_mean, norm.running_var = old_mean, old_variance
            norm.num_batches_tracked, norm.momentum = count, momenta[name]
        for part, was in training.items():
            part.training = was
    return found
