"""Operators that move numbers and change none."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Parameter, Unsupported, Value

_SAME = (
    "dropout", "dropout_", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout", "clone",
    "contiguous", "to", "_to_copy", "detach", "detach_", "alias", "lift_fresh_copy", "lift_fresh", "lift", "type_as",
    "float", "double", "half", "identity", "_conj", "resolve_conj", "resolve_neg", "requires_grad_", "positive",
)  # fmt: skip
_MOVES = (
    "view", "reshape", "_unsafe_view", "unsqueeze", "unsqueeze_", "squeeze", "squeeze_", "permute",
    "transpose", "t", "numpy_T", "mT", "swapaxes", "swapdims", "movedim", "moveaxis", "flatten", "unflatten", "slice",
    "select", "narrow", "flip", "fliplr", "flipud", "roll", "repeat", "repeat_interleave", "tile", "diagonal", "rot90",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "unfold", "t_",
    "transpose_", "slice_copy", "view_copy", "permute_copy", "squeeze_copy", "unsqueeze_copy", "select_copy",
)  # fmt: skip


@rule(*_SAME)
def same(trace: Trace, call: Call) -> Any:
    """What is the same in evaluation."""
    x = call.args[0]
    return [x, Value(x.shape)] if call.name == "native_dropout" else x


@rule("_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_constrain_range", "sym_size")
def nothing(trace: Trace, call: Call) -> None:
    """What computes nothing."""


@rule(*_MOVES)
def moved(trace: Trace, call: Call) -> Any:
    """Data movement."""
    return move(trace, call, lambda tensor: call.target(tensor, *call.args[1:], **call.kwargs))


@rule("_reshape_alias")
def reshaped(trace: Trace, call: Call) -> Any:
    """A reshape that names the strides of a tensor that is not ours."""
    return move(trace, call, lambda tensor: tensor.reshape(call.args[1]))


@rule("zeros_like", "ones_like", "empty_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty",
      "zero", "zero_")  # fmt: skip
def made(trace: Trace, call: Call) -> Value:
    """New tensors, of which only the shape is another's."""
    zeros = call.name in ("zeros_like", "new_zeros", "zero", "zero_")
    return Value(call.shape, data=torch.zeros(call.shape) if zeros and math.prod(call.shape) <= 1 << 20 else None)


@rule("expand", "expand_as", "broadcast_to", "view_as", "reshape_as", "expand_copy")
def to_shape(trace: Trace, call: Call) -> Any:
    """Expansions, which repeat numbers, and views of the shape of another tensor."""
    if call.name in ("view_as", "reshape_as"):
        return move(trace, call, lambda tensor: tensor.reshape(call.shape))
    x = call.args[0]
    if isinstance(x, Parameter):
        return x.moved(lambda view: view.expand(call.shape))
    lifted = x.lifted(len(call.shape))
    constant = {
        axis
        for axis, size in enumerate(call.shape)
        if size > 1 and (lifted.shape[axis] == 1 or axis in lifted.constant)
    }
    return Value(call.shape, lifted.factors, lifted.terms, frozenset(constant), points=x.points)


def move(trace: Trace, call: Call, fn: Any) -> Any:
    """A value or a parameter after data movement."""
    x = call.args[0]
    if isinstance(x, Parameter):
        found = x.moved(fn)
        if found is not None:
            return found
        if call.name == "repeat":
            raise Unsupported("a parameter that is repeated")
        x = as_value(trace, x)
    if x.points is not None:
        raise Unsupported("indices of neurons that are moved")
    return move_value(trace, x, fn)


@rule("split", "split_with_sizes", "chunk", "unbind", "tensor_split", "unsafe_split", "unsafe_chunk", "hsplit",
      "vsplit", "split_copy", "split_with_sizes_copy", "unbind_copy", "unsafe_split_with_sizes")  # fmt: skip
def split(trace: Trace, call: Call) -> list[Any]:
    """Several parts."""

    def part(place: int) -> Any:
        def fn(tensor: Tensor) -> Tensor:
            return call.target(tensor, *call.args[1:], **call.kwargs)[place]

        return move(trace, call, fn)

    return [part(place) for place in range(len(call.shapes))]


@rule("index_select")
def index_select(trace: Trace, call: Call) -> Any:
    """Entries at known places."""
    axis, places = call.args[1], call.args[2]
    x = as_value(trace, call.args[0])
    if not isinstance(places, Value) or places.is_live:
        raise Unsupported("places that the group moves")
    return taken(trace, x, axis % len(x.shape), places)


def taken(trace: Trace, x: Value, axis: int, places: Value) -> Value:
    """Entries of an axis at places [n] that no neuron has a part in; along neurons they must be known."""
    known = places.data
    if known is None:
        if x.factor_on(axis) is not None or any(array.shape[axis] > 1 for _, array in x.terms):
            raise Unsupported("places along neurons that are not known beforehand")
        known = torch.zeros(places.shape, dtype=torch.int64)
        found = move_value(trace, x, lambda tensor: tensor.index_select(axis, known.to(tensor.device)))
        return Value(found.shape, found.factors, found.terms, found.constant - {axis})
    return move_value(trace, x, lambda tensor: tensor.index_select(axis, known.to(tensor.device)))
