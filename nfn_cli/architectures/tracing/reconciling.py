"""One tensor that is used in several ways: they have to agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import Use
from nfn_cli.architectures.tracing.joining import join
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Ints, Term, Unsupported, Value


def reconciled(trace: Trace, name: str, shape: Sequence[int], uses: Sequence[Use]) -> list[Use]:
    """Uses that do not overlap: of one view that is used twice, both agree."""
    kept: list[Use] = []
    size = int(np.prod(shape))
    for use in uses:
        for own in kept:
            if _region(own) == _region(use):
                _agree(trace, name, own, use)
                break
            if _meet(own, use, size):
                raise Unsupported(f"{name} is used in two views that overlap")
        else:
            kept.append(use)
    covered = sum(int(np.prod(use.shape)) for use in kept)
    if covered < size:
        raise Unsupported(f"{name} is used only in part ({covered} of {size} numbers)")
    for use in kept:
        _refuse_crossing(name, use)
    return kept


def _refuse_crossing(name: str, use: Use) -> None:
    axes = [axis for role in use.roles for axis, size in enumerate(role.labels.shape) if size > 1]
    if len(axes) > len(set(axes)):
        raise Unsupported(f"{name} has neurons of two kinds along one axis")


def _region(use: Use) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The numbers that a view has, whatever the order of its axes: axes that lie behind each other are one."""
    axes = sorted(
        ((stride, size) for stride, size in zip(use.stride, use.shape, strict=True) if size > 1), reverse=True
    )
    merged: list[tuple[int, int]] = []
    for stride, size in axes:
        if merged and merged[-1][0] == stride * size:
            merged[-1] = (stride, merged[-1][1] * size)
        else:
            merged.append((stride, size))
    return use.offset, tuple(merged)


def _meet(own: Use, other: Use, size: int) -> bool:
    spans = []
    for use in (own, other):
        last = use.offset + sum((n - 1) * stride for n, stride in zip(use.shape, use.stride, strict=True))
        spans.append((use.offset, last))
    if spans[0][1] < spans[1][0] or spans[1][1] < spans[0][0]:
        return False
    marks = np.zeros(size, np.int8)
    for use in (own, other):
        view = np.lib.stride_tricks.as_strided(
            marks[use.offset :], use.shape, [stride * marks.itemsize for stride in use.stride]
        )
        view += 1
    return bool((marks > 1).any())


def _agree(trace: Trace, name: str, own: Use, other: Use) -> None:
    """The same numbers in two roles: both must hold."""
    if own.stored != other.stored and any(step.kind != "mul" for step in (*own.stored, *other.stored)):
        raise Unsupported(f"{name} is used behind two different functions")
    axes = _refined(name, own, other)
    x, y, _ = join(trace, _as_value(own, axes), _as_value(other, axes))
    trace.relate([*x.terms, *[(-coefficient, array) for coefficient, array in y.terms]])


def _refined(name: str, own: Use, other: Use) -> list[tuple[int, int]]:
    """Axes so fine that both views have them, as (stride, size) in the order of falling strides.

    Raises:
        Unsupported: there are none.
    """
    cuts: set[int] = set()
    for use in (own, other):
        for stride, size in zip(use.stride, use.shape, strict=True):
            cuts |= {stride, stride * size}
    axes = []
    for large, small in pairwise(sorted(cuts, reverse=True)):
        if large % small:
            raise Unsupported(f"{name} is used in two views of different axes")
        axes.append((small, large // small))
    return axes


def _as_value(use: Use, axes: list[tuple[int, int]]) -> Value:
    """A use as a value on finer axes, in the order of falling strides."""
    parts: list[list[int]] = []
    order: list[int] = []
    for stride, size in zip(use.stride, use.shape, strict=True):
        inside = [place for place, (own, n) in enumerate(axes) if stride <= own and own * n <= stride * size]
        parts.append([axes[place][1] for place in inside])
        order += inside
    place_of = {place: position for position, place in enumerate(order)}
    kept = sorted(order)

    def finer(array: NDArray[np.int32]) -> Ints:
        sizes: list[int] = []
        for axis, split in enumerate(parts):
            sizes += split if array.shape[axis] > 1 else [1] * len(split)
        wide = array.reshape(sizes).transpose([place_of[place] for place in kept])
        full = [1] * len(axes)
        for position, place in enumerate(kept):
            full[place] = wide.shape[position]
        return wide.reshape(full).astype(np.int64)

    factors = tuple(Factor(finer(role.labels), None if role.slots is None else finer(role.slots)) for role in use.roles)
    terms: tuple[Term, ...] = tuple((float(c), finer(array)) for c, array in use.scales)
    return Value(tuple(size for _, size in axes), factors, terms)
