"""Bring the fields of sine networks to comparable size, by constants of a training population."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nfn_cli.nn.sine.fields import FieldSizes, SineFields


class StandardFields(nn.Module):
    """Divides every feature by its spread over a population; only what no sign changes is centred. Commutes with the
    group.

    Args:
        sizes: features of the fields.
    """

    def __init__(self, sizes: FieldSizes) -> None:
        super().__init__()
        self._hidden = len(sizes.vectors)
        features = [*sizes.vectors, *sizes.evens, *sizes.odd_pairs, *sizes.even_pairs, sizes.invariant]
        signless = [False] * self._hidden + [True] * self._hidden + [False] * (2 * self._hidden - 2) + [True]
        self._centred = signless
        for position, count in enumerate(features):
            self.register_buffer(f"shift_{position}", torch.zeros(count))
            self.register_buffer(f"scale_{position}", torch.ones(count))

    def forward(self, fields: SineFields) -> SineFields:
        """Standardise fields."""
        found = [
            (values - self.get_buffer(f"shift_{position}")) * self.get_buffer(f"scale_{position}")
            for position, values in enumerate(fields.all())
        ]
        return SineFields.of(found, self._hidden)

    @torch.no_grad()
    def fit(self, fields: SineFields) -> None:
        """Set the constants from a training population; a feature that is always zero keeps its size."""
        for position, (values, centred) in enumerate(zip(fields.all(), self._centred, strict=True)):
            rows: Tensor = values.flatten(0, -2).cpu().double()
            shift = rows.mean(0) if centred else torch.zeros_like(rows[0])
            spread = (rows - shift).square().mean(0).sqrt()
            self.get_buffer(f"shift_{position}").copy_(shift)
            self.get_buffer(f"scale_{position}").copy_(torch.where(spread > 0, 1 / spread, 1.0))
