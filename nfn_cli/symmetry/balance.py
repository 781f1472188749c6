"""The balanced scale: of all networks on an orbit, the one with the least sum of squared weights.

Source: Stock et al. 2019, *Equi-normalization of Neural Networks* (arXiv 1902.10416). With aⱼ and cⱼ the squared norms
of what feeds neuron j and of what reads it, the sum aⱼ d² + cⱼ / d² is least at d⁴ = cⱼ / aⱼ, where both parts are
equal. Doing this group after group converges to the one minimum, since the sum is convex in log d. In deep networks
that takes long for what all neurons of a group have in common, so a common factor of each group is found first, for
all groups at once.

A neuron that nothing feeds or nothing reads has no least scale; its weights are left out of the sum. One that is fed
but not read gets incoming weights of norm 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.symmetry.links import Links

# Where sweeps over all groups end, and up to where a network counts as balanced as it is.
_CONVERGED, _BALANCED = 1e-14, 1e-12
_MOST_SWEEPS = 10_000
_MOST_STEPS = 20  # of Newton's method, for the common factors
_FLOAT = torch.finfo(torch.float64)


def balance(point: NetworkWeights) -> tuple[list[Tensor], float]:
    """The scales that balance one network.

    Returns:
        Per group, d > 0, float64 [n]; and the residual, the largest |norm in / norm out − 1| that is left. It is
        infinite, and all scales 1, where squares leave float64.
    """
    links = Links.of(point)
    log = [torch.zeros(group.size, dtype=torch.float64) for group in point.architecture.groups]
    residual, totals = _measured(links, log)
    if residual > _BALANCED:
        # A little further than asked, so that a balanced network, rounded and measured anew, counts as balanced.
        for _ in range(_MOST_SWEEPS):
            for group, common in enumerate(_common(links, totals).tolist()):
                log[group] = torch.where(links.alive(group), log[group] + common, 0.0)
            for group in range(len(log)):
                fed, read = links.squared_norms(group, log)
                ratio = (read / fed).clamp(_FLOAT.tiny, _FLOAT.max)
                log[group] = torch.where(links.alive(group), log[group] + ratio.log() / 4, 0.0)
            before = residual
            residual, totals = _measured(links, log)
            if residual <= _CONVERGED or before <= residual <= _BALANCED or residual == math.inf:
                break
    if residual == math.inf:
        return [torch.ones_like(values) for values in log], residual
    scales = [values.exp() for values in log]
    for group, scale in enumerate(scales):
        unread = links.fed[group] & ~links.read[group]
        if bool(unread.any()):
            scale[unread] = _unit(links, group, scales)[unread]
    return scales, residual


def _measured(links: Links, log: list[Tensor]) -> tuple[float, Tensor]:
    """The residual, and the total of each link, [links]."""
    worst = 0.0
    fed, read, totals = links.measured(log)
    for group in range(len(log)):
        alive = links.alive(group)
        ratios = (fed[group][alive] / read[group][alive]).sqrt()
        worst = max(worst, (ratios - 1).abs().nan_to_num(math.inf).max().item() if len(ratios) else 0.0)
    return worst, totals


def _common(links: Links, totals: Tensor) -> Tensor:
    """Of each group, what to add to the logarithms of its scales so that its totals in and out are equal, [n groups].

    Newton's method on log(total in) − log(total out), which is linear where there are no biases. It stops where it does
    not help: sweeps alone would do as well, later.
    """
    found = torch.zeros(len(links.into), dtype=torch.float64)
    living = [group for group in range(len(found)) if bool(links.alive(group).any())]
    powers = torch.zeros(len(totals), len(found), dtype=torch.float64)  # of common factors, in each link's total
    for place, link in enumerate(links.links):
        if link.feeds is not None:
            powers[place, link.feeds] += 2
        if link.reads is not None:
            powers[place, link.reads] -= 2
    powers = powers[:, living]
    shifts = torch.zeros(len(living), dtype=torch.float64)
    if not living or not bool(totals.isfinite().all()):
        return found

    def imbalance(shifts: Tensor) -> tuple[Tensor, Tensor]:
        """What has to become zero, [living], and its derivative."""
        sizes = totals.log() + powers @ shifts
        fed, read = (torch.where(side.T, sizes, -torch.inf) for side in (powers > 0, powers < 0))
        return fed.logsumexp(1) - read.logsumexp(1), (fed.softmax(1) - read.softmax(1)) @ powers

    wrong, slopes = imbalance(shifts)
    for _ in range(_MOST_STEPS):
        trial = shifts - torch.linalg.lstsq(slopes, wrong[:, None]).solution[:, 0]
        left, new_slopes = imbalance(trial)
        if not bool(left.abs().max() < wrong.abs().max()):
            break
        shifts, wrong, slopes = trial, left, new_slopes
    found[living] = shifts
    return found


def _unit(links: Links, group: int, scales: list[Tensor]) -> Tensor:
    """Scales that give what feeds each neuron of a group the norm 1; groups before it have theirs."""
    total = torch.zeros_like(scales[group])
    for link in links.into[group]:
        weight = None
        if link.reads is not None:
            weight = torch.where(links.fed[link.reads], scales[link.reads] ** -2, 0.0)
        total = total + link.fed(weight)
    odd = (total - 1).abs() > _BALANCED  # what is so already must come out bit for bit
    return torch.where((total >= _FLOAT.tiny) & total.isfinite() & odd, total.rsqrt(), 1.0)
