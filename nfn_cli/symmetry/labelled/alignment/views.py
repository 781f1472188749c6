"""Uses of tensors as the search reads them: axes that one role speaks of are one dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import NONE, LabelledArchitecture, LabelledTensor, Use
from nfn_cli.symmetry.labelled.positions import all_uses, role_axes, sources

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Dimension:
    """One or several axes of a use.

    Attributes:
        axes: of the use.
        offsets: int64 [positions]: where in the tensor each position lies, as far as these axes say.
        labels: int64 [positions], NONE for none; None where no role speaks of it.
        slots: int64 [positions].
    """

    axes: tuple[int, ...]
    offsets: Ints
    labels: Ints | None
    slots: Ints

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, eq=False)
class View:
    """A use of a tensor.

    Attributes:
        dimensions: those that roles speak of first; none has one position, where no role speaks of it.
        scales: (coefficient, the dimensions along which the variables vary, the variables int64, one axis a dimension
            and 1 along the others) each.
    """

    tensor: LabelledTensor
    use: Use
    dimensions: tuple[Dimension, ...]
    scales: tuple[tuple[int, frozenset[int], Ints], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Positions along each dimension."""
        return tuple(len(dimension) for dimension in self.dimensions)

    def positions(self, dimension: int | None) -> int:
        """Along a dimension; 1 along none."""
        return 1 if dimension is None else len(self.dimensions[dimension])

    def offsets(self, goes: NDArray[np.int32]) -> list[Ints]:
        """Along each dimension, where in A's tensor lies what comes to each position once the labels have gone."""
        places = sources(self.use, goes)
        found = []
        for dimension in self.dimensions:
            if all(places[axis] is None for axis in dimension.axes):
                found.append(dimension.offsets)
                continue
            total: Ints = np.zeros(1, dtype=np.int64)
            for axis in dimension.axes:
                own = places[axis]
                assert own is not None  # the axes of one role move together
                total = total + own.ravel() * self.use.stride[axis]
            found.append(total)
        return found


def views_of(architecture: LabelledArchitecture) -> list[View]:
    """All uses, in order.

    Raises:
        ValueError: roles or scales do not fit a view.
    """
    return [_view(tensor, use) for tensor, use in all_uses(architecture)]


def _view(tensor: LabelledTensor, use: Use) -> View:
    dimensions: list[Dimension] = []
    for role in use.roles:
        axes = role_axes(use, role)
        if axes:
            labels = role.labels.astype(np.int64).ravel()
            slots = np.zeros_like(labels) if role.slots is None else role.slots.astype(np.int64).ravel()
            dimensions.append(Dimension(axes, _offsets(use, axes), labels, slots))
    spoken = {axis for dimension in dimensions for axis in dimension.axes}
    for axis, size in enumerate(use.shape):
        if axis not in spoken and size > 1:
            dimensions.append(Dimension((axis,), _offsets(use, (axis,)), None, np.zeros(size, dtype=np.int64)))
    scales = tuple((coefficient, *_spread(variables, use, dimensions)) for coefficient, variables in use.scales)
    return View(tensor, use, tuple(dimensions), scales)


def _offsets(use: Use, axes: Sequence[int]) -> Ints:
    total: Ints = np.zeros((1,) * len(axes), dtype=np.int64)
    for place, axis in enumerate(axes):
        own = np.arange(use.shape[axis], dtype=np.int64) * use.stride[axis]
        total = total + own.reshape([-1 if other == place else 1 for other in range(len(axes))])
    return total.ravel()


def _spread(variables: NDArray[np.int32], use: Use, dimensions: Sequence[Dimension]) -> tuple[frozenset[int], Ints]:
    """The dimensions along which an array varies, and the array along them."""
    along = [place for place, own in enumerate(dimensions) if any(variables.shape[axis] > 1 for axis in own.axes)]
    wide = {axis for place in along for axis in dimensions[place].axes}
    shape = [size if axis in wide else 1 for axis, size in enumerate(use.shape)]
    full = np.broadcast_to(variables.astype(np.int64), shape)
    order = [axis for place in along for axis in dimensions[place].axes]
    rest = [axis for axis in range(len(shape)) if axis not in order]
    sizes = [len(own) if place in along else 1 for place, own in enumerate(dimensions)]
    return frozenset(along), np.ascontiguousarray(full.transpose(*order, *rest)).reshape(sizes)


def entries(view: View) -> int:
    """Numbers in a view."""
    return math.prod(view.shape)


__all__ = ["NONE", "Dimension", "Flags", "Ints", "View", "entries", "views_of"]
