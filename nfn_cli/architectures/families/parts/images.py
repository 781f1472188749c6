"""What networks of pictures share: the cut into patches, and example pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Inputs


def patches(cut: nn.Module, pictures: Tensor) -> Tensor:
    """Pictures [batch, channels, height, width] to patches [batch, patches, width].

    Args:
        cut: a convolution whose stride is its kernel; pictures are taken in the dtype of its weight.
    """
    dtype = cut.get_parameter("weight").dtype
    return cut(pictures if pictures.dtype == dtype else pictures.to(dtype)).flatten(2).transpose(1, 2)


def picture_inputs(channels: int, size: tuple[int, int], batch: int, device: torch.device | str) -> Inputs:
    """Pictures [batch, channels, height, width] of waves, no two alike."""
    numbers = torch.arange(batch * channels * size[0] * size[1], device=device, dtype=torch.get_default_dtype())
    return (torch.sin(numbers * 0.7).view(batch, channels, *size),), {}
