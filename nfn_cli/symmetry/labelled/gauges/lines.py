"""Where the coordinates of a gauge's spaces stand in tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import GaugeAction, LabelledArchitecture, Use
from nfn_cli.symmetry.labelled.positions import role_axes

Ints = NDArray[np.int64]
AGAIN = 1 << 40  # above every label; sets apart labels of one unit that follow from one another


class UnclearError(ValueError):
    """A gauge's coordinates do not stand in a tensor as lines of their own."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of a use of a tensor, along which a matrix acts: each has all coordinates of a space.

    Attributes:
        use: of the tensor.
        axes: the use's axes that the positions run along, the last the fastest.
        index: int64 [lines, n]: positions, in the order of the coordinates.
        space: int64 [lines]: the space of each.
        inverse: bool [lines]: whether it takes the inverse transposed matrix.
        key: int64 [lines]: which of its space's lines each is. For what follows from two labels, the one that is not
            the coordinate's plus `offset`, such as that of a head.
        label: int64 [lines]: the label of the first coordinate.
    """

    use: Use
    axes: tuple[int, ...]
    index: Ints
    space: Ints
    inverse: NDArray[np.bool_]
    key: Ints
    label: Ints

    def flat(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """A view of a contiguous tensor with the positions first, and what it is of two axes: [positions, others].

        The second is a view of the first where that is possible, and a copy otherwise.
        """
        view = tensor.as_strided(self.use.shape, self.use.stride, self.use.offset)
        rest = [axis for axis in range(len(self.use.shape)) if axis not in self.axes]
        moved = view.permute(*self.axes, *rest)
        count = 1
        for axis in self.axes:
            count *= self.use.shape[axis]
        try:
            return moved, moved.view(count, -1)
        except RuntimeError:
            return moved, moved.reshape(count, -1)


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The coordinates that labels are, of one gauge.

    Attributes:
        n: coordinates of a space. spaces: how many there are.
        unit: int64 [labels]: space · n + coordinate; −1 for others.
        key: int64 [labels]: which of the unit's labels it is.
        offset: what stands before a label that sets a line apart.
    """

    n: int
    spaces: int
    unit: Ints
    key: Ints
    offset: int


def coordinates_of(architecture: LabelledArchitecture, action: GaugeAction) -> Coordinates:
    """Which labels are which coordinates."""
    unit, key = np.full(architecture.label_count, -1, np.int64), np.zeros(architecture.label_count, np.int64)
    if action.block is None:
        first, second, space = action.pairs.astype(np.int64).T
        unit[first], unit[second] = 2 * space, 2 * space + 1
        key[first] = key[second] = first
        return Coordinates(2, int(space.max(initial=-1)) + 1, unit, key, 0)
    block = architecture.blocks[action.block]
    columns = block.labels.shape[1]
    unit[block.labels] = np.arange(block.units)[:, None]
    key[block.labels] = np.arange(columns)
    rows = architecture.determined.astype(np.int64)
    while True:
        changed = False
        for label, one, other in rows.tolist():
            if unit[label] >= 0:
                continue
            for own, beside in ((other, one), (one, other)):
                if own >= 0 and unit[own] >= 0:
                    unit[label] = unit[own]
                    key[label] = key[own] + AGAIN if one == other else columns + beside
                    changed = True
                    break
        if not changed:
            break
    return Coordinates(block.n, block.units // block.n, unit, key, columns)


def lines_of(
    architecture: LabelledArchitecture, action: GaugeAction, coordinates: Coordinates
) -> Mapping[int, tuple[Lines, ...]]:
    """The lines in each tensor, by its place.

    Raises:
        UnclearError: a line is not whole, or nobody says which matrix it takes.
    """
    inverse = {place: labels for place, labels in action.inverse}
    if action.block is None:
        keys = action.pairs[action.keys][:, :2].reshape(-1)
    found: dict[int, tuple[Lines, ...]] = {}
    for place, tensor in enumerate(architecture.tensors):
        own: list[Lines] = []
        for use in tensor.uses:
            for role in use.roles:
                labels = role.labels.reshape(-1).astype(np.int64)
                positions = np.flatnonzero(labels >= 0)
                positions = positions[coordinates.unit[labels[positions]] >= 0]
                if not len(positions):
                    continue
                if role.slots is not None:
                    raise UnclearError(f"{tensor.name}: slots")
                odd = keys if action.block is None else inverse.get(place, np.zeros(0, np.int32))
                own.append(_lines(use, role_axes(use, role), labels, positions, coordinates, odd))
        if own:
            found[place] = tuple(own)
    return found


def _lines(
    use: Use, axes: tuple[int, ...], labels: Ints, positions: Ints, coordinates: Coordinates, odd: NDArray[np.int32]
) -> Lines:
    n = coordinates.n
    units, keys = coordinates.unit[labels[positions]], coordinates.key[labels[positions]]
    order = np.lexsort((units % n, keys, units // n))
    index = positions[order]
    if len(index) % n:
        raise UnclearError("a line is not whole")
    index = index.reshape(-1, n)
    inside = coordinates.unit[labels[index]]
    of_key = coordinates.key[labels[index]]
    whole = (inside % n == np.arange(n)).all() and (inside // n == inside[:, :1] // n).all()
    inverse = np.isin(labels[index], odd)
    if not whole or not (of_key == of_key[:, :1]).all() or not (inverse == inverse[:, :1]).all():
        raise UnclearError("a line is not whole")
    return Lines(use, axes, index, inside[:, 0] // n, inverse[:, 0], of_key[:, 0], labels[index[:, 0]])
