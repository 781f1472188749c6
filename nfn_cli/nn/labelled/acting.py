"""The action of an element on fields with any number of features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.nn.labelled.layout import LabelledLayout
from nfn_cli.symmetry.labelled import Element, act


class FieldAction:
    """g on fields [batch, *sizes, features]: found once, by acting on the tensors themselves.

    Args:
        element: of the layout's architecture.
    """

    def __init__(self, element: Element, layout: LabelledLayout) -> None:
        order, factor = monomial(element, layout)
        self._orders: list[Tensor] = []
        self._factors: list[Tensor] = []
        start = 0
        for field in layout.fields:
            own = slice(start, start + field.entries, field.features)  # the first feature speaks for all
            self._orders.append(torch.from_numpy((order[own] - start) // field.features))
            self._factors.append(torch.from_numpy(factor[own]))
            start += field.entries

    def __call__(self, fields: Sequence[Tensor]) -> list[Tensor]:
        """Fields after the action, in their own dtype."""
        found = []
        for values, order, factor in zip(fields, self._orders, self._factors, strict=True):
            flat = values.reshape(len(values), order.numel(), values.shape[-1])
            own = flat[:, order.to(values.device)] * factor.to(values)[:, None]
            found.append(own.view(values.shape))
        return found


def monomial(element: Element, layout: LabelledLayout) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The monomial matrix of an element on all entries, in the order of the fields.

    Returns:
        From which entry each comes, int64 [entries], and what it is multiplied by, float64 [entries].
    """
    permuting = Element(element.goes, np.zeros_like(element.logs), np.zeros_like(element.signs))
    numbers = torch.arange(layout.entries, dtype=torch.float64)
    order = _acted(permuting, layout, numbers).round().long().numpy()
    return order, _acted(element, layout, torch.ones_like(numbers)).numpy()


def _acted(element: Element, layout: LabelledLayout, entries: Tensor) -> Tensor:
    fields = []
    for field in layout.fields:
        own, entries = entries[: field.entries], entries[field.entries :]
        fields.append(own.view(1, *field.sizes, field.features))
    tensors = {name: own[0] for name, own in layout.unpack(fields).items()}
    moved = act(element, layout.architecture, tensors)
    return torch.cat([own.flatten() for own in layout.pack({name: own[None] for name, own in moved.items()})])
