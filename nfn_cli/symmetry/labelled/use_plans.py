"""What an element does to one use of a tensor: where its entries come from, and what they are multiplied by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import Stored, Use
from nfn_cli.symmetry.labelled.element import Element
from nfn_cli.symmetry.labelled.positions import carried, fits, role_axes, sources
from nfn_cli.symmetry.labelled.variance_bounds import is_variance

MOST = 400  # of a factor's logarithm to the base 2
Box = tuple[tuple[int, int], ...]  # start and stop along every axis


@dataclass(frozen=True)
class Offsets:
    """Along some axes of a view, where in the tensor each entry is taken from, as far as these axes say.

    Attributes:
        axes: those that are meant.
        values: int64, of the view's rank, with size 1 along all others.
    """

    axes: tuple[int, ...]
    values: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class UsePlan:
    """The action on one use. Its axes are in the order of their strides, and none has the size 1.

    So the entries come in the order of their places in the tensor.

    Attributes:
        shape, stride, offset: as in a use.
        offsets: each axis is in one of them.
        factors: float64, what entries are multiplied by where they end; of the view's rank, they broadcast.
        stored: what stands between the tensor's numbers and those that are multiplied; empty where it makes no
            difference.
        variance: whether it is a BatchNorm's running variance, which may not become negative.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    offsets: tuple[Offsets, ...]
    factors: tuple[Tensor, ...]
    stored: tuple[Stored, ...]
    variance: bool
    _inner: dict[Box, tuple[NDArray[np.int64], bool, int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, use: Use, element: Element, count: int) -> UsePlan:
        """The action of an element on a use of a tensor of `count` numbers.

        Raises:
            ValueError: the use is none of such a tensor, or the element does not act on it.
        """
        rank = len(use.shape)
        order = sorted((axis for axis in range(rank) if use.shape[axis] > 1), key=lambda axis: -use.stride[axis])
        _require_within(use, order, count)
        places = sources(use, element.goes)
        offsets: list[Offsets] = []
        left = set(order)
        for role in use.roles:
            axes = role_axes(use, role)
            moved = [(places[axis], use.stride[axis]) for axis in axes if places[axis] is not None]
            if moved:
                total = sum(own * stride for own, stride in moved if own is not None)
                offsets.append(Offsets(tuple(order.index(axis) for axis in axes), _turned(np.asarray(total), order)))
                left -= set(axes)
        for axis in sorted(left):
            values = np.arange(use.shape[axis], dtype=np.int64) * use.stride[axis]
            own = order.index(axis)
            offsets.append(Offsets((own,), values.reshape([-1 if place == own else 1 for place in range(len(order))])))
        factors = tuple(torch.from_numpy(_turned(own, order)) for own in _factors(use, element, places))
        return cls(
            tuple(use.shape[axis] for axis in order),
            tuple(use.stride[axis] for axis in order),
            use.offset,
            tuple(offsets),
            factors,
            _kept_steps(use.stored) if factors else (),
            is_variance(use),
        )

    def boxes(self, start: int, stop: int) -> Iterator[Box]:
        """Boxes of entries that lie in a range of the tensor's positions, together all of them."""
        yield from self._split(start - self.offset, stop - self.offset, ())

    def _split(self, start: int, stop: int, before: Box) -> Iterator[Box]:
        axis = len(before)
        if axis == len(self.shape):
            if start <= 0 < stop:
                yield before
            return
        stride = self.stride[axis]
        rest = zip(self.shape[axis + 1 :], self.stride[axis + 1 :], strict=True)
        reach = sum((size - 1) * step for size, step in rest)  # from the first entry of a slice to its last
        # Slices that touch the range, and those that lie within it.
        first = max(0, -(-(start - reach) // stride))
        last = min(self.shape[axis], -(-stop // stride))
        if first >= last:
            return
        within_first = max(first, -(-start // stride))
        within_last = min(last, (stop - 1 - reach) // stride + 1)
        tail = tuple((0, size) for size in self.shape[axis + 1 :])
        if within_first >= within_last:
            within_first = within_last = last
        for place in range(first, within_first):
            yield from self._split(start - place * stride, stop - place * stride, (*before, (place, place + 1)))
        if within_first < within_last:
            yield (*before, (within_first, within_last), *tail)
        for place in range(within_last, last):
            yield from self._split(start - place * stride, stop - place * stride, (*before, (place, place + 1)))

    def place(self, box: Box) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        """Shape, stride and offset of a box, as `as_strided` takes them."""
        starts = sum(own[0] * stride for own, stride in zip(box, self.stride, strict=True))
        return tuple(stop - start for start, stop in box), self.stride, self.offset + starts

    def taken(self, source: Tensor, box: Box) -> Tensor:
        """The numbers that come into a box, from the whole tensor [numbers] of a dtype that numpy has; in the box's
        shape."""
        active = [axis for axis, (start, stop) in enumerate(box) if stop - start > 1]
        base, wide = self.offset, []
        for own in self.offsets:
            part = own.values[tuple(slice(*box[axis]) if axis in own.axes else slice(None) for axis in range(len(box)))]
            axes = [axis for axis in own.axes if axis in active]
            if axes:
                wide.append((axes, part))
            else:
                base += int(part.reshape(-1)[0])
        cut = self._cut(active, [axes for axes, _ in wide])
        inner = set(active[cut:])
        spoken = {axis for own in self.offsets if inner & set(own.axes) for axis in own.axes}
        key = tuple(box[axis] if axis in spoken else (0, -1) for axis in range(len(box)))
        columns, plain, low, span = self._columns(key, [part for axes, part in wide if axes[0] in inner])
        rows = _summed([part for axes, part in wide if axes[0] not in inner])
        first = int(rows.min())
        rows = rows - first
        pitch = int(np.gcd.reduce(rows)) if len(rows) > 1 else 1
        lines = rows // max(pitch, 1)
        view = source.as_strided(
            (int(lines.max()) + 1, span), (max(pitch, 1), 1), source.storage_offset() + base + first + low
        )
        if not np.array_equal(lines, np.arange(len(lines))):
            view = view.index_select(0, torch.from_numpy(lines))
        if not plain:
            view = torch.from_numpy(view.numpy().take(columns, axis=1))  # several times faster than index_select
        return view.reshape([stop - start for start, stop in box])

    def _cut(self, active: list[int], groups: list[list[int]]) -> int:
        """How many active axes are taken as rows: one at least, and so many that no role stands on both sides."""
        for cut in range(min(1, len(active) - 1), len(active)):
            if cut >= 0 and not any(axes[0] < active[cut] <= axes[-1] for axes in map(sorted, groups)):
                return cut
        return len(active)

    def _columns(self, key: Box, parts: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], bool, int, int]:
        """Offsets along the inner axes, from the lowest; whether they are 0, 1, 2, …; the lowest; and the length of
        their range. Cached until the next `key`, since they are mostly the same for all rows."""
        if (known := self._inner.get(key)) is not None:
            return known
        columns = _summed(parts)
        low = int(columns.min())
        columns = columns - low
        found = (columns, np.array_equal(columns, np.arange(len(columns))), low, int(columns.max()) + 1)
        self._inner.clear()
        self._inner[key] = found
        return found


def _summed(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Offsets along several axes, flat in the axes' order."""
    total: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
    for part in parts:
        total = total + part
    return total.reshape(-1)


def _turned(values: NDArray[Any], order: Sequence[int]) -> NDArray[Any]:
    """An array of a view's rank with the axes of a plan; those that are left out have the size 1."""
    others = [axis for axis in range(values.ndim) if axis not in order]
    turned = values.transpose(*order, *others).reshape([values.shape[axis] for axis in order])
    return np.array(turned, order="C")


def _require_within(use: Use, order: Sequence[int], count: int) -> None:
    if len(use.stride) != len(use.shape) or min(use.shape, default=1) < 1:
        raise ValueError(f"no view of shape {use.shape}")
    reach = 0
    for axis in reversed(order):
        if use.stride[axis] <= reach:
            raise ValueError(f"a view of shape {use.shape} and strides {use.stride} overlaps itself")
        reach += (use.shape[axis] - 1) * use.stride[axis]
    if use.offset < 0 or use.offset + reach >= count:
        raise ValueError(f"a view reaches beyond its {count} numbers")


def _factors(use: Use, element: Element, places: Sequence[NDArray[np.int64] | None]) -> list[NDArray[np.float64]]:
    """The factors on the entries at their new positions; arrays along the same axes are joined."""
    along: dict[tuple[int, ...], tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
    for coefficient, variables in use.scales:
        if not fits(variables.shape, use.shape):
            raise ValueError(f"scales of shape {variables.shape} do not fit a view of shape {use.shape}")
        if not element.logs[variables].any() and not element.signs[variables].any():
            continue
        own = carried(variables, places)
        logs, signs = coefficient * element.logs[own], element.signs[own] & (coefficient % 2 != 0)
        if own.shape in along:
            logs, signs = logs + along[own.shape][0], signs ^ along[own.shape][1]
        along[own.shape] = (logs, signs)
    for logs, _ in along.values():
        # Two factors may cancel each other; separately one could be zero and the other infinite.
        if not bool((np.abs(logs) <= MOST).all()):
            raise ValueError(f"a factor beyond 2^{MOST} or below 2^-{MOST}")
    return [np.where(signs, -1.0, 1.0) * powers(logs) for logs, signs in along.values() if logs.any() or signs.any()]


def powers(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """2 to these powers, exact where they are whole numbers."""
    whole = np.rint(logs)
    found: NDArray[np.float64] = np.ldexp(np.exp2(logs - whole), whole.astype(np.int32))
    return found


def _kept_steps(stored: Sequence[Stored]) -> tuple[Stored, ...]:
    """Without the last products and changes of sign, which may as well come behind the factor."""
    steps = list(stored)
    while steps and steps[-1].kind in ("mul", "neg"):
        steps.pop()
    return tuple(steps)
