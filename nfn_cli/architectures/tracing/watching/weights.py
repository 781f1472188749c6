"""Linear layers, their biases, and embedding tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from nfn_cli.architectures.tracing.rules.registry import Call
from nfn_cli.architectures.tracing.values import Factor, Parameter, Value
from nfn_cli.architectures.tracing.watching.notes import (
    Bond,
    Centred,
    Labels,
    Made,
    Notes,
    Whole,
    is_flat,
    is_plain,
    made_roles,
)


def dense(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    """A weight that acts as one matrix along one axis."""
    bias: Any = None
    if call.name == "addmm":
        bias, x, weight = call.args[:3]
    else:
        x, weight = call.args[:2]
        bias = call.get(2, "bias") if call.name not in ("matmul", "mm", "__matmul__") else None
    if not isinstance(x, Value) or not isinstance(weight, Parameter) or weight.stored or not is_flat(bias):
        return False
    axis = len(x.shape) - 1
    if call.name.startswith("conv"):
        groups = int(call.args[8] if call.name == "convolution" else call.get(6, "groups", 1))
        if groups != 1 or (call.name == "convolution" and call.args[6]):
            return False
        axis = len(x.shape) - len(weight.shape) + 1
    elif len(weight.shape) != 2:
        return False
    read = x.factor_on(axis)
    out = found.factor_on(axis)
    if (read is not None and not is_plain(read, axis)) or out is None or not is_plain(out, axis):
        return False
    if bias is not None:  # alike along other axes, which is nothing that a matrix there would keep
        notes.rigid += [factor.labels for factor in found.factors if factor is not out]
    _matrix(notes, weight.name, made, read)
    if id(x) in notes.scaled:
        notes.absorbed.append((notes.scaled[id(x)][1], weight.name))
    if id(x) in notes.means and read is not None and not call.name.startswith("conv"):
        _, labels, shifted = notes.means[id(x)]
        own_bias = {bias.name} if isinstance(bias, Parameter) and not bias.stored else set()
        if np.array_equal(np.sort(read.labels.reshape(-1)), labels) and (own_bias or not shifted):
            alone = frozenset({weight.name} | (own_bias if shifted else set()))
            notes.centred.append(Centred(weight.name, out.labels.size, alone))
    # Around a convolution stand zeros, to which nothing is added.
    takes = isinstance(bias, Parameter) and not bias.stored and not call.name.startswith("conv")
    notes.shifts.read(x, axis, bias.name if takes else None)
    notes.shifts.writes(weight.name, int(np.prod(weight.shape)), found, axis)
    _bias(notes, bias, out, found, axis, made)
    return True


def _matrix(notes: Notes, name: str, made: Made, read: Factor | None) -> None:
    labels = None if read is None else np.unique(read.labels)
    for use in made.get(name, []):
        roles: list[tuple[Labels, int]] = []
        for role in use.roles:
            reads = labels is not None and bool(np.isin(role.labels, labels).all())
            roles.append((role.labels, -1 if reads else 1))
            notes.whole.append(Whole(role.labels))
        notes.signs.setdefault(name, []).append((use, roles))


def _bias(notes: Notes, bias: Any, out: Factor, found: Value, axis: int, made: Made) -> None:
    if not isinstance(bias, Parameter):
        return
    for use in made.get(bias.name, []):
        for role in use.roles:
            notes.bonds.append(Bond(role.labels.reshape(-1), out.labels.reshape(-1)))
            notes.biases.append((role.labels.reshape(-1), out.labels.reshape(-1)))
        notes.signs.setdefault(bias.name, []).append((use, made_roles(use.roles)))
    notes.shifts.writes(bias.name, int(np.prod(bias.shape)), found, axis)
    notes.shifts.adds(bias.name, found, axis)


def embedded(notes: Notes, call: Call, found: Value, made: Made) -> bool:
    table = call.args[0]
    if not isinstance(table, Parameter) or table.stored or len(table.shape) != 2:
        return False
    _matrix(notes, table.name, made, None)
    notes.shifts.writes(table.name, int(np.prod(table.shape)), found, -1)
    return True
