"""Augmentation of training images, each by its own draw: shifted by up to an eighth of its side, flipped, or both.

What a shift leaves free is black, as with a random crop of padded images.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BLACK = -1.0
_SHIFT_SHARE = 8


def augmented(images: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Images [count, channels, height, width] in [-1, 1], augmented.

    Args:
        kind: one of `AUGMENTATIONS`.
        generator: on the images' device.
    """
    count, _, height, width = images.shape
    if "flip" in kind:
        flipped = torch.rand(count, 1, 1, 1, device=images.device, generator=generator) < 0.5
        images = torch.where(flipped, images.flip(3), images)
    if "shift" in kind:
        rows, moved_rows = _places(count, height, images.device, generator)
        columns, moved_columns = _places(count, width, images.device, generator)
        inside = moved_rows[:, None, :, None] & moved_columns[:, None, None, :]
        numbers = torch.arange(count, device=images.device)[:, None, None]
        # Indexing puts the channels last.
        moved = images.permute(0, 2, 3, 1)[numbers, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        images = torch.where(inside, moved, torch.full_like(moved[:1, :1, :1, :1], _BLACK))
    return images


def _places(count: int, side: int, device: torch.device, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Where each place along a side is taken from, and whether that lies inside, [count, side] each."""
    most = side // _SHIFT_SHARE
    shift = torch.randint(-most, most + 1, (count, 1), device=device, generator=generator)
    places = torch.arange(side, device=device) + shift
    return places.clamp(0, side - 1), (places >= 0) & (places < side)
