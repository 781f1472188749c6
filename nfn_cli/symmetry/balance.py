"""The balanced scale: of all networks on an orbit, the one with the least sum of squared weights.

Source: Stock et al. 2019, *Equi-normalization of Neural Networks* (arXiv 1902.10416). With aⱼ and cⱼ the squared norms
of what feeds neuron j and of what reads it, the sum aⱼ d² + cⱼ / d² is least at d⁴ = cⱼ / aⱼ, where both parts are
equal. Doing this group after group converges to the one minimum, since the sum is convex in log d.

A neuron that nothing feeds or nothing reads has no least scale; its weights are left out of the sum. One that is fed
but not read gets incoming weights of norm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures import WeightSpace
from nfn_cli.symmetry.links import Links

# Where sweeps over all groups end, and up to where a network counts as balanced as it is.
_CONVERGED, _BALANCED = 1e-14, 1e-12
_MOST_SWEEPS = 10_000


def balance(point: WeightSpace) -> tuple[list[Tensor], float]:
    """The scales that balance one network.

    Returns:
        Per group, d > 0, float64 [n]; and the residual, the largest |norm in / norm out − 1| that is left.
    """
    links = Links.of(point)
    log = [torch.zeros(group.size, dtype=torch.float64) for group in point.architecture.groups]
    residual = _residual(links, log)
    for _ in range(_MOST_SWEEPS):
        if residual <= _BALANCED:
            break
        residual = _sweep(links, log)
    if any(bool(values.any()) for values in log):
        # A little further than asked, so that a balanced network, rounded and measured anew, counts as balanced.
        for _ in range(_MOST_SWEEPS):
            before, residual = residual, _sweep(links, log)
            if residual <= _CONVERGED or residual >= before:
                break
    scales = [values.exp() for values in log]
    for group, scale in enumerate(scales):
        unread = links.fed[group] & ~links.read[group]
        scale[unread] = _unit(links, group, scales)[unread]
    return scales, residual


def _sweep(links: Links, log: list[Tensor]) -> float:
    for group in range(len(log)):
        fed, read = links.squared_norms(group, log)
        log[group] = torch.where(links.alive(group), log[group] + (read / fed).log() / 4, 0.0)
    return _residual(links, log)


def _residual(links: Links, log: list[Tensor]) -> float:
    worst = 0.0
    for group in range(len(log)):
        fed, read = (squares[links.alive(group)] for squares in links.squared_norms(group, log))
        worst = max(worst, ((fed / read).sqrt() - 1).abs().max().item() if len(fed) else 0.0)
    return worst


def _unit(links: Links, group: int, scales: list[Tensor]) -> Tensor:
    """Scales that give what feeds each neuron of a group the norm 1; groups before it have theirs."""
    total = torch.zeros_like(scales[group])
    for link in links.links:
        if link.feeds == group:
            read = torch.ones(1, dtype=torch.float64)
            if link.reads is not None:
                read = torch.where(links.fed[link.reads], scales[link.reads] ** -2, 0.0)
            total = total + (link.squares * read).sum(1)
    return torch.where(total > 0, total.clamp_min(torch.finfo(torch.float64).tiny).rsqrt(), 1.0)
