"""Routing among experts: the largest of several numbers, and whose they are."""

from __future__ import annotations

from typing import Any

from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.elementwise import refuse_zeros
from nfn_cli.architectures.tracing.rules.reductions import alike
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Unsupported, Value


@rule("topk")
def topk(trace: Trace, call: Call) -> list[Value]:
    """The largest numbers along an axis in order, and their positions.

    The numbers are those of a set, so the neurons may be permuted; their positions are neurons themselves.
    """
    x = as_value(trace, call.args[0])
    axis = int(call.get(2, "dim", -1)) % len(x.shape)
    refuse_zeros(x)
    trace.still(x, logs=False)
    terms = alike(trace, x.terms, [axis])
    factor = x.factor_on(axis)
    rest = tuple(own for own in x.factors if own is not factor)
    if factor is None:
        return [Value(call.shapes[0], rest, terms), Value(call.shapes[1], rest)]
    if factor.axes != (axis,) or factor.slots is not None or axis != len(x.shape) - 1 or rest:
        raise Unsupported("the largest of neurons of several others")
    return [Value(call.shapes[0], (), terms), Value(call.shapes[1], points=factor.labels.reshape(-1))]


@rule("one_hot")
def one_hot(trace: Trace, call: Call) -> Value:
    """1 at a place and 0 elsewhere: neurons again."""
    positions = as_value(trace, call.args[0], allow_points=True)
    if positions.points is None:
        refuse_zeros(positions)
        trace.still(positions)
        apart = move_value(trace, positions, lambda tensor: tensor.unsqueeze(-1))
        return Value(call.shape, apart.factors)
    if call.shape[-1] != len(positions.points):
        raise Unsupported("positions among another number of neurons")
    labels = positions.points.reshape(*[1] * (len(call.shape) - 1), -1)
    return Value(call.shape, (Factor(labels),))


@rule("scatter", "scatter_", "scatter_add", "scatter_add_", "scatter_reduce")
def scatter(trace: Trace, call: Call) -> Value:
    """Numbers put at the positions of neurons, onto zeros that have no neurons."""
    target, axis, positions, source = call.args[:4]
    if call.name == "scatter_reduce" or call.kwargs:
        raise Unsupported("a reduction")
    target = as_value(trace, target)
    axis = int(axis) % len(target.shape)
    if not isinstance(positions, Value) or positions.points is None or axis != len(target.shape) - 1:
        raise Unsupported("positions that are no neurons")
    labels = positions.points.reshape(*[1] * (len(call.shape) - 1), -1)
    if len(positions.points) != target.shape[axis]:
        raise Unsupported("positions among another number of neurons")
    if target.is_live:
        raise Unsupported("onto something that the group moves")
    if not _is_zero(target):
        # What is already there may differ from place to place.
        trace.colour(labels, len(call.shape) - 1)
    if isinstance(source, (int, float)):
        return Value(call.shape, (Factor(labels),))
    source = as_value(trace, source)
    if not _is_zero(target):
        trace.still(source)
    if source.factors:
        raise Unsupported("numbers with neurons of their own")
    terms = source.terms
    if any(array.shape[axis] > 1 for _, array in terms):
        raise Unsupported("numbers with scales along the axis")
    return Value(call.shape, (Factor(labels),), terms)


def _is_zero(target: Value) -> bool:
    return target.data is not None and bool((target.data == 0).all())


@rule("masked_scatter", "index_add", "index_put", "index_put_", "index_add_", "_grouped_mm", "histc", "bincount",
      "nonzero", "index_copy")  # fmt: skip
def refused(trace: Trace, call: Call) -> Any:
    """What moves numbers by positions that are computed."""
    raise Unsupported("positions that are computed")
