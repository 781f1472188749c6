"""Elementwise products with a number, with gains, or with another value."""

from __future__ import annotations

from nfn_cli.architectures.tracing.rules.registry import Call
from nfn_cli.architectures.tracing.values import Parameter, Value
from nfn_cli.architectures.tracing.watching.notes import Bond, Made, Notes, Whole, is_flat, is_plain


def scaled(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    x, y = call.args[:2]
    if isinstance(x, (int, float)) and call.name.startswith("mul"):
        x, y = y, x
    if isinstance(y, (int, float)):
        if isinstance(x, Value) and found is not x:
            notes.shifts.passed(x, found)
        return isinstance(x, Value)
    if call.name.startswith("mul") and isinstance(x, Parameter):
        x, y = y, x
    if isinstance(y, Parameter):
        return isinstance(x, Value) and call.name.startswith("mul") and _gain(notes, x, y, found, made)
    if not isinstance(x, Value) or not isinstance(y, Value) or notes.is_scaled(y) | notes.is_scaled(x):
        return False
    rank = len(found.shape)
    x, y = x.lifted(rank), y.lifted(rank)
    if x.shape != found.shape:
        x, y = y, x
    if call.name.startswith("div") and call.args[0].lifted(rank).shape != x.shape:
        return False
    by = tuple(axis for axis in range(rank) if y.varies(axis) or y.factor_on(axis) is not None)
    for factor in x.factors:
        if factor.slots is not None:
            notes.rigid.append(factor.labels)
        notes.whole.append(Whole(factor.labels, tuple(axis for axis in factor.axes if axis in by)))
    for factor in y.factors:
        notes.rigid.append(factor.labels)
    notes.same(found, x)
    notes.fail(call.args[1])
    notes.fail(call.args[0])
    return True


def _gain(notes: Notes, x: Value, gain: Parameter, found: Value, made: Made) -> bool:
    """Gains along the last axis, which the weights that read the product can absorb."""
    axis = len(found.shape) - 1
    factor = found.factor_on(axis)
    inside = x.factor_on(axis)
    if (
        notes.is_scaled(x)
        or factor is None
        or inside is None
        or not is_plain(factor, axis)
        or not is_plain(inside, axis)
    ):
        return False
    if not is_flat(gain) or gain.shape[0] != found.shape[axis] or not all(step.kind == "add" for step in gain.stored):
        return False
    notes.scaled_by(gain.name, inside, found, made)
    notes.bonds.append(Bond(factor.labels, inside.labels))
    notes.fail(x)
    return True
