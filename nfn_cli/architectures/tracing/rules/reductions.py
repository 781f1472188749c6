"""Sums, means, extremes and norms over axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.choices import extreme as extreme_of_two
from nfn_cli.architectures.tracing.rules.elementwise import refuse_zeros
from nfn_cli.architectures.tracing.rules.registry import Call, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Ints, Parameter, Term, Unsupported, Value


def axes_of(given: Any, rank: int) -> list[int]:
    """Axes as an operator takes them: one, several, or all."""
    if given is None or given == []:
        return list(range(rank))
    several = given if isinstance(given, (list, tuple)) else [given]
    return sorted({int(axis) % rank for axis in several})


def gathered(trace: Trace, factor: Factor, axes: Sequence[int]) -> Ints | None:
    """Neurons that enter one number together: what stands for each such number; None where there is one for all."""
    shape = [1 if axis in axes else size for axis, size in enumerate(factor.labels.shape)]
    if int(np.prod(shape)) == 1:
        return None
    nodes = trace.new_labels(shape, trace.place)
    if factor.slots is not None:
        # Numbers of different slots stay apart, such as those of a batch and of its heads.
        slots = np.broadcast_to(factor.slots, factor.labels.shape)
        own = tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(slots.ndim))
        if not bool((slots == slots[own]).all()):
            raise Unsupported("a sum over some numbers of a neuron")
        trace.mark(nodes, slots[own])
    trace.edge(factor.labels, np.broadcast_to(nodes, factor.labels.shape))
    return nodes


def alike(
    trace: Trace, terms: Sequence[Term], axes: Sequence[int], *, logs: bool = True, signs: bool = True
) -> tuple[Term, ...]:
    """Have scales be equal along axes; the terms of what is made of all."""
    if not any(array.shape[axis] > 1 for _, array in terms for axis in axes):
        return tuple(terms)
    shape = np.broadcast_shapes(*[array.shape for _, array in terms])
    common = trace.new_scales([1 if axis in axes else size for axis, size in enumerate(shape)])
    negated = [(-coefficient, array) for coefficient, array in terms]
    trace.relate([(1.0, common), *negated], logs=logs, signs=signs)
    return ((1.0, common),)


def summed(trace: Trace, x: Value, axes: Sequence[int], *, keep: bool) -> Value:
    """A sum over axes: what is summed is scaled alike."""
    factors = []
    for factor in x.factors:
        if set(factor.axes) & set(axes):
            nodes = gathered(trace, factor, axes)
            if nodes is not None:
                factors.append(Factor(nodes))
        else:
            factors.append(factor)
    terms = alike(trace, x.terms, axes)
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    value = Value(shape, tuple(factors), terms, x.constant - set(axes))
    return value if keep else without_axes(trace, value, axes)


def without_axes(trace: Trace, value: Value, axes: Sequence[int]) -> Value:
    """A value without axes of size 1."""
    for axis in sorted(axes, reverse=True):
        value = move_value(trace, value, lambda tensor: tensor.squeeze(axis), whole=True)  # noqa: B023 (called at once)
    return value


@rule("sum", "mean", "nanmean", "nansum")
def mean(trace: Trace, call: Call) -> Value:
    """Sums and means."""
    x = call.value(trace, 0)
    axes = axes_of(call.get(1, "dim"), len(x.shape))
    return summed(trace, x, axes, keep=bool(call.get(2, "keepdim", False)))


@rule("amax", "amin", "max", "min", "logsumexp", "median", "aminmax", "all", "any", "quantile")
def extreme(trace: Trace, call: Call) -> object:
    """Extremes: no sign may change; of the logarithm of a sum, and of what is true, nothing may."""
    if call.name in ("max", "min") and len(call.args) > 1 and isinstance(call.args[1], (Value, Parameter)):
        return extreme_of_two(trace, call)
    if call.name == "quantile":
        raise Unsupported("quantiles")
    x = call.value(trace, 0)
    axes = axes_of(call.get(1, "dim"), len(x.shape))
    refuse_zeros(x)
    trace.still(x, logs=call.name in ("logsumexp", "all", "any"))
    value = summed(trace, x, axes, keep=bool(call.get(2, "keepdim", False)))
    if call.name == "aminmax":
        return [value, value]
    if len(call.shapes) > 1:
        # With the positions of the extremes, which differ only where there are no neurons.
        touched = any(set(factor.axes) & set(axes) for factor in x.factors)
        if touched:
            return [value, Value(call.shapes[1], points=np.zeros((0,), np.int64))]
        return [value, replace(value, terms=())]
    return value


@rule("argmax", "argmin")
def argmax(trace: Trace, call: Call) -> Value:
    """The place of an extreme: neurons that it may be are fixed."""
    x = call.value(trace, 0)
    refuse_zeros(x)
    trace.still(x, logs=False)
    axes = axes_of(call.get(1, "dim"), len(x.shape))
    alike(trace, x.terms, axes)
    return fixed(trace, x, axes, call)


def fixed(trace: Trace, x: Value, axes: Sequence[int], call: Call) -> Value:
    """What depends on the order along axes: their neurons stay in their positions."""
    for factor in x.factors:
        for axis in factor.axes:
            if axis in axes:
                trace.colour(factor.labels, axis)
    rest = tuple(factor for factor in x.factors if not set(factor.axes) & set(axes))
    for factor in x.factors:
        if set(factor.axes) & set(axes) and set(factor.axes) - set(axes):
            raise Unsupported("an order of neurons of several others")
    value = Value(tuple(1 if axis in axes else size for axis, size in enumerate(x.shape)), rest, ())
    return value if call.get(2, "keepdim", False) else without_axes(trace, value, axes)


@rule("cumsum", "cumprod", "sort", "argsort", "logcumsumexp", "cummax", "cummin", "prod", "diff", "unique", "tril",
      "triu", "trapezoid", "kthvalue", "mode", "cdist", "fft_fft", "fft_rfft", "fft_irfft")  # fmt: skip
def ordered(trace: Trace, call: Call) -> object:
    """What depends on an order: everything stays as it is."""
    x = call.value(trace, 0)
    for more in (*call.args[1:], *call.kwargs.values()):
        if isinstance(more, Parameter) or (isinstance(more, Value) and more.is_live):
            raise Unsupported("a second tensor that the group moves")
    refuse_zeros(x)
    if call.name in ("tril", "triu"):
        touched = [factor for factor in x.factors if set(factor.axes) & {len(x.shape) - 1, len(x.shape) - 2}]
        if not touched:
            return replace(x, data=None, constant=x.constant - {len(x.shape) - 1, len(x.shape) - 2})
    if call.name == "cumsum" and x.factors:
        axis = int(call.args[1]) % len(x.shape)
        if x.factor_on(axis) is None and not any(array.shape[axis] > 1 for _, array in x.terms):
            return replace(x, data=None, constant=frozenset())
    trace.still(x)
    for factor in x.factors:
        for axis in factor.axes:
            trace.colour(factor.labels, axis)
    outputs = [Value(shape) for shape in call.shapes]
    return outputs if len(outputs) > 1 else outputs[0]


@rule("var", "std", "var_mean", "std_mean")
def variance(trace: Trace, call: Call) -> object:
    """Variances: no common factor is lost, and no common sign seen."""
    x = call.value(trace, 0)
    given = call.get(1, "dim")
    axes = axes_of(None if isinstance(given, bool) else given, len(x.shape))  # a truth value says `unbiased`
    keep = bool(call.kwargs.get("keepdim", call.args[3] if len(call.args) > 3 else False))
    found = summed(trace, x, axes, keep=keep)
    power = 1.0 if call.name.startswith("std") else 2.0
    spread = replace(found, terms=trace.derived(found.terms, power=power, signs=False))
    return [spread, found] if call.name.endswith("mean") else spread


@rule("norm", "linalg_vector_norm", "frobenius_norm", "linalg_norm")
def norm(trace: Trace, call: Call) -> Value:
    """Norms of vectors: signs are not seen."""
    x = call.value(trace, 0)
    order = call.get(1, "p" if call.name == "norm" else "ord", 2)
    if call.name == "frobenius_norm":
        call = replace(call, args=(call.args[0], 2, *call.args[1:]))
    given = call.get(2, "dim")
    axes = axes_of(given, len(x.shape))
    if call.name == "linalg_norm" and (call.get(1, "ord") is not None or (given is not None and len(axes) > 1)):
        raise Unsupported("a norm of matrices")
    if order == 0:
        raise Unsupported("a norm that counts")
    unsigned = replace(x, terms=trace.derived(x.terms, signs=False), data=None)
    return summed(trace, unsigned, axes, keep=bool(call.get(3, "keepdim", False)))
