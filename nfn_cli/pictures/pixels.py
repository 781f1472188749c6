"""From a picture's channels to what is seen: gray, colours, or panels side by side."""

from __future__ import annotations

import torch
from torch import Tensor

PAPER = 255  # white, which shows through what is not opaque


def pixels_of(picture: Tensor) -> Tensor:
    """A picture's pixels: one channel is gray, three are red, green and blue, four these and opacity; of any other
    number, every channel is a gray picture of its own beside the others.

    Args:
        picture: [channels, height, width], in [0, 1].

    Returns:
        uint8 [height, width, 1, 3 or 4].

    >>> pixels_of(torch.tensor([[[0.0, 1.0]], [[0.2, 0.4]]]))[..., 0]
    tensor([[  0, 255,  51, 102]], dtype=torch.uint8)
    """
    values = (picture * 255).round_().to(torch.uint8)
    if len(values) not in (1, 3, 4):
        values = torch.cat(list(values), dim=1)[None]
    return values.permute(1, 2, 0).contiguous()


def opaque_pixels(picture: Tensor) -> Tensor:
    """The same as red, green and blue on white paper: uint8 [height, width, 3]."""
    pixels = pixels_of(picture)
    if pixels.shape[2] == 4:
        opacity = pixels[..., 3:].float() / 255
        mixed = pixels[..., :3] * opacity + PAPER * (1 - opacity)
        return mixed.round_().to(torch.uint8)
    return pixels.expand(-1, -1, 3)
