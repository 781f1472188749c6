"""Operators that only move data."""

from __future__ import annotations

from typing import Any

from nfn_cli.architectures.tracing.rules.registry import Call
from nfn_cli.architectures.tracing.shifts import Move
from nfn_cli.architectures.tracing.values import Value
from nfn_cli.architectures.tracing.watching.notes import Notes, Whole, parts_of

SPLITS = ("split", "split_with_sizes", "chunk", "unbind", "tensor_split", "unsafe_split", "unsafe_chunk")
EXPANDS = ("expand", "expand_as", "broadcast_to", "view_as", "reshape_as")


def moved(notes: Notes, call: Call, found: Any) -> None:
    """The result has the neurons of the operand, and its shifts, gains and means."""
    x = call.args[0]
    for place, part in enumerate(parts_of(found)):
        if not isinstance(part, Value):
            continue
        for factor in part.factors:
            notes.whole.append(Whole(factor.labels))
            if factor.slots is not None:
                notes.rigid.append(factor.labels)
        notes.shifts.moved(x, part, _move(call, part.shape, place, several=part is not found))
        if id(x) in notes.scaled:
            notes.scaled[id(part)] = (part, notes.scaled[id(x)][1])
        if id(x) in notes.means:
            notes.means[id(part)] = (part, *notes.means[id(x)][1:])
        if id(x) in notes.squares:
            notes.hold(part)


def _move(call: Call, shape: tuple[int, ...], place: int, *, several: bool) -> Move:
    if call.name in EXPANDS:
        return lambda tensor: tensor.reshape(shape) if call.name.endswith("_as") else tensor.expand(shape)
    if several:
        return lambda tensor: call.target(tensor, *call.args[1:], **call.kwargs)[place]
    return lambda tensor: call.target(tensor, *call.args[1:], **call.kwargs)
