"""Convolutions, with and without groups, plain and transposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.contractions import add_along, dense, module_of, product, ranked
from nfn_cli.architectures.tracing.rules.elementwise import combined
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Parameter, Term, Unsupported, Value


@rule("conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
      "conv_transpose2d.input", "conv_transpose3d.input")  # fmt: skip
def convolution(trace: Trace, call: Call) -> Value:
    """Convolutions, transposed ones too; channels stand on axis 1, or 0 without a batch."""
    x, weight, bias = as_value(trace, call.args[0]), call.args[1], call.get(2, "bias")
    if call.name == "convolution":
        transposed, groups = bool(call.args[6]), int(call.args[8])
    elif call.name.startswith("conv_transpose"):
        transposed, groups = True, int(call.get(6, "groups", 1))
    else:
        transposed, groups = False, int(call.get(6, "groups", 1))
    if not isinstance(weight, Parameter) or weight.stored:
        return _computed_kernel(trace, call, x, weight, bias, transposed, groups)
    axis = len(x.shape) - len(weight.shape) + 1
    _space(x, axis)
    if transposed and groups == 1:
        weight = _viewed(weight, lambda view: view.transpose(0, 1))
    if groups == 1:
        return dense(trace, x, weight, axis, call.shape, bias=bias)
    value = _grouped(trace, x, weight, axis, groups, call.shape, transposed)
    return value if bias is None else add_along(trace, value, bias, axis)


def _computed_kernel(
    trace: Trace, call: Call, x: Value, weight: Any, bias: Any, transposed: bool, groups: int
) -> Value:
    """A kernel that is computed, as under weight normalisation: [out, in, *kernel] of neurons of its own."""
    if groups != 1 or transposed:
        raise Unsupported("a computed kernel of groups")
    weight = as_value(trace, weight)
    axis = len(x.shape) - len(weight.shape) + 1
    _space(x, axis)
    if any(size > 1 for factor in weight.factors for size in factor.labels.shape[2:]) or any(
        size > 1 for _, array in weight.terms for size in array.shape[2:]
    ):
        raise Unsupported("a computed kernel with neurons along its space")
    flat = Value(
        weight.shape[:2],
        tuple(Factor(factor.labels.reshape(factor.labels.shape[:2])) for factor in weight.factors),
        tuple((coefficient, array.reshape(array.shape[:2])) for coefficient, array in weight.terms),
    )
    rank = len(x.shape)
    last = move_value(trace, x, lambda tensor: tensor.movedim(axis, -1))
    shape = [*last.shape[:-1], flat.shape[0]]
    made = product(trace, last, move_value(trace, flat, lambda tensor: tensor.t()), shape)
    made = move_value(trace, made, lambda tensor: tensor.movedim(-1, axis))
    value = Value(call.shape, made.factors, made.terms)
    assert rank == len(call.shape)
    return value if bias is None else add_along(trace, value, bias, axis)


def _viewed(weight: Parameter, move: Any) -> Parameter:
    found = weight.moved(move)
    if found is None:
        raise Unsupported("a weight that is copied in another order")
    return found


def _space(x: Value, axis: int) -> None:
    """Refuse neurons along the axes on which a kernel slides."""
    for own in range(axis + 1, len(x.shape)):
        if x.factor_on(own) is not None or any(array.shape[own] > 1 for _, array in x.terms):
            raise Unsupported("neurons along an axis on which a kernel slides")


def _grouped(
    trace: Trace, x: Value, weight: Parameter, axis: int, groups: int, shape: Sequence[int], transposed: bool
) -> Value:
    """A convolution of groups of channels: each output reads the inputs of its group."""
    channels, outputs = x.shape[axis], shape[axis]
    own_in, own_out = channels // groups, outputs // groups
    kernel = weight.shape[2:]
    ones = (1,) * len(kernel)

    def split(view: Tensor) -> Tensor:
        if transposed:  # [groups · in, out, *kernel]
            return view.reshape(groups, own_in, own_out, *kernel).transpose(1, 2)
        return view.reshape(groups, own_out, own_in, *kernel)

    weight = _viewed(weight, split)
    factor = x.factor_on(axis)
    if factor is not None and factor.axes != (axis,):
        raise Unsupported("groups of channels of several others")
    if x.has_zeros:
        raise Unsupported("groups of channels with padded zeros")
    inside = [(c, array) for c, array in x.terms if array.shape[axis] > 1]
    outside = tuple((c, array) for c, array in x.terms if array.shape[axis] == 1)
    if any(array.size != channels for _, array in inside):
        raise Unsupported("groups of channels with scales along several axes")
    rest = tuple(own for own in x.factors if own is not factor)
    scales = trace.new_scales((outputs,))
    by_group = (groups, own_out, own_in, *ones)
    terms: list[Term] = [(1.0, scales.reshape(groups, own_out, 1, *ones))]
    terms += [(-c, array.reshape(groups, 1, own_in, *ones)) for c, array in inside]
    read = None if factor is None else factor.labels.reshape(-1)
    slots = None if factor is None or read is None else ranked(read, factor.slots)
    if own_in == own_out == 1 and read is not None and slots is None:
        # A channel by itself: what comes out is the same neuron.
        made = read
        factors = [Factor(made.reshape(groups, 1, 1, *ones))]
    elif read is None:
        made = trace.new_labels((outputs,), module_of(weight.name))
        node = trace.new_labels((groups, 1), trace.place)
        trace.colour(node, 0)
        trace.edge(made.reshape(groups, own_out), np.broadcast_to(node, (groups, own_out)))
        factors = [Factor(made.reshape(groups, own_out, 1, *ones))]
    else:
        if slots is not None:
            raise Unsupported("groups of channels that one neuron has several of")
        made = trace.new_labels((outputs,), module_of(weight.name))
        node = trace.new_labels((groups, 1), trace.place)
        trace.edge(made.reshape(groups, own_out), np.broadcast_to(node, (groups, own_out)))
        trace.edge(read.reshape(groups, own_in), np.broadcast_to(node, (groups, own_in)))
        if own_in == 1:
            factors = [Factor(made.reshape(groups, own_out, 1, *ones))]
        elif own_out == 1:
            factors = [Factor(read.reshape(groups, 1, own_in, *ones))]
        else:
            # An entry of the weight belongs to an output and an input of one group: it goes where the two go.
            pairs = trace.new_labels(by_group, module_of(weight.name))
            trace.edge(pairs, np.broadcast_to(made.reshape(groups, own_out, 1, *ones), by_group))
            trace.edge(pairs, np.broadcast_to(read.reshape(groups, 1, own_in, *ones), by_group))
            factors = [Factor(pairs)]
    trace.use(weight, factors, terms)
    along = [outputs if place == axis else 1 for place in range(len(shape))]
    made_factor = Factor(made.reshape(along), None)
    return Value(tuple(shape), (*rest, made_factor), combined(trace, outside, ((1.0, scales.reshape(along)),)))
