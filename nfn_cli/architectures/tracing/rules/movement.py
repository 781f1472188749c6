"""Operators that move numbers and change none."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Parameter, Unsupported, Value

_SAME = (
    "clone", "contiguous", "to", "_to_copy", "detach", "detach_", "alias", "lift_fresh_copy", "lift_fresh", "lift",
    "type_as", "resolve_conj", "resolve_neg", "positive",
)  # fmt: skip
_DROPOUTS = ("dropout", "dropout_", "feature_dropout", "feature_dropout_", "alpha_dropout", "alpha_dropout_",
             "feature_alpha_dropout", "feature_alpha_dropout_", "native_dropout")  # fmt: skip
_MOVES = (
    "view", "reshape", "_unsafe_view", "unsqueeze", "unsqueeze_", "squeeze", "squeeze_", "permute",
    "transpose", "t", "numpy_T", "mT", "swapaxes", "swapdims", "movedim", "moveaxis", "flatten", "unflatten", "slice",
    "select", "narrow", "flip", "fliplr", "flipud", "roll", "repeat", "repeat_interleave", "tile", "diagonal", "rot90",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "unfold", "t_",
    "transpose_", "slice_copy", "view_copy", "permute_copy", "squeeze_copy", "unsqueeze_copy", "select_copy",
)  # fmt: skip


# Those that move every entry to one place.
_WHOLE = (
    "view", "reshape", "_unsafe_view", "unsqueeze", "unsqueeze_", "squeeze", "squeeze_", "permute", "transpose", "t",
    "numpy_T", "mT", "swapaxes", "swapdims", "movedim", "moveaxis", "flatten", "unflatten", "t_", "transpose_",
)  # fmt: skip


@rule(*_SAME)
def same(trace: Trace, call: Call) -> Any:
    """What is the same number; one that becomes a whole one, or a truth value, may not be scaled."""
    x = call.args[0]
    if call.dtypes and not call.dtypes[0].is_floating_point:
        x = as_value(trace, x)
        trace.still(x)
        return replace(x, terms=(), data=None)
    return x


@rule(*_DROPOUTS)
def dropout(trace: Trace, call: Call) -> Any:
    """In evaluation, the same."""
    x, rate, training = call.args[0], call.get(1, "p"), call.get(2, "train")
    if training is not False and rate:
        raise Unsupported("random numbers, as in training")
    return [x, Value(x.shape)] if call.name == "native_dropout" else x


@rule("_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_constrain_range", "sym_size")
def nothing(trace: Trace, call: Call) -> None:
    """What computes nothing."""


@rule(*_MOVES)
def moved(trace: Trace, call: Call) -> Any:
    """Data movement."""
    args = [part.data if isinstance(part, Value) else part for part in call.args[1:]]
    if any(part is None or isinstance(part, (Parameter, torch.dtype)) for part in args):
        raise Unsupported("a move that is computed, or another dtype")
    whole = call.name in _WHOLE
    return move(trace, call, lambda tensor: call.target(tensor, *_on(tensor, args), **call.kwargs), whole=whole)


def _on(like: Tensor, args: list[Any]) -> list[Any]:
    return [part.to(like.device) if isinstance(part, Tensor) else part for part in args]


@rule("_reshape_alias")
def reshaped(trace: Trace, call: Call) -> Any:
    """A reshape that names the strides of a tensor that is not ours."""
    return move(trace, call, lambda tensor: tensor.reshape(call.args[1]))


_NEW = ("zeros_like", "ones_like", "empty_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty",
        "zero", "zero_")  # fmt: skip
SHAPES_ONLY = (*_NEW, "expand_as", "view_as", "reshape_as", "type_as", "_assert_tensor_metadata", "_assert_async")


@rule(*_NEW)
def made(trace: Trace, call: Call) -> Value:
    """New tensors, of which only the shape is another's."""
    zeros = call.name in ("zeros_like", "new_zeros", "zero", "zero_")
    few = math.prod(call.shape) <= 1 << 20
    return Value(call.shape, data=torch.zeros(call.shape, dtype=call.dtypes[0]) if zeros and few else None)


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


def move(trace: Trace, call: Call, fn: Any, *, whole: bool = False) -> Any:
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
    return move_value(trace, x, fn, whole=whole)


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
    """Entries at known positions."""
    axis, positions = call.args[1], call.args[2]
    x = as_value(trace, call.args[0])
    if not isinstance(positions, Value) or positions.is_live:
        raise Unsupported("positions that the group moves")
    return taken(trace, x, axis % len(x.shape), positions)


def taken(trace: Trace, x: Value, axis: int, positions: Value) -> Value:
    """Entries of an axis at positions [n] that no neuron has a part in; along neurons they must be known."""
    known = positions.data
    if known is None:
        if x.factor_on(axis) is not None or any(array.shape[axis] > 1 for _, array in x.terms):
            raise Unsupported("positions along neurons that are not known beforehand")
        known = torch.zeros(positions.shape, dtype=torch.int64)
        found = move_value(trace, x, lambda tensor: tensor.index_select(axis, known.to(tensor.device)))
        return Value(found.shape, found.factors, found.terms, found.constant - {axis})
    return move_value(trace, x, lambda tensor: tensor.index_select(axis, known.to(tensor.device)))
