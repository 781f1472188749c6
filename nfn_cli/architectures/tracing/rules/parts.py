"""Values put together: concatenation, stacking, padding."""

from __future__ import annotations

import numpy as np
import torch

from nfn_cli.architectures.labels import NONE
from nfn_cli.architectures.tracing.joining import equal_scales, join, lift
from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.elementwise import refuse_zeros
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import (
    Factor,
    Ints,
    Parameter,
    Unsupported,
    Value,
    squeezed,
)


@rule("cat", "concat", "concatenate", "hstack", "vstack")
def cat(trace: Trace, call: Call) -> Value:
    """Values one behind another."""
    rank = len(call.shape)
    axis = call.get(1, "dim", 0) if call.name.startswith(("cat", "concat")) else int(call.name == "hstack" and rank > 1)
    parts = [part for part in call.args[0] if not (len(part.shape) == 1 and part.shape[0] == 0)]
    live = next((part for part in parts if isinstance(part, Value) and part.is_live), None)
    values = []
    for part in parts:
        if isinstance(part, Parameter):
            # What it meets along the other axes is what the other parts are there.
            against = None if live is None else _beside(live, axis % rank)
            part = lift(trace, part, against)
        values.append(part)
    return joined_along(trace, values, axis % rank)


@rule("stack")
def stack(trace: Trace, call: Call) -> Value:
    """Values along a new axis."""
    axis = call.get(1, "dim", 0) % len(call.shape)
    values = [move_value(trace, as_value(trace, part), lambda tensor: tensor.unsqueeze(axis)) for part in call.args[0]]
    return joined_along(trace, values, axis)


def joined_along(trace: Trace, values: list[Value], axis: int) -> Value:
    """Values one behind another along an axis."""
    if not any(value.is_live for value in values):
        shape = list(values[0].shape)
        shape[axis] = sum(value.shape[axis] for value in values)
        return Value(tuple(shape))
    labelled = any(value.factor_on(axis) is not None for value in values) or any(
        array.shape[axis] > 1 for value in values for _, array in value.terms
    )
    _refuse_beside(values, axis)
    # Along the other axes all parts have the same neurons.
    crosswise = [_without(value, axis) for value in values]
    merged = crosswise[0]
    for other in crosswise[1:]:
        x, y, factors = join(trace, merged, other)
        merged = Value(x.shape, factors, (), x.constant & y.constant)
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    if not labelled:
        common = values[0].terms
        for value in values[1:]:
            common = equal_scales(trace, Value(tuple(shape), (), common), Value(tuple(shape), (), value.terms))
        return Value(tuple(shape), merged.factors, common)
    pieces: list[Factor] = []
    terms: list[Ints] = []
    for value in values:
        factor = value.factor_on(axis)
        if factor is None:
            pieces.append(_plain(trace, value, axis))
        else:
            if len(value.factors) > 1 and len(factor.axes) > 1:
                raise Unsupported("parts with neurons along several axes")
            pieces.append(factor)
        terms.append(_one(trace, value))
    if any(set(factor.axes) & set(piece.axes) for factor in merged.factors for piece in pieces):
        raise Unsupported("parts with neurons along different axes")
    rest = merged.factors
    full = [tuple(value.shape) for value in values]
    labels = squeezed(
        np.concatenate([np.broadcast_to(piece.labels, _along(piece.labels, own, axis, pieces))
                        for piece, own in zip(pieces, full, strict=True)], axis)
    )  # fmt: skip
    slots = _slots(trace, pieces, labels, full, axis)
    scales = squeezed(np.concatenate([np.broadcast_to(term, _shape(term, own, axis, terms)) for term, own in
                                      zip(terms, full, strict=True)], axis))  # fmt: skip
    return Value(tuple(shape), (*rest, Factor(labels, slots)), ((1.0, scales),))


def _refuse_beside(values: list[Value], axis: int) -> None:
    """Refuse neurons of several axes beside numbers that have none along one of these.

    Raises:
        Unsupported: there are.
    """
    joint = {place for value in values for factor in value.factors for place in factor.axes
             if factor.labels.shape[axis] > 1 and place != axis}  # fmt: skip
    for place in joint:
        for value in values:
            own = value.factor_on(place)
            if value.varies(place) and (own is None or own.labels.shape[axis] == 1):
                raise Unsupported("parts with neurons along several axes beside others")


def _beside(live: Value, axis: int) -> Value:
    """What a parameter meets that stands beside a value along an axis: no neurons there unless the value has some."""
    own = 1 if live.factor_on(axis) is not None else 2
    shape = tuple(own if place == axis else size for place, size in enumerate(live.shape))
    return Value(shape, tuple(factor for factor in live.factors if factor.labels.shape[axis] == 1))


def _shape(array: Ints, own: tuple[int, ...], axis: int, arrays: list[Ints]) -> list[int]:
    sizes = [max(each.shape[place] for each in arrays) for place in range(array.ndim)]
    sizes[axis] = own[axis]
    return sizes


def _along(array: Ints, own: tuple[int, ...], axis: int, pieces: list[Factor]) -> list[int]:
    return _shape(array, own, axis, [piece.labels for piece in pieces])


def _without(value: Value, axis: int) -> Value:
    """A value as it is along the axes but one; a factor along that axis and others speaks of none of them."""
    shape = tuple(1 if place == axis else size for place, size in enumerate(value.shape))
    constant = set(value.constant)
    factors = []
    for factor in value.factors:
        if factor.labels.shape[axis] == 1:
            factors.append(factor)
        else:
            constant |= {place for place in factor.axes if place != axis}
    return Value(shape, tuple(factors), (), frozenset(constant - {axis}))


def _plain(trace: Trace, value: Value, axis: int) -> Factor:
    """Entries that belong to no neuron, as neurons that stay in their positions."""
    shape = [size if place == axis else 1 for place, size in enumerate(value.shape)]
    labels = trace.new_labels(shape, trace.place)
    trace.colour(labels, axis)
    return Factor(labels)


def _one(trace: Trace, value: Value) -> Ints:
    if not value.terms:
        made = trace.new_scales((1,) * len(value.shape))
        trace.relate([(1.0, made)])
        return made
    if len(value.terms) == 1 and value.terms[0][0] == 1:
        return value.terms[0][1]
    return trace.derived(value.terms)[0][1]


def _slots(trace: Trace, pieces: list[Factor], labels: Ints, full: list[tuple[int, ...]], axis: int) -> Ints | None:
    known = labels[labels != NONE]
    if all(piece.slots is None for piece in pieces) and len(np.unique(known)) == known.size:
        return None
    found, first = [], 0
    for piece, own in zip(pieces, full, strict=True):
        shape = _along(piece.labels, own, axis, pieces)
        slots = np.zeros_like(piece.labels) if piece.slots is None else piece.slots
        found.append(np.broadcast_to(slots + first, shape))
        first += int(slots.max()) + 1
    return np.concatenate(found, axis)


@rule("constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d",
      "reflection_pad3d", "replication_pad3d", "zero_pad2d")  # fmt: skip
def pad(trace: Trace, call: Call) -> Value:
    """More entries at the ends of axes."""
    x = as_value(trace, call.args[0])
    sizes = list(call.args[1])
    mode, number = call.get(2, "mode", "constant"), call.get(3, "value", 0.0)
    if call.name == "constant_pad_nd":
        mode, number = "constant", call.get(2, "value", 0.0)
    elif call.name != "pad":
        mode = call.name.partition("_")[0]
    rank = len(x.shape)
    padded = {rank - 1 - place // 2 for place, size in enumerate(sizes) if size}
    touched = [factor for factor in x.factors if set(factor.axes) & padded]
    scaled = any(array.shape[axis] > 1 for _, array in x.terms for axis in padded)
    if not touched and not scaled:
        if mode == "constant" and number:
            refuse_zeros(x)
            trace.still(x)
        return Value(call.shape, x.factors, x.terms, x.constant - padded)
    if mode != "constant" or number or any(size < 0 for size in sizes):
        raise Unsupported("neurons padded with anything but zeros")

    def with_none(array: Ints) -> Ints:
        full = torch.from_numpy(np.ascontiguousarray(np.broadcast_to(array, x.shape)))
        return squeezed(torch.nn.functional.pad(full, sizes, value=NONE).numpy())

    factors = []
    for factor in x.factors:
        slots = None
        if factor.slots is not None:
            slots = torch.nn.functional.pad(
                torch.from_numpy(np.ascontiguousarray(np.broadcast_to(factor.slots, x.shape))), sizes
            ).numpy()
            index = tuple(slice(None) if size > 1 else slice(0, 1) for size in with_none(factor.labels).shape)
            slots = slots[index]
        factors.append(Factor(with_none(factor.labels), slots))
    return Value(call.shape, tuple(factors), tuple((c, with_none(array)) for c, array in x.terms))
