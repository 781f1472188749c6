"""Normalisations: softmax, the mean of squares, RMSNorm and LayerNorm."""

from __future__ import annotations

import numpy as np

from nfn_cli.architectures.tracing.rules.registry import Call
from nfn_cli.architectures.tracing.values import Value
from nfn_cli.architectures.tracing.watching.notes import (
    LAYER_NORM,
    SOFTMAX,
    Bond,
    Made,
    Notes,
    Whole,
    is_flat,
    is_plain,
)


def softmax(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    x = call.args[0]
    if not isinstance(x, Value) or notes.is_scaled(x):
        return False
    axis = int(call.get(1, "dim")) % len(x.shape)
    notes.rigid += [factor.labels for factor in x.factors]
    notes.shifts.normalised(x, axis, SOFTMAX)
    if axis == len(x.shape) - 1 and "log" not in call.name:
        notes.sums[id(found)] = found
    return True


def squared(notes: Notes, call: Call, found: Value) -> bool:
    """The mean of squares along the last axis, in two steps; means along axes of no neurons."""
    x = call.args[0]
    if not isinstance(x, Value):
        return False
    if call.name != "mean":
        if (call.name == "pow" and call.get(1, "exponent") != 2) or notes.is_scaled(x):
            return False
        notes.squares[id(found)] = (found, x)
        notes.fail(x)
        return True
    rank = len(x.shape)
    given = call.get(1, "dim")
    axes = {
        int(axis) % rank
        for axis in (given if isinstance(given, (list, tuple)) else [given] if given is not None else range(rank))
    }
    if id(x) in notes.squares:
        before = notes.squares[id(x)][1]
        factor = before.factor_on(rank - 1)
        if axes != {rank - 1} or factor is None:
            return False
        others = tuple(axis for axis in factor.axes if axis != rank - 1)
        notes.rounds.append(factor.labels)
        notes.whole += [Whole(own.labels, others if own is factor else own.axes) for own in before.factors]
        return True
    if any(axes & set(factor.axes) for factor in x.factors) or notes.is_scaled(x):
        return False
    notes.fail(x)
    return True


def rms_normalised(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    """RMSNorm along the last axis."""
    return _normalised(notes, call, found, made, centres=False)


def layer_normalised(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    """LayerNorm along the last axis."""
    return _normalised(notes, call, found, made, centres=True)


def _normalised(notes: Notes, call: Call, found: Value, made: Made, *, centres: bool) -> bool:
    """A normalisation along the last axis; `centres`: whether it subtracts the mean of its inputs."""
    x = call.args[0]
    if not isinstance(x, Value) or len(call.args[1]) != 1 or notes.is_scaled(x):
        return False
    axis = len(x.shape) - 1
    factor, out = x.factor_on(axis), found.factor_on(axis)
    weight, bias = call.get(2, "weight"), call.get(3, "bias") if centres else None
    if centres:
        notes.shifts.normalised(x, axis, LAYER_NORM)
    else:
        notes.fail(x)
    if factor is None or out is None or factor.slots is not None:
        return False
    plain = is_plain(factor, axis) and is_plain(out, axis)
    if (weight is not None or bias is not None) and not plain:
        return False
    if any(own is not None and (not is_flat(own) or own.stored) for own in (weight, bias)):
        return False
    (notes.levelled if centres else notes.rounds).append(factor.labels)
    notes.whole += [Whole(own.labels, tuple(a for a in own.axes if a != axis)) for own in x.factors]
    if out.labels.shape != factor.labels.shape:
        return False
    notes.bonds.append(Bond(out.labels, factor.labels))
    if weight is not None:
        notes.scaled_by(weight.name, factor, found, made)
    if centres and plain:
        notes.means[id(found)] = (found, np.sort(out.labels.reshape(-1)), bias is not None)
    if bias is not None:
        for use in made.get(bias.name, []):
            notes.exempt += [role.labels for role in use.roles]
        if weight is None:
            return False
        notes.norm_biases.setdefault(weight.name, set()).add(bias.name)
        notes.shifts.adds(bias.name, found, axis)
    return True
