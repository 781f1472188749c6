"""What a network is given for a pixel in [-1, 1]: the pixel, the same in [0, 1], or standardised.

Every one is x ↦ a·x + b for each channel, so it can be done in the first layer instead of the images: with kernel w
and bias c, w·(a·x + b) + c = (a·w)·x + (c + b·Σw). That is exact where the layer pads nothing, and lets networks of
different preprocessing share one copy of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_TINY = 1e-6


@dataclass(frozen=True)
class Preprocessing:
    """Factors and offsets [networks, channels], one of each network and channel."""

    factors: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, names: Sequence[str], mean: Tensor, deviation: Tensor) -> Preprocessing | None:
        """Of networks by name; None where all of them take pixels as they are.

        Args:
            names: of `PREPROCESSINGS`.
            mean, deviation: of the training images [channels].
        """
        if all(name == "signed" for name in names):
            return None
        one = torch.ones_like(mean)
        inverse = 1 / deviation.clamp_min(_TINY)
        known = {"signed": (one, 0 * one), "unit": (one / 2, one / 2), "standard": (inverse, -mean * inverse)}
        return cls(*(torch.stack([known[name][part] for name in names]) for part in (0, 1)))

    def folded(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer that does to pixels in [-1, 1] what the given one does to preprocessed ones.

        Args:
            weight: [networks, width, channels, height, width of the kernel].
            bias: [networks, width].
        """
        factors, offsets = (own[:, None, :, None, None] for own in (self.factors, self.offsets))
        return weight * factors, bias + (weight * offsets).sum((2, 3, 4))
