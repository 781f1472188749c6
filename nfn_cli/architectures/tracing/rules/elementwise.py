"""Arithmetic on one entry at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nfn_cli.architectures.tracing.joining import equal_scales, join, lift
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Parameter, Term, Unsupported, Value


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
    """Refuse what is zero in positions: the operator would make something else of it.

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
    for own, zeros in ((x, y), (y, x)):
        if is_zero(zeros) and call.name != "rsub" and (own is x or "sub" not in call.name):
            return own if own.shape == call.shape else _repeated(as_value(trace, own), call.shape)
    x, y = operands(trace, x, y)
    x, y, factors = join(trace, x, y)
    return result(x, y, factors, equal_scales(trace, x, y))


def _repeated(value: Value, shape: tuple[int, ...]) -> Value:
    """A value that is expanded to a shape."""
    value = value.lifted(len(shape))
    wider = frozenset(axis for axis, size in enumerate(shape) if value.shape[axis] != size)
    return Value(shape, value.factors, value.terms, value.constant | wider)


def is_zero(operand: Any) -> bool:
    """Whether it is a constant that is known to be zero throughout, as a state before the first step."""
    return (
        isinstance(operand, Value)
        and not operand.is_live
        and operand.data is not None
        and bool((operand.data == 0).all())
    )


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
