"""Sums of two values, sums of a value and a parameter, and concatenations."""

from __future__ import annotations

import numpy as np

from nfn_cli.architectures.tracing.rules.registry import Call
from nfn_cli.architectures.tracing.shifts import Alike
from nfn_cli.architectures.tracing.values import Parameter, Value
from nfn_cli.architectures.tracing.watching.notes import Bond, Made, Notes, is_flat, is_plain, made_roles


def added(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    x, y = call.args[:2]
    if isinstance(x, Parameter):
        x, y = y, x
    if not isinstance(x, Value) or not isinstance(y, (Value, Parameter)):
        return False
    if isinstance(y, Parameter):
        return not notes.is_scaled(x) and _parameter_added(notes, x, y, found, made)
    notes.is_scaled(x)  # what a sum sees no weight can take in; shifts pass all the same
    notes.is_scaled(y)
    rank = len(found.shape)
    ours, theirs = x.lifted(rank), y.lifted(rank)
    for one, other in ((ours, theirs), (theirs, ours)):
        for factor in one.factors:
            partner = next((own for own in other.factors if own.axes == factor.axes), None)
            if partner is None or partner.slots is not None or factor.slots is not None:
                notes.rigid.append(factor.labels)
            else:
                notes.bonds.append(Bond(factor.labels, partner.labels))
    notes.same(found, ours)
    notes.shifts.passed(x, found)
    notes.shifts.passed(y, found)
    return True


def _parameter_added(notes: Notes, x: Value, y: Parameter, found: Value, made: Made) -> bool:
    if not x.shape or not y.shape:  # a single number, along no axis
        return False
    out = found.factor_on(len(found.shape) - 1)
    read = x.factor_on(len(x.shape) - 1)
    if out is None or y.stored or y.shape[-1] != found.shape[-1] or not is_plain(out, len(found.shape) - 1):
        return False
    if read is None or len(found.factors) != 1 or not is_plain(read, len(x.shape) - 1):
        return False
    notes.bonds.append(Bond(out.labels.reshape(-1), read.labels.reshape(-1)))
    for use in made.get(y.name, []):
        roles = [role for role in use.roles if role.labels.size == found.shape[-1]]
        if len(roles) != len(use.roles):
            return False
        notes.bonds += [Bond(role.labels.reshape(-1), out.labels.reshape(-1)) for role in roles]
        notes.biases += [(role.labels.reshape(-1), out.labels.reshape(-1)) for role in roles]
        notes.signs.setdefault(y.name, []).append((use, made_roles(roles)))
    notes.shifts.passed(x, found)
    notes.shifts.writes(y.name, int(np.prod(y.shape)), found, -1)
    if is_flat(y):
        notes.shifts.adds(y.name, found, -1)
    return True


def concatenated(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    """A concatenation along an axis without neurons."""
    rank = len(found.shape)
    axis = int(call.get(1, "dim", 0)) % rank
    parts = call.args[0]
    last = found.factor_on(rank - 1)
    if axis == rank - 1 or found.factor_on(axis) is not None or any(len(part.shape) != rank for part in parts):
        return False
    if any(isinstance(part, Value) and notes.is_scaled(part) for part in parts):
        return False
    for part in parts:
        if isinstance(part, Parameter):
            uses = made.get(part.name, [])
            if last is None or part.stored or part.shape[-1] != found.shape[-1] or not is_plain(last, rank - 1):
                return False
            if any(role.labels.size != found.shape[-1] for use in uses for role in use.roles):
                return False
            for use in uses:
                notes.bonds += [Bond(role.labels.reshape(-1), last.labels.reshape(-1)) for role in use.roles]
                notes.signs.setdefault(part.name, []).append((use, made_roles(use.roles)))
    for part in parts:
        if isinstance(part, Value):
            notes.same(part, found)
            if {factor.axes for factor in part.factors} != {factor.axes for factor in found.factors}:
                notes.hold(part)
                notes.hold(found)
            for shift in notes.shifts.of(part):
                if isinstance(shift, Alike) and shift.axis != axis:
                    notes.shifts.carry(found, [shift])
                else:
                    notes.shifts.fail(shift)
        else:
            notes.shifts.writes(part.name, int(np.prod(part.base.shape)), found, -1)
    return True


def negated(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    """A value with its sign changed."""
    x = call.args[0]
    if isinstance(x, Value) and not notes.is_scaled(x):
        notes.shifts.passed(x, found)
        return True
    return False
