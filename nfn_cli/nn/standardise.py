"""Bring the fields of networks to comparable size, by constants of a training population."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Divides every feature by its spread over a population; only fields that the group leaves alone are centred. So it
    commutes with the group.

    Args:
        features: of each field.
        centred: whether each field is.
    """

    def __init__(self, features: Sequence[int], centred: Sequence[bool]) -> None:
        super().__init__()
        self._centred = list(centred)
        for position, count in enumerate(features):
            self.register_buffer(f"shift_{position}", torch.zeros(count))
            self.register_buffer(f"scale_{position}", torch.ones(count))

    def forward(self, fields: Sequence[Tensor]) -> list[Tensor]:
        """Standardise fields [batch, neurons..., features]."""
        return [
            (values - self.get_buffer(f"shift_{position}") if centred else values)
            * self.get_buffer(f"scale_{position}")
            for position, (values, centred) in enumerate(zip(fields, self._centred, strict=True))
        ]

    @torch.no_grad()
    def fit(self, fields: Sequence[Tensor]) -> None:
        """Set the constants from a training population; a feature that is always zero keeps its size."""
        for position, (values, centred) in enumerate(zip(fields, self._centred, strict=True)):
            rows: Tensor = values.flatten(0, -2).cpu().double()  # not every device has float64
            shift = rows.mean(0) if centred else torch.zeros_like(rows[0])
            spread = (rows - shift).square().mean(0).sqrt()
            self.get_buffer(f"shift_{position}").copy_(shift)
            self.get_buffer(f"scale_{position}").copy_(torch.where(spread > 0, 1 / spread, 1.0))
