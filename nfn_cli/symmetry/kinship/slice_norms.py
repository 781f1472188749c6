"""Norms of the slices of a traced network whose scales are settled: numbers that its group does not change.

The scales are those of the normal form (see `labelled.anchors`), which depend on the weights continuously. Signs and
order, which do not, are left: only sizes are summed, over whole tensors and over squares of what belongs to one unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.kinship.norms import Norms, spread
from nfn_cli.symmetry.labelled.anchors import Anchors, Reader
from nfn_cli.symmetry.labelled.normal_form import rounding_unit
from nfn_cli.symmetry.labelled.positions import all_uses
from nfn_cli.symmetry.labelled.settled_scales import Settled
from nfn_cli.symmetry.labelled.slice_sums import moments, role_targets

_VALUES = 16


def slice_norms(architecture: LabelledArchitecture, tensors: Mapping[str, Tensor], precision: torch.dtype) -> Norms:
    """The norms of one network.

    Args:
        tensors: by name; each is asked for when it is needed, and not kept.
        precision: the dtype that the numbers were rounded to.

    Returns:
        `values` [16]: fixed combinations of the logarithms of all norms. `size`: their mean over the tensors. `tails`:
        the mean over the weights of two axes or more.

    Raises:
        ValueError: a tensor is not there, or has another shape.
    """
    unit = rounding_unit(precision)
    logs = Settled(architecture.logs, mod2=False)
    signs = Settled(architecture.signs, mod2=True, everything=True)
    anchors = Anchors(architecture, Reader(tensors), logs, signs, unit)
    anchors.settle_scales()
    found, sizes, tails = [], [], []
    for logarithms, count in _measured(architecture, anchors):
        found += logarithms
        squares, cubes = logarithms[:2]
        if math.isfinite(squares):
            sizes.append((squares - math.log(count)) / 2)
            if len(logarithms) > 3:  # several units along several axes
                tails.append(cubes - 1.5 * squares + 0.5 * math.log(count))
    whole = torch.tensor(found, dtype=torch.float64)
    weights = (spread(len(found), _VALUES) - 1) * 2
    weights[:, 0] = 1
    values = torch.where(whole.isfinite(), whole, 0.0) @ weights / math.sqrt(max(1, len(found)))
    return Norms(tuple(values.tolist()), _mean(sizes), _mean(tails))


def _measured(architecture: LabelledArchitecture, anchors: Anchors) -> Iterator[tuple[list[float], int]]:
    """Of every use the logarithms of Σ x², Σ |x|³ and, for each role, Σ (Σ of a slice x²)²; and how many numbers."""
    for tensor, use in all_uses(architecture):
        roles = role_targets(use)
        measured = moments(anchors.reader.read(tensor), use, anchors.factors(use), ((), *roles), ("squares", "sizes"))
        whole = measured[()]
        sums = [whole.squares.sum(), whole.sizes.sum(), *(np.square(measured[axes].squares).sum() for axes in roles)]
        yield [math.log(own) if own > 0 else -math.inf for own in map(float, sums)], math.prod(use.shape)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
