"""A small convolutional network from a picture to the edited picture: all that an editor in function space learns of an
edit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Painter(nn.Module):
    """Maps pictures [batch, values, height, width], about in [-1, 1], to what they should become, in the same shape.

    The edited picture is the given one and what 3×3 convolutions add to it.

    Args:
        values: channels of the pictures.
        channels: of the hidden layers.
        depth: 3×3 convolutions before the last layer; each sees one pixel further.
        context: means over so many coarse cells along each side are shown to every pixel, between them bilinearly; 0
            shows none. An edit that looks at the histogram of a region needs them.
    """

    def __init__(self, values: int, channels: int, depth: int, context: int) -> None:
        super().__init__()
        self.context = context
        self.local = nn.ModuleList(
            nn.Conv2d(values if layer == 0 else channels, channels, 3, padding=1) for layer in range(depth)
        )
        if context:
            self.shared = nn.Sequential(
                nn.Conv2d(values, 2 * channels, 1), nn.ReLU(), nn.Conv2d(2 * channels, 2 * channels, 1), nn.ReLU()
            )
            self.merged = nn.Sequential(
                nn.Conv2d(values + 3 * channels, 2 * channels, 1),
                nn.ReLU(),
                nn.Conv2d(2 * channels, 2 * channels, 1),
                nn.ReLU(),
                nn.Conv2d(2 * channels, channels, 1),
                nn.ReLU(),
            )
        self.last = nn.Conv2d(channels, values, 3, padding=1)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()  # type: ignore[union-attr]

    def forward(self, pictures: Tensor) -> Tensor:
        """The edited pictures, not yet cut to [-1, 1]."""
        hidden = pictures
        for convolution in self.local:
            hidden = F.relu(convolution(hidden))
        if self.context:
            around = F.adaptive_avg_pool2d(self.shared(pictures), self.context)
            around = F.interpolate(around, pictures.shape[2:], mode="bilinear", align_corners=False)
            hidden = self.merged(torch.cat([pictures, hidden, around], 1))
        return pictures + self.last(hidden)  # type: ignore[no-any-return]
