"""Sums over the slices of a view that can be read as a matrix, by products with vectors: fast, a chunk at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from nfn_cli.threads import threads_for

POWERS = {"squares": 2, "sizes": 3, "cubes": 3}
CHUNK = 1 << 16  # numbers in float64 at once, half a megabyte of them: they stay in a processor's cache
_LARGEST = 2.0**100  # of factors, and one over the smallest: their third powers, and sums of them, are numbers
Axes = tuple[int, ...]
Box = tuple[slice, ...]


def cut_of(shape: Sequence[int], factors: Sequence[Tensor], targets: Sequence[Axes]) -> int | None:
    """Where to cut a view's axes into those of rows and those of columns, none of the targets and factors on both
    sides; None where there is no such place, or a factor is too large."""
    spoken = [*targets, *(tuple(axis for axis, size in enumerate(own.shape) if size > 1) for own in factors)]
    cuts = [cut for cut in range(len(shape) + 1) if not any(axes and min(axes) < cut <= max(axes) for axes in spoken)]
    for factor in factors:
        sizes = factor[factor != 0].abs()
        if sizes.numel() and not (sizes.min() >= 1 / _LARGEST and sizes.max() <= _LARGEST):
            return None
    return min(cuts, key=lambda cut: math.prod(shape[:cut]) + math.prod(shape[cut:]), default=None)


def matrix_sums(
    view: Tensor, factors: Sequence[Tensor], targets: Sequence[Axes], kinds: Sequence[str], cut: int
) -> Mapping[Axes, Mapping[str, Tensor]]:
    """The sums of powers of a view's numbers, multiplied by factors, over its slices along some axes.

    Args:
        factors: float64, they broadcast against the view.
        targets: along which axes sums are wanted.
        kinds: of `POWERS`; sizes are third powers of absolute values.
        cut: as `cut_of` found it for these.

    Returns:
        For each of the targets and kinds float64, of the view's rank with size 1 along all other axes.
    """
    shape = tuple(view.shape)
    sides = (shape[:cut] + (1,) * (len(shape) - cut), (1,) * cut + shape[cut:])
    of_rows = [axes for axes in targets if not axes or max(axes) < cut]
    of_columns = [axes for axes in targets if axes and min(axes) >= cut]
    whole = [torch.ones(side, dtype=torch.float64) for side in sides]
    for factor in factors:
        rows = any(size > 1 for size in factor.shape[:cut])
        whole[not rows].mul_(factor)
    weights = {kind: [_power(own, kind) for own in whole] for kind in kinds}
    sums = {kind: [torch.zeros(side, dtype=torch.float64) for side in sides] for kind in kinds}
    # The same memory for all chunks: new memory costs as much as the work.
    room = torch.empty(2, min(CHUNK, view.numel()), dtype=torch.float64)
    with threads_for(CHUNK):
        for box in boxes(shape, CHUNK):
            places = (box[:cut] + (slice(None),) * (len(shape) - cut), (slice(None),) * cut + box[cut:])
            part = view[box]
            x, power = room[:, : part.numel()].view(2, math.prod(part.shape[:cut]), -1)
            x.view(part.shape).copy_(part)
            torch.mul(x, x, out=power)
            for kind in sorted(kinds, key=("squares", "cubes", "sizes").index):
                if kind == "cubes" or (kind == "sizes" and "cubes" not in kinds):
                    power.mul_(x)
                if kind == "sizes":
                    power.abs_()
                row, column = sums[kind]
                left, right = (own[place] for own, place in zip(weights[kind], places, strict=True))
                if of_rows:
                    own = row[places[0]]
                    own += (power @ right.reshape(-1)).view_as(own)
                if of_columns:
                    own = column[places[1]]
                    own += (left.reshape(-1) @ power).view_as(own)
    for kind, both in sums.items():
        for own, factor in zip(both, weights[kind], strict=True):
            own *= factor
    return {axes: {kind: _summed(both[axes in of_columns], axes) for kind, both in sums.items()} for axes in targets}


def boxes(shape: tuple[int, ...], chunk: int) -> Iterator[Box]:
    """Boxes of no more than a chunk each, together all entries."""
    if math.prod(shape) <= chunk or not shape:
        yield tuple(slice(0, size) for size in shape)
        return
    inner = math.prod(shape[1:])
    if inner <= chunk:
        step = max(1, chunk // max(inner, 1))
        for start in range(0, shape[0], step):
            yield (slice(start, min(start + step, shape[0])), *(slice(0, size) for size in shape[1:]))
        return
    for place in range(shape[0]):
        for rest in boxes(shape[1:], chunk):
            yield (slice(place, place + 1), *rest)


def _power(factor: Tensor, kind: str) -> Tensor:
    power = factor ** POWERS[kind]
    return power.abs() if kind == "sizes" else power


def _summed(sums: Tensor, axes: Axes) -> Tensor:
    others = [axis for axis, size in enumerate(sums.shape) if size > 1 and axis not in axes]
    return sums.sum(others, keepdim=True) if others else sums
