"""Data movement, executed on labels and scales."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures.labels import NONE
from nfn_cli.architectures.labels.hashing import mixed, several
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Ints, Unsupported, Value, move_array, squeezed


def move_value(trace: Trace, value: Value, move: Callable[[Tensor], Tensor], *, whole: bool = False) -> Value:
    """A value after data movement.

    Args:
        whole: whether every entry is moved, and to one place.
    """
    shape = value.shape
    moved_shape = tuple(move(torch.empty(shape, device="meta")).shape)
    factors: list[Factor] = []
    for factor in value.factors:
        labels = squeezed(move_array(factor.labels, shape, move))
        if any(
            size > 1 and other.labels.shape[axis] > 1 for other in factors for axis, size in enumerate(labels.shape)
        ):
            return move_value(trace, _jointly(trace, value), move, whole=whole)
        if not whole:
            _mark_parts(trace, factor.labels, labels)
        slots = None
        if labels.size > 1 and (labels.size != factor.labels.size or factor.slots is not None):
            slots = _moved_slots(value, factor, labels, move)
        if slots is not None and not whole:  # of some neurons others of their numbers may be left
            trace.mark(labels, slots)
        if labels.size > 1 or bool((labels == NONE).any()):
            factors.append(Factor(labels, slots))
    terms = tuple((coefficient, squeezed(move_array(array, shape, move))) for coefficient, array in value.terms)
    constant: frozenset[int] = frozenset()
    if value.constant or np.prod(moved_shape) > np.prod(shape):
        sizes = [1 if axis in value.constant else size for axis, size in enumerate(shape)]
        positions = move_array(np.arange(int(np.prod(sizes))).reshape(sizes), shape, move)
        constant = frozenset(
            axis
            for axis, size in enumerate(moved_shape)
            if size > 1 and bool((positions == positions.take([0], axis)).all())
        )
    data = move(value.data) if value.data is not None else None
    return Value(moved_shape, tuple(factors), terms, constant, data=data)


def _mark_parts(trace: Trace, before: Ints, after: Ints) -> None:
    """Where only some neurons are taken, or some of them more often, those are kept apart from the others."""
    old, counts = np.unique(before[before != NONE], return_counts=True)
    new, left = np.unique(after[after != NONE], return_counts=True)
    if len(old) == len(new) and len(np.unique(counts)) == len(np.unique(left)) == 1:
        return
    marks = np.zeros(len(old), np.int64)
    marks[np.searchsorted(old, new)] = left
    trace.mark(old, marks)


def _jointly(trace: Trace, value: Value) -> Value:
    """A value of which two factors come to stand along one axis: as one of neurons of both together."""
    if any(factor.slots is not None or (factor.labels == NONE).any() for factor in value.factors):
        raise Unsupported("neurons of two kinds that come to lie along one axis")
    shape = np.broadcast_shapes(*[factor.labels.shape for factor in value.factors])
    both = trace.new_labels(shape, trace.place)
    for factor in value.factors:
        trace.edge(both, np.broadcast_to(factor.labels, shape))
    return Value(value.shape, (Factor(both),), value.terms, value.constant, data=value.data)


def _moved_slots(value: Value, factor: Factor, labels: Ints, move: Callable[[Tensor], Tensor]) -> Ints | None:
    """Which of its neuron's numbers each entry is, where neurons have several along one axis now."""
    own = set(factor.axes)
    sizes = [1 if axis in own or axis in value.constant else size for axis, size in enumerate(value.shape)]
    slots = np.arange(int(np.prod(sizes))).reshape(sizes)
    if factor.slots is not None:
        slots = slots * (int(factor.slots.max()) + 1) + factor.slots
    moved = move_array(slots, value.shape, move)
    kept = [slice(None) if size > 1 else slice(0, 1) for size in labels.shape]
    first = moved[tuple(kept)]
    if first.shape != moved.shape:
        # Along the other axes the same entries must be next to each other, whatever their place there is.
        ours, theirs = np.broadcast_to(first, moved.shape).reshape(-1), moved.reshape(-1)
        rest = [axis for axis, size in enumerate(labels.shape) if size == 1]
        sizes = [moved.shape[axis] if axis in rest else 1 for axis in range(moved.ndim)]
        where = np.broadcast_to(np.arange(int(np.prod(sizes))).reshape(sizes), moved.shape).reshape(-1)
        if not several(mixed(where, ours)) == several(mixed(where, theirs)) == several(mixed(where, ours, theirs)):
            raise Unsupported("entries of one neuron are reordered differently from place to place")
    if bool((first == first.reshape(-1)[0]).all()):
        return None
    return np.unique(first, return_inverse=True)[1].reshape(first.shape)
