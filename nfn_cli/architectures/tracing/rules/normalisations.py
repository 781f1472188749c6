"""Normalisations, and what may be scaled before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nfn_cli.architectures.tracing.joining import lift
from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.elementwise import add, div, mul, refuse_zeros, sqrt
from nfn_cli.architectures.tracing.rules.reductions import alike, gathered, summed
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Parameter, Unsupported, Value


def affine(trace: Trace, value: Value, weight: Any, bias: Any, axes: Sequence[int]) -> Value:
    """value · weight + bias, along axes."""
    rank = len(value.shape)
    for operand, rule_of in ((weight, mul), (bias, add)):
        if operand is None:
            continue
        shape = [1] * rank
        for axis, size in zip(axes, operand.shape, strict=True):
            shape[axis] = size
        if isinstance(operand, Parameter):
            own: Any = operand.moved(lambda view: view.reshape(shape))  # noqa: B023 (called at once)
            assert own is not None
        else:
            own = move_value(trace, as_value(trace, operand), lambda tensor: tensor.reshape(shape))  # noqa: B023
        value = rule_of(trace, Call("affine", None, (value, own), {}, (value.shape,)))
    return value


@rule("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm", "cudnn_batch_norm")
def batch_norm(trace: Trace, call: Call) -> Any:
    """(x − mean) / √(var + ε) · weight + bias for each channel, axis 1.

    In evaluation the variance is a tensor of the file like any other: var + ε ↦ c² (var + ε) keeps the function where
    what is normalised, or what follows, is scaled by c.
    """
    x, weight, bias, mean, variance = call.args[:5]
    x = as_value(trace, x)
    if mean is None or variance is None or (call.name in ("batch_norm", "native_batch_norm") and call.args[5]):
        own = _statistics(trace, x, [0, *range(2, len(x.shape))])
        return _as_lists(call, affine(trace, own, weight, bias, [1]))
    eps = float(call.args[7] if call.name == "batch_norm" else call.args[-1])
    refuse_zeros(x)
    axis = [1]
    centred = affine(trace, x, None, mean, axis)
    shape = [1] * len(x.shape)
    shape[1] = -1
    if isinstance(variance, Parameter):
        spread = variance.moved(lambda view: view.reshape(shape))
        assert spread is not None
        known = lift(trace, spread.step("add", eps), x)
    else:
        known = move_value(trace, as_value(trace, variance), lambda tensor: tensor.reshape(shape))
        trace.still(known)
    root = sqrt(trace, Call("sqrt", None, (known,), {}, (known.shape,)))
    value = div(trace, Call("div", None, (centred, root), {}, (x.shape,)))
    return _as_lists(call, affine(trace, value, weight, bias, axis))


def _as_lists(call: Call, value: Value) -> Any:
    return value if len(call.shapes) == 1 else [value, *[Value(shape) for shape in call.shapes[1:]]]


def _statistics(trace: Trace, x: Value, axes: Sequence[int]) -> Value:
    """A normalisation by statistics over axes: a sign stays, no factor does."""
    refuse_zeros(x)
    for factor in x.factors:
        if set(factor.axes) & set(axes):
            gathered(trace, factor, axes)
    trace.still(x, signs=False)
    terms = alike(trace, x.terms, axes, logs=False)
    return replace(x, terms=_signs_of(trace, terms), data=None)


def _signs_of(trace: Trace, terms: Any) -> Any:
    """The signs of terms, without their sizes."""
    if not terms:
        return ()
    return trace.derived(terms, power=0.0)


@rule("layer_norm", "native_layer_norm")
def layer_norm(trace: Trace, call: Call) -> Any:
    """Mean and variance over the last axes: the signs of all that enter agree."""
    x = as_value(trace, call.args[0])
    shape = call.args[1]
    weight, bias = call.get(2, "weight"), call.get(3, "bias")
    axes = list(range(len(x.shape) - len(shape), len(x.shape)))
    value = affine(trace, _statistics(trace, x, axes), weight, bias, axes)
    return _as_lists(call, value)


@rule("rms_norm", "_fused_rms_norm")
def rms_norm(trace: Trace, call: Call) -> Any:
    """The mean of squares over the last axes: signs are not seen."""
    x = as_value(trace, call.args[0])
    axes = list(range(len(x.shape) - len(call.args[1]), len(x.shape)))
    refuse_zeros(x)
    for factor in x.factors:
        if set(factor.axes) & set(axes):
            gathered(trace, factor, axes)
    trace.still(x, signs=False)
    return _as_lists(call, affine(trace, x, call.get(2, "weight"), None, axes))


@rule("group_norm", "native_group_norm")
def group_norm(trace: Trace, call: Call) -> Any:
    """Mean and variance over groups of channels (axis 1) and all that lies behind them."""
    x = as_value(trace, call.args[0])
    if call.name == "group_norm":
        groups, weight, bias = int(call.args[1]), call.get(2, "weight"), call.get(3, "bias")
    else:
        weight, bias, groups = call.args[1], call.args[2], int(call.args[6])
    channels = x.shape[1]
    refuse_zeros(x)
    for factor in x.factors:
        if factor.axes not in ((1,), ()):
            raise Unsupported("neurons along other axes than that of the channels")
    parted = move_value(trace, x, lambda t: t.reshape(x.shape[0], groups, channels // groups, *x.shape[2:]))
    for factor in parted.factors:
        gathered(trace, factor, [2])
    trace.still(x, signs=False)
    common = trace.new_scales([1, groups, 1, *[1] * (len(x.shape) - 2)])
    if parted.terms:
        negated = [(-coefficient, array) for coefficient, array in parted.terms]
        trace.relate([(1.0, common), *negated], logs=False)
    value = affine(trace, replace(x, terms=_signs_of(trace, x.terms), data=None), weight, bias, [1])
    return _as_lists(call, value)


@rule("instance_norm")
def instance_norm(trace: Trace, call: Call) -> Any:
    """Mean and variance of every channel by itself."""
    x, weight, bias, mean, variance, own = call.args[:6]
    if not own:
        made = Call("batch_norm", None, (x, weight, bias, mean, variance, False, 0.0, call.args[7]), {}, call.shapes)
        return batch_norm(trace, made)
    x = as_value(trace, x)
    value = _statistics(trace, x, list(range(2, len(x.shape))))
    return affine(trace, value, weight, bias, [1])


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "softmin", "_safe_softmax", "special_softmax")
def softmax(trace: Trace, call: Call) -> Value:
    """Numbers that are compared along an axis: none may be scaled."""
    x = as_value(trace, call.args[0])
    axis = int(call.get(1, "dim")) % len(x.shape)
    refuse_zeros(x)
    trace.still(x)
    for factor in x.factors:
        if axis in factor.axes:
            gathered(trace, factor, [axis])
    return replace(x, terms=(), data=None, constant=x.constant - {axis})


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(trace: Trace, call: Call) -> Any:
    """g · v / ‖v‖, the norm over all axes but one."""
    v, g, axis = call.args[0], call.args[1], call.get(2, "dim", 0)
    v = as_value(trace, v)
    axis %= len(v.shape)
    others = [own for own in range(len(v.shape)) if own != axis]
    unsigned = replace(v, terms=trace.derived(v.terms, signs=False))
    size = summed(trace, unsigned, others, keep=True)
    made = div(trace, Call("div", None, (v, size), {}, call.shapes))
    value = mul(trace, Call("mul", None, (made, g), {}, call.shapes))
    return value if len(call.shapes) == 1 else [value, Value(call.shapes[1])]
