"""The rotation of a stream that brings one network next to another, fitted on embeddings and heads alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.labelled.gauges.procrustes import rotation_between
from nfn_cli.symmetry.labelled.gauges.turning import Turning
from nfn_cli.symmetry.labelled.gauges.turns import KnownGauge, Turn, read_gain

_FEWEST, _MOST = 1e-6, 0.25  # of the root mean square of gains: weights are not divided by less
_ENOUGH = 16  # numbers a coordinate, in multiples of n, that a rotation is fitted on


def fit_stream(known: KnownGauge, reference: Turning, source: Turning) -> tuple[Turn, frozenset[int]] | None:
    """The rotation, with A's gains behind it, and the places of the tensors that it was fitted on.

    These are the tensors that have the stream along one axis and nothing that moves along the others: embeddings,
    positions, heads. None where there are none.
    """
    places = [place for place in known.lines if _is_anchor(known, place)]
    if not places:
        return None
    there = tuple(_gain(known, number, reference) for number in range(len(known.action.gains)))
    here = tuple(_gain(known, number, source) for number in range(len(known.action.gains)))
    products = torch.zeros(known.spaces, known.n, known.n, dtype=torch.float64)
    sizes = 0.0
    for place in places:
        for (space, theirs), (_, ours) in zip(
            _lines(known, reference, place, there), _lines(known, source, place, here), strict=True
        ):
            size = float(theirs.norm() * ours.norm())
            if size > 0 and math.isfinite(size):
                products[space] += (theirs @ ours.T).double() / size
                sizes += 1.0
    levelled = known.action.group == "levelled"
    matrices = torch.stack([rotation_between(product, levelled=levelled) for product in products])
    # Of lines of size 1 each, the product of A and Q·B on average, and their distance from it.
    alike = float((matrices * products).sum()) / (sizes or 1.0)
    noise = math.sqrt(max(0.0, 2 - 2 * alike))
    gains = tuple(_kept_from_zero(own, noise) for own in there)
    return Turn(known, matrices, gains), frozenset(places)


def _lines(known: KnownGauge, turning: Turning, place: int, gains: tuple[Tensor, ...]) -> list[tuple[int, Tensor]]:
    """For each line in a tensor its space and what stands along it, [n, some others], gains absorbed."""
    tensor = turning.now(place).contiguous()
    number = known.gain_of.get(place)
    found = []
    for lines in known.lines[place]:
        _, flat = lines.flat(tensor)
        for row in range(len(lines.index)):
            step = max(1, flat.shape[1] // (_ENOUGH * known.n))
            part = flat[:, ::step][torch.from_numpy(lines.index[row])]
            if number is not None and lines.inverse[row]:
                part = part * gains[number].view(known.spaces, known.n, 1)[lines.space[row]].to(part.dtype)
            found.append((int(lines.space[row]), part))
    return found


def moving_labels(architecture: LabelledArchitecture) -> np.ndarray:
    """Which labels some permutation moves, bool [labels]."""
    found = np.zeros(architecture.label_count, bool)
    for block in architecture.blocks:
        if block.n > 1:
            found[block.labels] = True
    found[architecture.determined[:, 0]] = True
    return found


def _is_anchor(known: KnownGauge, place: int) -> bool:
    tensor = known.architecture.tensors[place]
    if math.prod(tensor.shape) <= known.n * known.spaces:
        return False
    moving = moving_labels(known.architecture)
    for use in tensor.uses:
        for role in use.roles:
            labels = role.labels[role.labels >= 0]
            if moving[labels[known.coordinates.unit[labels] < 0]].any():
                return False
    return True


def _gain(known: KnownGauge, number: int, turning: Turning) -> Tensor:
    own = known.action.gains[number]
    return read_gain(known, own, turning.now(own.gain))


def _kept_from_zero(gain: Tensor, noise: float) -> Tensor:
    """Gains of which none is so small that noise on the weights, divided by it, does more harm than another gain."""
    least = min(max(math.sqrt(noise), _FEWEST), _MOST) * float(gain.square().mean().sqrt()) or 1.0
    sign = torch.where(gain < 0, -1.0, 1.0).double()
    return torch.where(gain.abs() < least, sign * least, gain)
