"""Comparisons, and one of two values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nfn_cli.architectures.tracing.joining import equal_scales, join
from nfn_cli.architectures.tracing.rules.elementwise import is_number, operands, refuse_zeros, result
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Value


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
