"""Values that meet entry by entry: their neurons must move together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nfn_cli.architectures.labels import NONE
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import (
    Factor,
    Ints,
    Parameter,
    Unsupported,
    Value,
    distinct,
    distinct_pairs,
)


def lift(trace: Trace, parameter: Parameter, against: Value | None = None) -> Value:
    """A parameter as a value of its own: along every axis neurons, each with a scale.

    Args:
        against: what it is about to meet: along an axis where that has numbers of its own and no neurons, the
            parameter has none either.
    """
    shape = parameter.shape
    factors, terms, constant = [], [], set()
    axes = []
    vector = sum(size > 1 for size in shape) == 1 and parameter.view.numel() == parameter.base.numel()
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if parameter.view.stride(axis) == 0:
            constant.add(axis)
            continue
        if against is not None:
            place = axis + len(against.shape) - len(shape)
            if place >= 0 and against.varies(place) and against.factor_on(place) is None:
                if vector:  # each of its numbers may still have a scale
                    terms.append((1.0, trace.new_scales(shape)))
                continue
        axes.append(axis)
    for axis in axes:
        own = [size if place == axis else 1 for place, size in enumerate(shape)]
        factors.append(Factor(trace.new_labels(own, _module(parameter.name))))
        terms.append((1.0, trace.new_scales(own)))
    if not terms:
        terms.append((1.0, trace.new_scales((1,) * len(shape))))
    trace.use(parameter, factors, terms)
    return Value(shape, tuple(factors), tuple(terms), frozenset(constant))


def _module(name: str) -> str:
    return name.rpartition(".")[0] or name


def join(trace: Trace, x: Value, y: Value) -> tuple[Value, Value, tuple[Factor, ...]]:
    """Have the neurons of two values move together, where entries meet under broadcasting.

    Returns:
        Both, brought to one rank, and the factors of what is made of them.
    """
    rank = max(len(x.shape), len(y.shape))
    x, y = x.lifted(rank), y.lifted(rank)
    x, y = _against(trace, x, y), _against(trace, y, x)
    return x, y, _joined(trace, x.factors, y.factors)


def _against(trace: Trace, one: Value, other: Value) -> Value:
    """Fix neurons where the other value has numbers that belong to no neuron; padded zeros are none then."""
    factors = []
    for factor in one.factors:
        axes = [axis for axis in factor.axes if other.varies(axis) and other.factor_on(axis) is None]
        if axes and (factor.labels == NONE).any():
            fresh = trace.new_labels(factor.labels.shape, trace.place)
            factor = replace(factor, labels=np.where(factor.labels == NONE, fresh, factor.labels))
            trace.mark(fresh, np.arange(fresh.size).reshape(fresh.shape))
        for axis in axes:
            trace.colour(factor.labels, axis)
        factors.append(factor)
    return replace(one, factors=tuple(factors))


def _joined(trace: Trace, ours: Sequence[Factor], theirs: Sequence[Factor]) -> tuple[Factor, ...]:
    left = list(theirs)
    found = []
    for factor in ours:
        partners = [other for other in left if set(other.axes) & set(factor.axes)]
        for other in partners:
            left = [each for each in left if each is not other]
            factor = _pair(trace, factor, other)
        found.append(factor)
    found += left
    # What was joined may have come to share an axis with another factor.
    for place, factor in enumerate(found):
        for other in found[place + 1 :]:
            if set(other.axes) & set(factor.axes):
                rest = [each for each in found if each is not factor and each is not other]
                return _joined(trace, [_pair(trace, factor, other)], rest)
    return tuple(found)


def _pair(trace: Trace, f: Factor, g: Factor) -> Factor:
    """One factor of two that share axes: their neurons move together, and what is made has the finer ones."""
    if set(g.axes) > set(f.axes):
        f, g = g, f
    shape = np.broadcast_shapes(f.labels.shape, g.labels.shape)
    ours, theirs = np.broadcast_to(f.labels, shape), np.broadcast_to(g.labels, shape)
    slots = _agreed(trace, f, g, shape)
    if set(g.axes) == set(f.axes):
        trace.unify(ours, theirs)
    elif set(g.axes) < set(f.axes):
        trace.edge(ours, theirs)
    determines = _determines(ours, theirs)
    if determines and set(g.axes) <= set(f.axes):
        return Factor(np.where(ours != NONE, ours, theirs), slots)
    if set(g.axes) == set(f.axes) and _determines(theirs, ours):
        return Factor(np.where(theirs != NONE, theirs, ours), slots)
    # Neurons of both together, which go where the two go.
    if slots is not None or (ours == NONE).any() or (theirs == NONE).any():
        raise Unsupported("neurons that meet along some of their axes only")
    both = trace.new_labels(shape, trace.place)
    trace.edge(both, ours)
    trace.edge(both, theirs)
    return Factor(both)


def _determines(ours: Ints, theirs: Ints) -> bool:
    """Whether entries of one of our neurons are entries of one of theirs."""
    known = (ours != NONE) & (theirs != NONE)
    mine, their = ours[known], theirs[known]
    count = distinct(mine)
    return count == mine.size or count == distinct_pairs(mine, their)


def _agreed(trace: Trace, f: Factor, g: Factor, shape: tuple[int, ...]) -> Ints | None:
    """The slots of what is made of two factors; a neuron keeps which of its numbers meet which."""
    if f.slots is None and g.slots is None:
        return None
    slots = np.zeros(shape, np.int64)
    for factor in (f, g):
        if factor.slots is not None:
            own = np.broadcast_to(factor.slots, shape)
            slots = slots * (int(own.max()) + 1) + own
    for factor in (f, g):
        trace.mark(np.broadcast_to(factor.labels, shape), slots)
    return slots


def equal_scales(trace: Trace, x: Value, y: Value) -> tuple[tuple[float, Ints], ...]:
    """Have two joined values be scaled alike; the terms of what is added from them.

    Where one of them is zero in every network, the other decides.
    """
    trace.relate([*x.terms, *[(-coefficient, array) for coefficient, array in y.terms]])
    if not x.terms or not y.terms:
        return ()  # what the other one is scaled by is 1, or it is zero
    if not _has_zeros(x):
        return x.terms
    if not _has_zeros(y):
        return y.terms
    ours, theirs = trace.derived(x.terms), trace.derived(y.terms)
    shape = np.broadcast_shapes(ours[0][1].shape, theirs[0][1].shape)
    mine, their = (np.broadcast_to(terms[0][1], shape) for terms in (ours, theirs))
    return ((1.0, np.where(mine != NONE, mine, their)),)


def _has_zeros(value: Value) -> bool:
    return any(bool((array == NONE).any()) for _, array in value.terms)
