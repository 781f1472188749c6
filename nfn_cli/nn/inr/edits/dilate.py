"""Dilation: as in the published experiments on editing INRs (Zhou et al. 2023, arXiv 2302.14040; arXiv 2409.11697)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

DESCRIPTION = "makes light strokes thicker (the largest value among a pixel and its eight neighbours)"


def edited(pictures: Tensor) -> Tensor:
    """The largest value among a pixel and its eight neighbours; `cv2.dilate` with a 3×3 kernel of ones."""
    import torch.nn.functional as F

    return F.max_pool2d(pictures, 3, stride=1, padding=1)
