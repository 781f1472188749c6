"""Sums over products: linear layers, products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nfn_cli.architectures.labels import NONE
from nfn_cli.architectures.tracing.joining import join
from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.elementwise import add, combined, is_zero, result
from nfn_cli.architectures.tracing.rules.reductions import summed
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Ints, Parameter, Term, Unsupported, Value

_LARGEST = 1 << 20  # numbers of a constant that are kept


def module_of(name: str) -> str:
    return name.rpartition(".")[0] or name


def contracted(trace: Trace, x: Value, axis: int) -> tuple[Factor | None, list[Term], Value]:
    """What a weight reads along an axis of x, and what is left of x without it.

    Returns:
        The neurons along the axis alone, [n] in x's rank; the scales along it; x with size 1 there.
    """
    factor = x.factor_on(axis)
    rest = [own for own in x.factors if own is not factor]
    size = x.shape[axis]
    along = [n if place == axis else 1 for place, n in enumerate(x.shape)]
    read = None
    if factor is not None:
        if factor.axes == (axis,):
            read = factor
        else:
            # One weight reads neurons of several others: they move alike everywhere.
            if (factor.labels == NONE).any() or factor.slots is not None:
                raise Unsupported("one weight for neurons of several others, some of them zeros")
            shared = trace.new_labels(along, trace.place)
            kept_shape = [1 if place == axis else n for place, n in enumerate(factor.labels.shape)]
            kept = trace.new_labels(kept_shape, trace.place)
            trace.edge(factor.labels, np.broadcast_to(shared, factor.labels.shape))
            trace.edge(factor.labels, np.broadcast_to(kept, factor.labels.shape))
            read = Factor(shared)
            rest.append(Factor(kept))
    inside: list[Term] = []
    outside: list[Term] = []
    for coefficient, array in x.terms:
        if array.shape[axis] == 1:
            outside.append((coefficient, array))
        elif array.size == size:
            inside.append((coefficient, array))
        else:
            if (array == NONE).any():
                raise Unsupported("one weight for neurons of several others, some of them zeros")
            mine = trace.new_scales(along)
            other = trace.new_scales([1 if place == axis else n for place, n in enumerate(array.shape)])
            trace.relate([(1.0, array), (-1.0, mine), (-1.0, other)])
            inside.append((coefficient, mine))
            outside.append((coefficient, other))
    shape = tuple(1 if place == axis else n for place, n in enumerate(x.shape))
    return read, inside, Value(shape, tuple(rest), tuple(outside), x.constant - {axis})


def dense(trace: Trace, x: Value, weight: Parameter, axis: int, shape: Sequence[int], *, bias: Any = None) -> Value:
    """x contracted along an axis with a weight whose view is [out, in, *kernel]."""
    outputs, inputs, *kernel = weight.shape
    if x.shape[axis] != inputs:
        raise Unsupported("a weight of another size than what it reads")
    read, inside, rest = contracted(trace, x, axis)
    ones = (1,) * len(kernel)
    made = trace.new_labels((outputs,), module_of(weight.name))
    scales = trace.new_scales((outputs,))
    factors = [Factor(made.reshape((outputs, 1, *ones)))]
    terms: list[Term] = [(1.0, scales.reshape((outputs, 1, *ones)))]
    if read is not None:
        slots = None if read.slots is None else read.slots.reshape((1, inputs, *ones))
        factors.append(Factor(read.labels.reshape((1, inputs, *ones)), ranked(read.labels.reshape(-1), slots)))
    for coefficient, array in inside:
        terms.append((-coefficient, known(trace, array).reshape((1, inputs, *ones))))
    trace.use(weight, factors, terms)
    along = [outputs if place == axis else 1 for place in range(len(shape))]
    value = Value(
        tuple(shape),
        (*rest.factors, Factor(made.reshape(along))),
        combined(trace, rest.terms, ((1.0, scales.reshape(along)),)),
        # At its borders a kernel meets padding.
        frozenset(own for own in rest.constant if own != axis and not axis < own <= axis + len(kernel)),
    )
    return value if bias is None else add_along(trace, value, bias, axis)


def ranked(labels: Ints, slots: Ints | None) -> Ints | None:
    """Slots for neurons that stand several times along an axis, of equal numbers: any order will do."""
    if slots is not None:
        return slots
    known = labels[labels != NONE]
    if len(np.unique(known)) == known.size:
        return None
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    rank = np.arange(len(labels)) - np.maximum.accumulate(np.where(starts, np.arange(len(labels)), 0))
    found = np.empty_like(rank)
    found[order] = rank
    return found.reshape((1, -1))


def known(trace: Trace, array: Ints) -> Ints:
    """Scales with a variable also where zeros are read: nothing asks for it."""
    if not (array == NONE).any():
        return array
    still = trace.new_scales(array.shape)
    trace.relate([(1.0, still)])
    return np.where(array == NONE, still, array)


def add_along(trace: Trace, value: Value, bias: Any, axis: int) -> Value:
    """A bias [n] added along an axis."""
    shape = [1] * len(value.shape)
    shape[axis] = -1
    if isinstance(bias, Parameter):
        moved: Parameter | Value | None = bias.moved(lambda view: view.reshape(shape))
    else:
        moved = move_value(trace, as_value(trace, bias), lambda tensor: tensor.reshape(shape))
    found = add(trace, Call("add", None, (value, moved), {}, (value.shape,)))
    assert isinstance(found, Value)
    return found


@rule("linear")
def linear(trace: Trace, call: Call) -> Value:
    """x Wᵀ + b."""
    x, weight, bias = call.get(0, "input"), call.get(1, "weight"), call.get(2, "bias")
    x = as_value(trace, x)
    if is_zero(x) and math.prod(call.shape) <= _LARGEST:
        # Whatever the weight is: it says nothing of its columns that it meets zeros once.
        if isinstance(weight, Parameter):
            trace.unread.add(weight.name)
        zeros = Value(call.shape, data=torch.zeros(call.shape))
        return zeros if bias is None else add_along(trace, zeros, bias, len(call.shape) - 1)
    if isinstance(weight, Parameter) and not weight.stored and len(weight.shape) == 2:
        return dense(trace, x, weight, len(x.shape) - 1, call.shape, bias=bias)
    weight = as_value(trace, weight)
    made = product(trace, x, move_value(trace, weight, lambda tensor: tensor.t()), call.shape)
    return made if bias is None else add_along(trace, made, bias, len(call.shape) - 1)


@rule("addmm", "baddbmm", "addbmm")
def addmm(trace: Trace, call: Call) -> Any:
    """b + x W."""
    if call.name == "addbmm" or any(call.kwargs.get(name, 1) != 1 for name in ("alpha", "beta")):
        raise Unsupported("a scaled sum")
    bias, x, weight = call.args[:3]
    made = matmul(trace, Call("matmul", None, (x, weight), {}, call.shapes))
    return add(trace, Call("add", None, (made, bias), {}, call.shapes))


@rule("matmul", "mm", "bmm", "__matmul__", "mv", "dot")
def matmul(trace: Trace, call: Call) -> Value:
    """A product of matrices; either may be a parameter."""
    x, y = call.args[:2]
    if (
        isinstance(y, Parameter)
        and not y.stored
        and len(y.shape) == 2
        and not isinstance(x, Parameter)
        and len(x.shape) > 1
    ):
        flipped = y.moved(lambda view: view.t())
        assert flipped is not None
        return dense(trace, x, flipped, len(x.shape) - 1, call.shape)
    if (
        isinstance(x, Parameter)
        and not x.stored
        and len(x.shape) == 2
        and not isinstance(y, Parameter)
        and len(y.shape) > 1
    ):
        return dense(trace, y, x, len(y.shape) - 2, call.shape)
    if isinstance(y, Parameter) and isinstance(x, Value) and not y.stored and len(y.shape) >= 3 and len(x.shape) > 1:
        flipped = y.moved(lambda view: view.transpose(-1, -2))
        assert flipped is not None
        found = batched(trace, x, flipped, call.shape)
        if found is not None:
            return found
    return product(trace, as_value(trace, x), as_value(trace, y), call.shape)


def product(trace: Trace, x: Value, y: Value, shape: Sequence[int]) -> Value:
    """A product of matrices: entries multiplied, and summed."""
    vectors = (len(x.shape) == 1, len(y.shape) == 1)
    if vectors[0]:
        x = x.lifted(2)
    if vectors[1]:
        y = move_value(trace, y, lambda tensor: tensor.unsqueeze(-1))
    x = move_value(trace, x, lambda tensor: tensor.unsqueeze(-1), whole=True)  # [..., rows, k, 1]
    y = move_value(trace, y, lambda tensor: tensor.unsqueeze(-3), whole=True)  # [..., 1, k, columns]
    x, y, factors = join(trace, x, y)
    value = result(x, y, factors, combined(trace, x.terms, y.terms))
    value = summed(trace, value, [len(value.shape) - 2], keep=False)
    return (
        value if value.shape == tuple(shape) else move_value(trace, value, lambda tensor: tensor.reshape(tuple(shape)))
    )


def batched(trace: Trace, x: Value, weight: Parameter, shape: Sequence[int]) -> Value | None:
    """[..., E, rows, in] with a weight [..., E, out, in]: another matrix for every e, as those of experts.

    Where x's neurons along `in` are the same for every e, the outputs are neurons of (e, out); where they are neurons
    of (e, in), the outputs are the same ones for every e. None where e is of several axes.
    """
    rank = len(shape)
    last = rank - 1
    x = x.lifted(rank)
    raised = weight.moved(lambda view: view.reshape(*[1] * (rank - view.ndim), *view.shape))
    assert raised is not None
    weight = raised
    lead = [axis for axis in range(rank - 2) if weight.shape[axis] > 1]
    outputs = weight.shape[-2]
    if not lead:  # one matrix for all
        plain = weight.moved(lambda view: view.reshape(view.shape[-2:]))
        assert plain is not None
        return dense(trace, x, plain, last, shape)
    if len(lead) > 1:
        return None
    if x.has_zeros or any(own.slots is not None for own in x.factors):
        raise Unsupported("a product of batches that reads zeros, or some numbers of a neuron")
    axis = lead[0]
    factor, over = x.factor_on(last), x.factor_on(axis)
    for own in (factor, over):
        if own is not None and set(own.axes) - {axis, last}:
            raise Unsupported("a product of batches with neurons along several axes")
    inside = [(c, array) for c, array in x.terms if array.shape[last] > 1]
    outside = [(c, array) for c, array in x.terms if array.shape[last] == 1]
    if any(array.shape[own] > 1 for _, array in inside for own in range(last) if own != axis):
        raise Unsupported("a product of batches with scales along several axes")
    each = [weight.shape[axis] if place == axis else 1 for place in range(rank)]
    joint = factor is not None and factor is over
    # What stands for every matrix: what it reads, where that has neurons along e.
    nodes = over.labels if over is not None and not joint else trace.new_labels(each, trace.place)
    if over is None and x.varies(axis):
        trace.colour(nodes, axis)
    out_shape = [*each[:-1], outputs]
    if joint:
        assert factor is not None
        made = trace.new_labels([*[1] * last, outputs], module_of(weight.name))
        trace.edge(factor.labels, np.broadcast_to(nodes, factor.labels.shape))
        out = [Factor(made), Factor(nodes)]
    else:
        made = trace.new_labels(out_shape, module_of(weight.name))
        trace.edge(made, np.broadcast_to(nodes, made.shape))
        out = [Factor(made)]
    scales = trace.new_scales(out_shape)
    roles = [Factor(np.swapaxes(made, -1, -2))]
    if factor is not None:
        roles.append(Factor(factor.labels))
    terms: list[Term] = [(1.0, np.swapaxes(scales, -1, -2)), *[(-c, array) for c, array in inside]]
    trace.use(weight, roles, terms)
    others = [own for own in x.factors if own is not factor and own is not over]
    return Value(tuple(shape), (*others, *out), combined(trace, tuple(outside), ((1.0, scales),)))


@rule("bilinear")
def bilinear(trace: Trace, call: Call) -> Value:
    """Σ x_i W_oij y_j + b_o."""
    x, y = as_value(trace, call.args[0]), as_value(trace, call.args[1])
    weight, bias = call.args[2], call.get(3, "bias")
    if not isinstance(weight, Parameter):
        raise Unsupported("a computed weight")
    outputs, left, right = weight.shape
    rank = max(len(x.shape), len(y.shape))
    xs = contracted(trace, x.lifted(rank), rank - 1)
    ys = contracted(trace, y.lifted(rank), rank - 1)
    made, scales = trace.new_labels((outputs,), module_of(weight.name)), trace.new_scales((outputs,))
    factors = [Factor(made.reshape(-1, 1, 1))]
    terms: list[Term] = [(1.0, scales.reshape(-1, 1, 1))]
    for (read, inside, _), shape in ((xs, (1, left, 1)), (ys, (1, 1, right))):
        if read is not None:
            slots = ranked(read.labels.reshape(-1), None if read.slots is None else read.slots)
            factors.append(Factor(read.labels.reshape(shape), None if slots is None else slots.reshape(shape)))
        terms += [(-c, known(trace, array).reshape(shape)) for c, array in inside]
    trace.use(weight, factors, terms)
    rest_x, rest_y, rest = join(trace, xs[2], ys[2])
    along = [*[1] * (len(call.shape) - 1), outputs]
    value = Value(
        call.shape,
        (*rest, Factor(made.reshape(along))),
        combined(trace, (*rest_x.terms, *rest_y.terms), ((1.0, scales.reshape(along)),)),
    )
    return value if bias is None else add_along(trace, value, bias, len(call.shape) - 1)
