"""Rows of tables by whole numbers."""

from __future__ import annotations

from typing import Any

from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.movement import taken
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Parameter, Unsupported, Value


def _rows(trace: Trace, table: Parameter, positions: tuple[int, ...]) -> Value:
    """Rows of a parameter [rows, ...] at positions: the other axes have neurons."""
    rest = table.shape[1:]
    factors, made, terms = [], [], []
    for axis, size in enumerate(rest):
        if size == 1:
            continue
        own = [size if place == axis else 1 for place in range(len(rest))]
        labels = trace.new_labels(own, table.name.rpartition(".")[0] or table.name)
        scales = trace.new_scales(own)
        factors.append(Factor(labels.reshape(1, *own)))
        terms.append((1.0, scales.reshape(1, *own)))
        made.append((labels, scales))
    if not made:
        scales = trace.new_scales([1] * len(rest))
        terms.append((1.0, scales.reshape(1, *[1] * len(rest))))
    trace.use(table, factors, terms)
    ones = (1,) * len(positions)
    shape = (*positions, *rest)
    return Value(
        shape,
        tuple(Factor(labels.reshape(*ones, *labels.shape)) for labels, _ in made),
        tuple((c, array.reshape(*ones, *array.shape[1:])) for c, array in terms),
    )


@rule("embedding")
def embedding(trace: Trace, call: Call) -> Value:
    """Rows of a table by tokens."""
    table, positions = call.args[:2]
    if not isinstance(positions, Value) or positions.is_live:
        raise Unsupported("tokens that the group moves")
    if isinstance(table, Parameter) and not table.stored:
        return _rows(trace, table, positions.shape)
    found = as_value(trace, table)
    if found.factor_on(0) is not None or any(array.shape[0] > 1 for _, array in found.terms):
        raise Unsupported("a computed table with neurons along its rows")
    ones = (1,) * len(positions.shape)
    return Value(
        call.shape,
        tuple(Factor(factor.labels.reshape(*ones, *factor.labels.shape[1:])) for factor in found.factors),
        tuple((c, array.reshape(*ones, *array.shape[1:])) for c, array in found.terms),
    )


@rule("index", "_unsafe_index")
def index(trace: Trace, call: Call) -> Any:
    """x[i, j, ...]: positions along one axis, or several next to each other that have no neurons."""
    x, positions = call.args[0], list(call.args[1])
    given = [axis for axis, own in enumerate(positions) if own is not None]
    if any(not isinstance(positions[axis], Value) or positions[axis].is_live for axis in given):
        raise Unsupported("positions that the group moves")
    if isinstance(x, Parameter) and given == [0] and not x.stored:
        return _rows(trace, x, positions[0].shape)
    x = as_value(trace, x)
    if len(given) == 1 and len(positions[given[0]].shape) == 1:
        return taken(trace, x, given[0], positions[given[0]])
    for axis in given:
        if x.factor_on(axis) is not None or any(array.shape[axis] > 1 for _, array in x.terms):
            raise Unsupported("positions along neurons")
    if given != list(range(given[0], given[-1] + 1)):
        raise Unsupported("positions along axes that are apart")
    first, last = given[0], given[-1]
    new = len(call.shape) - (len(x.shape) - len(given))

    def shaped(array: Any) -> Any:
        return array.reshape(*array.shape[:first], *(1,) * new, *array.shape[last + 1 :])

    return Value(
        call.shape,
        tuple(
            Factor(shaped(factor.labels), None if factor.slots is None else shaped(factor.slots))
            for factor in x.factors
        ),
        tuple((c, shaped(array)) for c, array in x.terms),
    )


@rule("gather", "take_along_dim")
def gather(trace: Trace, call: Call) -> Value:
    """Entries along an axis at positions that no neuron has a part in."""
    x, axis, positions = as_value(trace, call.args[0]), int(call.args[1]), call.args[2]
    axis %= len(x.shape)
    if not isinstance(positions, Value) or positions.is_live:
        raise Unsupported("positions that the group moves")
    if x.factor_on(axis) is not None or any(array.shape[axis] > 1 for _, array in x.terms):
        raise Unsupported("positions along neurons")
    for own in range(len(x.shape)):
        if own != axis and x.factor_on(own) is not None and positions.varies(own):
            factor = x.factor_on(own)
            assert factor is not None
            trace.colour(factor.labels, own)
    same = all(new == old for own, (new, old) in enumerate(zip(call.shape, x.shape, strict=True)) if own != axis)
    if not same:
        x = move_value(trace, x, lambda t: t[tuple(slice(0, n) if own != axis else slice(None)
                                            for own, n in enumerate(call.shape))])  # fmt: skip
    return Value(call.shape, x.factors, x.terms)
