"""Neurons of a narrow layer found among those of a wide one."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.symmetry.alignment.assignment import least_cost


def matched(similarity: Tensor) -> tuple[Tensor, Tensor]:
    """Partners for all neurons of the narrower layer, the sum of similarities as large as it can be.

    >>> matched(torch.tensor([[0.1, 0.9, 0.2], [0.8, 0.9, 0.0]]))
    (tensor([0, 1]), tensor([1, 0]))

    Args:
        similarity: [neurons of A, neurons of B].

    Returns:
        Neurons of A in their order and the partner of each in B, int64.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    if similarity.shape[0] > similarity.shape[1]:
        theirs, ours = matched(similarity.T)
        order = ours.argsort()
        return ours[order], theirs[order]
    rows = torch.arange(len(similarity))
    best = similarity.argmax(1) if similarity.numel() else rows
    if len(best.unique()) == len(best):
        return rows, best
    return rows, least_cost(-similarity)


def mixed(rows: Tensor) -> Tensor:
    """The rows with their entries in another order, by which they are like no other network's but by chance."""
    return rows[:, torch.randperm(rows.shape[1], generator=torch.Generator().manual_seed(0))]


def above_chance(alike: Tensor, chance: Tensor) -> float:
    """How far similarities of partners are above chance: 1 where partners are equal, 0 for strangers.

    Args:
        alike: of the partners.
        chance: of each neuron of A with each of B in another order of entries, [neurons of A, neurons of B].
    """
    a, b = matched(chance)
    least = chance[a, b].mean().item()
    return (alike.mean().item() - least) / max(1 - least, 1e-12)
