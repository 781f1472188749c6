"""Nonlinearities that commute with a group on labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nfn_cli.nn.labelled.field import LabelledField
from nfn_cli.nn.labelled.layout import LabelledLayout

Still = Literal["relu", "tanh", "gelu"]
_STILL: dict[Still, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": nn.functional.gelu,
}


class LabelledActivation(nn.Module):
    """A nonlinearity for each field, by what multiplies its entries.

    A ReLU where scales do, since ReLU(d x) = d ReLU(x) for d > 0; a tanh where signs do, which is odd (arXiv
    2409.11697, section 5.2). Where both do, x · |x| / ‖x‖, with the norm over the features of an entry: odd and of
    degree 1.

    Args:
        layout: the fields.
        still: where neither does.

    >>> layout = LabelledLayout.from_module(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)))
    >>> first, last = LabelledActivation(layout)([torch.full((1, 8, 6), -1.0), torch.full((1, 3), -1.0)])
    >>> round(first[0, 0, 0].item(), 4), last[0, 0].item()
    (-0.7616, 0.0)
    """

    def __init__(self, layout: LabelledLayout, *, still: Still = "relu") -> None:
        super().__init__()
        self._functions = [_function(field, still) for field in layout.fields]

    def forward(self, fields: Sequence[Tensor]) -> list[Tensor]:
        """Apply it to every entry."""
        return [function(values) for function, values in zip(self._functions, fields, strict=True)]


def over_norm(values: Tensor) -> Tensor:
    """Entries [..., features] divided by their norm: of degree 0. Zeros stay zeros."""
    # The largest entry first: squares of very small numbers leave the range of a dtype.
    largest = values.abs().amax(-1, keepdim=True)
    values = values / torch.where(largest > 0, largest, 1.0)
    norm = values.square().sum(-1, keepdim=True).sqrt()
    return values / torch.where(norm > 0, norm, 1.0)


def _function(field: LabelledField, still: Still) -> Callable[[Tensor], Tensor]:
    if field.is_scaled and field.is_signed:
        return _odd_of_degree_1
    if field.is_scaled:
        return torch.relu
    return torch.tanh if field.is_signed else _STILL[still]


def _odd_of_degree_1(values: Tensor) -> Tensor:
    return values * over_norm(values).abs()
