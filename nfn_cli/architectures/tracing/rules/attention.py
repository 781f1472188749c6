"""Attention as one operator."""

from __future__ import annotations

from nfn_cli.architectures.tracing.moving import move_value
from nfn_cli.architectures.tracing.rules.contractions import product
from nfn_cli.architectures.tracing.rules.elementwise import add
from nfn_cli.architectures.tracing.rules.normalisations import softmax
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Parameter, Unsupported, Value


@rule(
    "scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
)  # fmt: skip
def attention(trace: Trace, call: Call) -> object:
    """softmax(q kᵀ + mask) v, heads on the last axis but two."""
    q, k, v = (as_value(trace, operand) for operand in call.args[:3])
    if call.kwargs.get("enable_gqa"):
        times = q.shape[-3] // k.shape[-3]
        k, v = (_repeated(trace, own, times) for own in (k, v))
    scores = product(trace, q, move_value(trace, k, lambda t: t.transpose(-1, -2)), (*q.shape[:-1], k.shape[-2]))
    trace.still(scores)
    if call.name.startswith("_"):
        mask = call.kwargs.get("attn_mask")
        if mask is not None or any(isinstance(part, (Value, Parameter)) for part in call.args[3:]):
            raise Unsupported("a mask")
        dropout = call.get(3, "dropout_p", 0.0)
    else:
        mask, dropout = call.get(3, "attn_mask"), call.get(4, "dropout_p", 0.0)
    if dropout:
        raise Unsupported("random numbers")
    if mask is not None:
        scores = add(trace, Call("add", None, (scores, mask), {}, (scores.shape,)))
    weights = softmax(trace, Call("softmax", None, (scores, -1), {}, (scores.shape,)))
    value = product(trace, weights, v, call.shape)
    return value if len(call.shapes) == 1 else [value, *[Value(shape) for shape in call.shapes[1:]]]


def _repeated(trace: Trace, value: Value, times: int) -> Value:
    """Every head several times: equal numbers."""
    rank = len(value.shape)
    apart = move_value(trace, value, lambda t: t.unsqueeze(rank - 2))
    shape = [*value.shape[: rank - 2], times, *value.shape[rank - 2 :]]
    expanded = Value(tuple(shape), apart.factors, apart.terms, apart.constant | {rank - 2})
    return move_value(trace, expanded, lambda t: t.flatten(rank - 3, rank - 2))
