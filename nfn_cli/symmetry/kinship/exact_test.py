"""An exact test of whether two networks kept their coordinates from a common origin.

A network's neurons begin as equals: permuting the neurons of B before training would have permuted them after it. So if
B was trained apart from A, a matching of B's neurons with A's that is computed from the weights gives each permutation
with equal chance. The matching of a block reads only weights between it and blocks that were matched before, which
makes the permutations of all blocks independent. How many neurons are matched with the one in their own place has then
a known distribution, and its tail is an exact p-value. (The idea is that of Zhu et al. 2025, *Independence Tests for
Language Models*, arXiv 2502.12292; fixed points take the place of ranks.)

Neurons that somebody has sorted are no longer equals. Where those of both networks stand in an order, a block is left
out.

>>> round(log10_tail([3], 3), 6)  # all three of three: one of six permutations
-0.778151
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.symmetry.alignment.assignment import assign
from nfn_cli.symmetry.kinship.pairing import Pair
from nfn_cli.symmetry.labelled.alignment.evidence import Evidence
from nfn_cli.symmetry.labelled.alignment.known_scales import Knowledge
from nfn_cli.symmetry.labelled.alignment.paired_slices import Slices
from nfn_cli.symmetry.labelled.alignment.unit_positions import Units
from nfn_cli.symmetry.labelled.alignment.views import views_of

_SEED = 0  # of the order in which ties are broken
_EXACT = 4_096  # neurons; of more, the tail is bounded
_MOST = 1 << 11  # units of a block that are matched
_SORTED = 3.3  # standard deviations of a rank correlation: one order in a thousand is taken for sorted by chance


def exact_log10_p(pair: Pair, without: Collection[str] = ()) -> float | None:
    """The logarithm of the p-value of "B was trained apart from A".

    Args:
        pair: both networks as they lie: no element has acted.
        without: tensors that make unequals of the neurons that they feed; blocks that stand in them are not tested.

    Returns:
        None where no block can be tested.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    architecture = pair.architecture
    views = views_of(architecture)
    units = Units(architecture, views)
    slices = Slices(pair.moved, pair.reference, views, torch.float32)
    slices.follow(np.arange(architecture.label_count, dtype=np.int32))
    evidence = Evidence(units, Knowledge(architecture, scaled=False), slices)
    generator = torch.Generator().manual_seed(_SEED)
    clear = np.zeros(architecture.label_count, dtype=np.bool_)
    sizes: list[int] = []
    fixed = 0
    for place, block in enumerate(architecture.blocks):
        touched = any(views[table.view].tensor.name in without for table in units.tables(place))
        if 1 < block.n <= _MOST and not touched and (found := evidence.own_costs(place, clear)) is not None:
            for cost, size in zip(found.cost, found.size, strict=True):
                # Sizes are |b|² + |a|²: B's along one axis, A's along the other, each with a constant added.
                if not (_is_sorted(size[0]) and _is_sorted(size[:, 0])):
                    sizes.append(block.n)
                    fixed += _fixed_points(cost.double(), generator)
        clear[block.labels] = True
    return log10_tail(sizes, fixed) if sizes else None


def _fixed_points(cost: Tensor, generator: torch.Generator) -> int:
    """How many units are matched with the one in their place; ties are broken at random."""
    order = torch.randperm(len(cost), generator=generator)
    matched = order[assign(cost[:, order], torch.zeros_like(cost, dtype=torch.bool))]
    return int((matched == torch.arange(len(cost))).sum())


def _is_sorted(sizes: Tensor) -> bool:
    """Whether sizes grow or fall along the units more than chance explains."""
    values, n = sizes.double().numpy(), len(sizes)
    if n < 4:
        return False
    ranks = values.argsort(kind="stable").argsort(kind="stable")
    correlation = float(np.corrcoef(ranks, np.arange(n))[0, 1])
    return abs(correlation) * math.sqrt(n - 1) > _SORTED


def log10_tail(sizes: Sequence[int], fixed: int) -> float:
    """log₁₀ of the chance of so many fixed points, or more, in independent uniform permutations.

    Of more than a few thousand elements an upper bound: the binomial moments of the number of fixed points give
    P(T ≥ t) ≤ E[C(T, t)] ≤ kᵗ / t! for k permutations.

    Args:
        sizes: how many elements each permutation has.
    """
    if fixed <= 0:
        return 0.0
    if sum(sizes) > _EXACT:
        return min(0.0, (fixed * math.log(len(sizes)) - math.lgamma(fixed + 1)) / math.log(10))
    total = np.zeros(1)  # logarithms of the chances of 0, 1, ... fixed points
    for size in sizes:
        total = _convolved(total, _log_chances(size))
    tail = np.logaddexp.reduce(total[fixed:]) if fixed < len(total) else -math.inf
    return min(0.0, float(tail) / math.log(10))


def _log_chances(n: int) -> NDArray[np.float64]:
    """log P(k fixed points) = log(D(n − k) / (n − k)!) − log k!, with D(m) / m! = Σ (−1)ⁱ / i! up to m."""
    shares = np.cumsum([(-1.0) ** i / math.factorial(i) if i < 25 else 0.0 for i in range(n + 1)])
    with np.errstate(divide="ignore"):
        none = np.log(np.clip(shares[::-1], 0.0, None))
    none[n - 1] = -math.inf  # n − 1 of n cannot be fixed; the sum above leaves a rounding error
    return np.asarray(none - np.array([math.lgamma(k + 1) for k in range(n + 1)]))


def _convolved(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.full(len(one) + len(other) - 1, -math.inf)
    for place, own in enumerate(other):
        part = found[place : place + len(one)]
        np.logaddexp(part, one + own, out=part)
    return found
