"""What networks of pictures share: the cut into patches, and example pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures.families.family import Inputs


def patches(maps: Tensor) -> Tensor:
    """[batch, width, rows, columns] to [batch, rows · columns, width]."""
    return maps.flatten(2).transpose(1, 2)


def picture_inputs(channels: int, size: tuple[int, int], batch: int, device: torch.device | str) -> Inputs:
    """Pictures [batch, channels, height, width] of waves, no two alike."""
    numbers = torch.arange(batch * channels * size[0] * size[1], device=device, dtype=torch.get_default_dtype())
    return (torch.sin(numbers * 0.7).view(batch, channels, *size),), {}
