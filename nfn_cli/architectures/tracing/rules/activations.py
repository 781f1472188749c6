"""Functions of one number: which factors and signs they let pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nfn_cli.architectures.tracing.joining import join
from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.elementwise import is_number, operands, refuse_zeros, result
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Parameter, Unsupported, Value

_POSITIVE = ("relu", "relu_", "leaky_relu", "leaky_relu_")  # f(c x) = c f(x) for c > 0
_ODD = ("tanh", "tanh_", "sin", "erf", "atan", "asinh", "sinh", "softsign", "tan", "hardshrink", "softshrink",
        "tanhshrink", "asin", "atanh")  # f(−x) = −f(x)  # fmt: skip
_EVEN = ("cos", "cosh")
_OTHER = (
    "gelu", "gelu_", "silu", "silu_", "sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_", "hardswish",
    "hardswish_", "relu6", "relu6_", "elu", "elu_", "selu", "selu_", "celu", "mish", "mish_", "softplus", "exp",
    "exp_", "expm1", "log", "log1p", "log2", "log_sigmoid", "logsigmoid", "erfc", "threshold", "threshold_",
    "special_expit", "floor", "ceil", "round", "trunc", "frac", "exp2", "acos", "logit", "erfinv", "remainder",
    "fmod", "nan_to_num", "glu_jvp", "bitwise_not", "logical_not", "isnan", "isinf", "isfinite",
)  # fmt: skip
_AT_ZERO = ("cos", "cosh", "sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_", "softplus", "exp", "exp_", "exp2",
            "log", "log2", "log_sigmoid", "logsigmoid", "erfc", "threshold", "threshold_", "special_expit", "acos",
            "bitwise_not", "logical_not", "logit", "isfinite")  # not zero at zero  # fmt: skip


@rule(*_POSITIVE)
def positive(trace: Trace, call: Call) -> Value:
    """Activations that commute with positive factors."""
    x = call.value(trace, 0)
    trace.still(x, logs=False)
    return replace(x, data=None)


@rule(*_ODD)
def odd(trace: Trace, call: Call) -> Value:
    """Activations that commute with signs."""
    x = call.value(trace, 0)
    trace.still(x, signs=False)
    return replace(x, data=None)


@rule(*_EVEN)
def even(trace: Trace, call: Call) -> Value:
    """Functions that do not see signs."""
    x = call.value(trace, 0)
    refuse_zeros(x)
    trace.still(x, signs=False)
    return replace(x, terms=(), data=None)


@rule(*_OTHER)
def other(trace: Trace, call: Call) -> Any:
    """Functions of one entry of which nothing more is known: the entry may not be scaled."""
    x = call.args[0]
    if isinstance(x, Parameter) and call.name == "exp":
        return x.step("exp")
    x = as_value(trace, x)
    if call.name in _AT_ZERO or (len(call.args) > 1 and call.name not in ("gelu", "gelu_")):
        refuse_zeros(x)
    trace.still(x)
    x = replace(x, terms=(), data=None)
    for more in (*call.args[1:], *call.kwargs.values()):
        if isinstance(more, Parameter) or (isinstance(more, Value) and more.is_live):
            raise Unsupported("an argument that the group moves")
        if isinstance(more, Value):
            x, more, factors = join(trace, x, more)
            x = result(x, more, factors, ())
    return x


@rule("hardtanh", "hardtanh_", "clamp", "clamp_", "clip")
def clamp(trace: Trace, call: Call) -> Value:
    """Bounded values: between −c and c signs commute, above zero positive factors do."""
    x = call.value(trace, 0)
    low, high = call.get(1, "min"), call.get(2, "max")
    if call.name.startswith("hardtanh"):
        low, high = call.get(1, "min_val", -1.0), call.get(2, "max_val", 1.0)
    if any(isinstance(bound, (Value, Parameter)) for bound in (low, high)):
        raise Unsupported("bounds that are tensors")
    if (low, high) in ((0, None), (None, 0)):
        trace.still(x, logs=False)
        return replace(x, data=None)
    if low is not None and high is not None and low == -high:
        trace.still(x, signs=False)
        return replace(x, data=None)
    if (low or 0) > 0 or (high is not None and high < 0):
        refuse_zeros(x)
    trace.still(x)
    return replace(x, terms=(), data=None)


@rule("clamp_min", "clamp_max", "clamp_min_", "clamp_max_")
def clamp_one(trace: Trace, call: Call) -> Value:
    """Values bounded on one side."""
    x, bound = call.value(trace, 0), call.args[1]
    if not is_number(bound):
        raise Unsupported("a bound that is a tensor")
    trace.still(x, logs=bound != 0)
    if (bound > 0) == ("min" in call.name) and bound != 0:
        refuse_zeros(x)
    return replace(x, data=None)


@rule("prelu", "_prelu_kernel")
def prelu(trace: Trace, call: Call) -> Value:
    """x where it is positive, else slope · x: one slope, or one a channel (axis 1)."""
    x, slopes = call.value(trace, 0), call.args[1]
    trace.still(x, logs=False)
    if len(slopes.shape) == 1 and len(x.shape) > 1 and call.name == "prelu":
        shape = [1, slopes.shape[0], *[1] * (len(x.shape) - 2)]
        if isinstance(slopes, Parameter):
            slopes = slopes.moved(lambda view: view.view(shape))
        else:
            slopes = move_value(trace, slopes, lambda tensor: tensor.reshape(shape))
    x, slope = operands(trace, x, slopes)
    trace.still(slope)
    x, slope, factors = join(trace, x, slope)
    return result(x, slope, factors, x.terms)


@rule("glu")
def glu(trace: Trace, call: Call) -> Value:
    """The first half, times the sigmoid of the second one."""
    x = call.value(trace, 0)
    axis = call.get(1, "dim", -1) % len(x.shape)
    half = x.shape[axis] // 2
    first = move_value(trace, x, lambda tensor: tensor.narrow(axis, 0, half))
    second = move_value(trace, x, lambda tensor: tensor.narrow(axis, half, half))
    refuse_zeros(second)
    trace.still(second)
    first, second, factors = join(trace, first, second)
    return result(first, second, factors, first.terms)
