"""How far a network that has been transformed by an element is from another one, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side, TensorSpec
from nfn_cli.symmetry.action import act_on_tensor
from nfn_cli.symmetry.element import GroupElement

# A weight's error is relative to the weight itself, but to no less than this share of its neuron's norm.
FLOOR = 0.01


@dataclass(frozen=True)
class Residual:
    """The difference that is left in one layer.

    Attributes:
        layer: its name.
        distance: ‖g·A − B‖ / ‖B‖ over its weight and bias.
        deviation: the largest difference of one entry. A weight's is relative to the weight, or to 0.01 of its neuron's
            norm where that is more; a bias's to its neuron's norm, and to the phase that it was shifted by.
    """

    layer: str
    distance: float
    deviation: float


def residuals(element: GroupElement, ours: NetworkWeights, theirs: NetworkWeights) -> tuple[Residual, ...]:
    """Compare g·A with B, one layer at a time.

    Args:
        ours, theirs: A and B, of one architecture and with the same names.
    """
    return tuple(_residual(layer, specs, element, ours, theirs) for layer, specs in by_layer(theirs))


def largest_deviation(left: Iterable[Residual]) -> float:
    """The largest deviation of any layer."""
    return max(residual.deviation for residual in left)


def by_layer(point: NetworkWeights) -> Iterator[tuple[str, list[TensorSpec]]]:
    """The tensors of each layer, with its name."""
    layers: dict[str, list[TensorSpec]] = {}
    for spec in point.architecture.tensors:
        layers.setdefault(spec.name.rpartition(".")[0], []).append(spec)
    yield from layers.items()


def _residual(
    layer: str, specs: list[TensorSpec], element: GroupElement, ours: NetworkWeights, theirs: NetworkWeights
) -> Residual:
    omegas = theirs.architecture.omegas_of_groups
    found, wanted = [], []
    for spec in specs:
        axis = next((axis for axis, role in enumerate(spec.roles) if role.side is Side.OUT), 0)
        transformed = act_on_tensor(element, ours.tensors[spec.name], spec, omegas).double()
        found.append(transformed.movedim(axis, 0).flatten(1) if transformed.ndim > 1 else transformed[:, None])
        tensor = theirs.tensors[spec.name].double()
        wanted.append(tensor.movedim(axis, 0).flatten(1) if tensor.ndim > 1 else tensor[:, None])
    rows = torch.maximum(norms(torch.cat(found, 1)), norms(torch.cat(wanted, 1)))
    deviation = 0.0
    for spec, mine, other in zip(specs, found, wanted, strict=True):
        if len(spec.shape) > 1:
            size = torch.maximum(other.abs(), FLOOR * rows)
        else:
            group = spec.roles[0].group
            shifts = element.half_turns[group].abs().double() * (math.pi / omegas[group]) if group is not None else 0.0
            size = (rows[:, 0] + shifts)[:, None]
        difference = (mine - other).abs()
        # 0/0 counts as no deviation, and NaN as the largest.
        relative = torch.where(difference == 0, 0.0, difference / size).nan_to_num(math.inf)
        deviation = max(deviation, relative.max().item() if relative.numel() else 0.0)
    difference = norms(torch.cat([mine - other for mine, other in zip(found, wanted, strict=True)], 1).view(1, -1))
    total = norms(torch.cat(wanted, 1).view(1, -1))
    distance = difference / total if total else torch.where(difference == 0, 0.0, math.inf)
    return Residual(layer, distance.item(), deviation)


def norms(rows: Tensor) -> Tensor:
    """Norms [n, 1] of rows, without overflow where squares would leave the range of float64."""
    sizes = rows.abs().amax(1, keepdim=True) if rows.shape[1] else rows.new_zeros(len(rows), 1)
    sizes = torch.where(sizes > 0, sizes, 1.0)
    return torch.linalg.vector_norm(rows / sizes, dim=1, keepdim=True) * sizes
