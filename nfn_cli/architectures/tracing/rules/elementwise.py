"""Operators on one entry at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nfn_cli.architectures.tracing.joining import equal_scales, join, lift
from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Parameter, Term, Unsupported, Value

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


def result(x: Value, y: Value, factors: tuple[Factor, ...], terms: tuple[Term, ...]) -> Value:
    """What is made of two joined values entry by entry."""
    shape = tuple(
        max(mine, other) if 0 not in (mine, other) else 0 for mine, other in zip(x.shape, y.shape, strict=True)
    )
    constant = frozenset(
        axis for axis, size in enumerate(shape) if size > 1 and not x.varies(axis) and not y.varies(axis)
    )
    return Value(shape, factors, terms, constant)


def refuse_zeros(value: Value) -> None:
    """Refuse what is zero in places: the operator would make something else of it.

    Raises:
        Unsupported: it is.
    """
    if value.has_zeros:
        raise Unsupported("padded zeros")


def operands(trace: Trace, left: Any, right: Any) -> tuple[Value, Value]:
    """Both as values; a parameter that meets a value knows it."""
    if isinstance(left, Parameter) and isinstance(right, Value):
        return lift(trace, left, right), right
    if isinstance(right, Parameter) and isinstance(left, Value):
        return left, lift(trace, right, left)
    return as_value(trace, left), as_value(trace, right)


def is_number(operand: Any) -> bool:
    """Whether it is a number, not a tensor."""
    return isinstance(operand, (int, float)) and not isinstance(operand, bool)


@rule("add", "add_", "sub", "sub_", "rsub")
def add(trace: Trace, call: Call) -> Any:
    """x + y: both are scaled alike, and so is what is made of them."""
    x, y = call.get(0, "self"), call.get(1, "other")
    alpha = call.get(2, "alpha", 1)
    if is_number(x):
        x, y = y, x
    if is_number(y):
        if y == 0:
            return x
        sign = -1 if call.name.startswith("sub") else 1
        if isinstance(x, Parameter) and call.name != "rsub" and is_number(alpha):
            return x.step("add", float(sign * alpha * y))
        x = as_value(trace, x)
        refuse_zeros(x)
        trace.still(x)
        return replace(x, data=None)
    x, y = operands(trace, x, y)
    x, y, factors = join(trace, x, y)
    return result(x, y, factors, equal_scales(trace, x, y))


@rule("mul", "mul_", "multiply")
def mul(trace: Trace, call: Call) -> Any:
    """x · y: the scales are multiplied."""
    x, y = call.get(0, "self"), call.get(1, "other")
    if is_number(x):
        x, y = y, x
    if is_number(y) or isinstance(y, bool):
        return x.step("mul", float(y)) if isinstance(x, Parameter) and y != 0 else as_value(trace, x)
    x, y = operands(trace, x, y)
    x, y, factors = join(trace, x, y)
    return result(x, y, factors, combined(trace, x.terms, y.terms))


@rule("div", "div_", "true_divide")
def div(trace: Trace, call: Call) -> Any:
    """x / y."""
    x, y = call.get(0, "self"), call.get(1, "other")
    if call.get(2, "rounding_mode") is not None:
        raise Unsupported("division with rounding")
    if is_number(y):
        return x.step("mul", 1 / y) if isinstance(x, Parameter) and y != 0 else as_value(trace, x)
    if is_number(x):
        y = as_value(trace, y)
        refuse_zeros(y)
        return replace(y, terms=tuple((-coefficient, array) for coefficient, array in y.terms), data=None)
    x, y = operands(trace, x, y)
    x, y, factors = join(trace, x, y)
    refuse_zeros(y)
    return result(x, y, factors, combined(trace, x.terms, tuple((-c, array) for c, array in y.terms)))


def combined(trace: Trace, ours: tuple[Term, ...], theirs: tuple[Term, ...]) -> tuple[Term, ...]:
    """The terms of a product; many become one."""
    terms = (*ours, *theirs)
    return trace.derived(terms) if len(terms) > 2 else terms


@rule("reciprocal")
def reciprocal(trace: Trace, call: Call) -> Value:
    """1 / x."""
    x = call.value(trace, 0)
    refuse_zeros(x)
    return replace(x, terms=tuple((-coefficient, array) for coefficient, array in x.terms), data=None)


@rule("neg")
def neg(trace: Trace, call: Call) -> Any:
    """−x."""
    x = call.args[0]
    return x.step("neg") if isinstance(x, Parameter) else replace(x, data=None)


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


@rule("abs", "abs_")
def absolute(trace: Trace, call: Call) -> Value:
    """|x|: a sign is not seen."""
    x = call.value(trace, 0)
    return replace(x, terms=trace.derived(x.terms, signs=False), data=None)


@rule("sign", "sgn")
def sign(trace: Trace, call: Call) -> Value:
    """The sign of x: a positive factor is not seen."""
    x = call.value(trace, 0)
    return replace(x, terms=trace.derived(x.terms, power=0.0), data=None)


@rule("square", "pow", "pow_", "square_")
def power(trace: Trace, call: Call) -> Value:
    """xᵖ for a number p."""
    exponent: Any = 2 if call.name.startswith("square") else call.get(1, "exponent")
    if is_number(call.args[0]):
        x = as_value(trace, exponent)
        refuse_zeros(x)
        trace.still(x)
        return replace(x, terms=(), data=None)
    if is_number(exponent):
        return powered(trace, call.value(trace, 0), float(exponent))
    x, y = operands(trace, call.args[0], exponent)
    for each in (x, y):
        refuse_zeros(each)
        trace.still(each)
    x, y, factors = join(trace, x, y)
    return result(x, y, factors, ())


def powered(trace: Trace, x: Value, exponent: float) -> Value:
    """xᵖ: an even power does not see signs, an odd one keeps them, no other one may meet a changed sign."""
    if exponent <= 0:
        refuse_zeros(x)
    if exponent % 1:
        trace.still(x, logs=False)
    return replace(x, terms=trace.derived(x.terms, power=exponent, signs=exponent % 2 == 1), data=None)


@rule("sqrt", "sqrt_")
def sqrt(trace: Trace, call: Call) -> Value:
    """√x."""
    return powered(trace, call.value(trace, 0), 0.5)


@rule("rsqrt", "rsqrt_")
def rsqrt(trace: Trace, call: Call) -> Value:
    """1 / √x."""
    return powered(trace, call.value(trace, 0), -0.5)


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


@rule("maximum", "minimum", "max_other", "min_other", "fmax", "fmin")
def extreme(trace: Trace, call: Call) -> Value:
    """The larger or smaller of two: as a sum, and no sign may change."""
    x, y = operands(trace, call.args[0], call.args[1])
    trace.still(x, logs=False)
    trace.still(y, logs=False)
    x, y, factors = join(trace, x, y)
    return result(x, y, factors, equal_scales(trace, x, y))


@rule(
    "gt", "lt", "ge", "le", "eq", "ne", "greater", "less", "__and__", "__or__", "bitwise_and", "bitwise_or",
    "logical_and", "logical_or", "__xor__", "logical_xor", "greater_equal", "less_equal", "not_equal", "isclose",
)  # fmt: skip
def compare(trace: Trace, call: Call) -> Value:
    """Comparisons: with zero a positive factor is not seen; of two values, a common one."""
    x, y = call.get(0, "self"), call.get(1, "other")
    if is_number(x):
        x, y = y, x
    if is_number(y) or isinstance(y, bool):
        x = as_value(trace, x)
        if y != 0 or call.name in ("ge", "le", "eq", "greater_equal", "less_equal"):
            refuse_zeros(x)
        trace.still(x, logs=y != 0)
        return replace(x, terms=(), points=None, data=None)
    x, y = operands(trace, x, y)
    for each in (x, y):
        refuse_zeros(each)
        trace.still(each, logs=call.name == "isclose")  # which looks at a difference as it is
    x, y, factors = join(trace, x, y)
    equal_scales(trace, x, y)
    return result(x, y, factors, ())


@rule("where")
def where(trace: Trace, call: Call) -> Value:
    """One of two values: as a sum of what a condition chooses."""
    condition, x, y = call.args[0], call.args[1], call.args[2]
    return chosen(trace, as_value(trace, condition), x, y)


def chosen(trace: Trace, condition: Value, x: Any, y: Any) -> Value:
    """x or y by a condition; numbers may stand for both."""
    trace.still(condition)
    numbers = [number for number in map(_number, (x, y)) if number is not None]
    values = [as_value(trace, part) for part in (x, y) if _number(part) is None]
    if not values:
        refuse_zeros(condition)
        return replace(condition, terms=(), data=None)
    first = values[0]
    if any(numbers):  # nan, too
        refuse_zeros(first)
        trace.still(first)
    if len(values) == 2:
        one, other, factors = join(trace, values[0], values[1])
        first = result(one, other, factors, equal_scales(trace, one, other))
    first, condition, factors = join(trace, first, condition)
    return result(first, condition, factors, first.terms)


def _number(part: Any) -> float | None:
    """A number, also one as a tensor that is known."""
    if isinstance(part, (int, float)):
        return float(part)
    if isinstance(part, Value) and not part.is_live and not part.shape and part.data is not None:
        return float(part.data)
    return None


@rule("masked_fill", "masked_fill_")
def masked_fill(trace: Trace, call: Call) -> Value:
    """x, or a number where a mask says so."""
    x, mask, number = call.args
    return chosen(trace, as_value(trace, mask), number, x)


@rule("addcmul")
def addcmul(trace: Trace, call: Call) -> Value:
    """x + value · y · z."""
    product = mul(trace, Call("mul", None, call.args[1:3], {}, call.shapes))
    return add(trace, Call("add", None, (call.args[0], product), {}, call.shapes))


@rule("lerp")
def lerp(trace: Trace, call: Call) -> Value:
    """x + weight · (y − x)."""
    gap = add(trace, Call("sub", None, (call.args[1], call.args[0]), {}, call.shapes))
    step = mul(trace, Call("mul", None, (gap, call.args[2]), {}, call.shapes))
    return add(trace, Call("add", None, (call.args[0], step), {}, call.shapes))
