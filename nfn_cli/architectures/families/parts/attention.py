"""Attention by matmul and softmax, as graphs show it."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures.families.parts.norms import narrowed, widened


def heads_of(values: Tensor, size: int) -> Tensor:
    """[batch, tokens, heads · size] to [batch, heads, tokens, size]."""
    return values.view(*values.shape[:-1], -1, size).transpose(1, 2)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    *,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    cap: float | None = None,
) -> Tensor:
    """Attention of all heads.

    Args:
        query: [batch, heads, tokens, size].
        key, value: [batch, groups, sources, size]; each serves heads / groups heads that follow one another.
        scale: of the scores.
        mask: [tokens, sources], added to the scores: 0 or −∞.
        bias: [1, heads, tokens, sources], added to the scores.
        cap: c of c · tanh(scores / c); None for none.

    Returns:
        [batch, tokens, heads · size].
    """
    shared = query.shape[1] // key.shape[1]
    key, value = _repeated(key, shared), _repeated(value, shared)
    scores = torch.matmul(query, key.transpose(2, 3))
    if scale != 1.0:
        scores = scores * scale
    if cap is not None:
        scores = torch.tanh(scores / cap) * cap
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = scores + mask
    weights = narrowed(torch.softmax(widened(scores), dim=-1), query)
    mixed = torch.matmul(weights, value).transpose(1, 2)
    return mixed.reshape(mixed.shape[0], mixed.shape[1], -1)


def causal_mask(tokens: int, like: Tensor, window: int | None = None) -> Tensor:
    """[tokens, tokens]: −∞ where a token would see a later one, or one that lies `window` or more before it."""
    closed = torch.full((tokens, tokens), float("-inf"), dtype=like.dtype, device=like.device)
    mask = closed.triu(1)
    if window is not None and window < tokens:
        mask = mask + closed.tril(-window)
    return mask


def _repeated(values: Tensor, times: int) -> Tensor:
    if times == 1:
        return values
    batch, groups, sources, size = values.shape
    wide = values[:, :, None].expand(batch, groups, times, sources, size)
    return wide.reshape(batch, groups * times, sources, size)
