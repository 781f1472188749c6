"""Matrix products of two values: queries with keys, attention weights with values."""

from __future__ import annotations

import numpy as np

from nfn_cli.architectures.tracing.rules.registry import Call
from nfn_cli.architectures.tracing.values import Parameter, Value
from nfn_cli.architectures.tracing.watching.notes import SOFTMAX, Bond, Made, Notes, Whole


def multiplied(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    """A matrix product of two values."""
    x, y = call.args[:2]
    return isinstance(x, Value) and isinstance(y, Value) and _product(notes, x, y, found)


def _product(notes: Notes, x: Value, y: Value, found: Value) -> bool:
    """A product of two values: the axes that are summed over are a space and its dual, the others pass through."""
    if min(len(x.shape), len(y.shape)) < 2 or notes.is_scaled(x) | notes.is_scaled(y):
        return False
    rank = len(found.shape)
    weights = id(x) in notes.sums
    x, y, own_x, own_y = x.lifted(rank), y.lifted(rank), x, y
    read, theirs = x.factor_on(rank - 1), y.factor_on(rank - 2)
    if (read is None) != (theirs is None):
        return False
    for value in (x, y):
        if any(factor.slots is not None for factor in value.factors):
            return False
    if read is not None and theirs is not None:
        mine = np.swapaxes(read.labels, -1, -2)
        if mine.shape[-1] != 1 or theirs.labels.shape[-1] != 1:
            return False
        notes.bonds.append(Bond(mine, theirs.labels, odd=True))
        notes.keys += [mine, theirs.labels]
    batch = tuple(range(rank - 2))
    for value, other in ((x, y), (y, x)):
        varies = tuple(axis for axis in batch if other.varies(axis) or other.factor_on(axis) is not None)
        for factor in value.factors:
            notes.whole.append(Whole(factor.labels, tuple(axis for axis in factor.axes if axis in varies)))
    for factor in found.factors:
        for own, axis in ((x, rank - 2), (y, rank - 1)):
            # Rows of x, and columns of y, pass.
            passing = own.factor_on(axis)
            if passing is not None and factor.labels.shape[axis] > 1:
                notes.bonds.append(Bond(factor.labels, passing.labels))
                if weights and own is y:
                    notes.values.append(passing.labels)
    if weights:
        notes.shifts.weighed(own_y, found)
    elif read is not None:
        notes.shifts.compared(own_y, found, -1)
    else:
        notes.fail(own_y)
    notes.fail(own_x)
    return True


def attention(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    q, k, v = call.args[:3]
    if not all(isinstance(own, Value) and len(own.shape) == 4 for own in (q, k, v)) or call.kwargs.get("enable_gqa"):
        return False
    if any(notes.is_scaled(own) for own in (q, k, v)) or any(
        f.slots is not None for own in (q, k, v) for f in own.factors
    ):
        return False
    ours, theirs = q.factor_on(3), k.factor_on(3)
    if ours is None or theirs is None or q.factor_on(2) is not None or k.factor_on(2) is not None:
        return False
    if v.factor_on(2) is not None:
        return False
    notes.bonds.append(Bond(ours.labels, theirs.labels, odd=True))
    notes.keys += [ours.labels, theirs.labels]
    for own in (q, k, v):
        for factor in own.factors:
            notes.whole.append(Whole(factor.labels, tuple(axis for axis in factor.axes if axis < 2)))
    out, value = found.factor_on(3), v.factor_on(3)
    if out is not None and value is not None:
        notes.bonds.append(Bond(out.labels, value.labels))
        notes.values.append(value.labels)
    mask = call.get(3, "attn_mask")
    for shift in notes.shifts.of(k):
        if getattr(shift, "array", np.zeros((2, 2))).shape[-2] == 1:
            notes.shifts.take(shift, SOFTMAX)
        else:
            notes.shifts.fail(shift)
    if mask is None:
        notes.shifts.weighed(v, found)
    else:  # a row of which all is masked has no weights
        notes.fail(v)
    notes.fail(q)
    notes.fail(mask)
    return not isinstance(mask, Parameter)
