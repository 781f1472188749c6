"""Edits of pictures that heads are fitted to make: as in the published experiments on editing INRs (Zhou et al. 2023,
arXiv 2302.14040; arXiv 2409.11697).

Pictures are float [pictures, channels, height, width] in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.learning.inr.contrast import stronger_contrast


def dilated(pictures: Tensor) -> Tensor:
    """The largest value among a pixel and its eight neighbours; `cv2.dilate` with a 3×3 kernel of ones."""
    return F.max_pool2d(pictures, 3, stride=1, padding=1)


def eroded(pictures: Tensor) -> Tensor:
    """The least value among a pixel and its eight neighbours; `cv2.erode` with a 3×3 kernel of ones."""
    return -dilated(-pictures)


_EDITS: dict[str, Callable[[Tensor], Tensor]] = {
    "dilate": dilated,
    "erode": eroded,
    "contrast": stronger_contrast,
}


def edited(pictures: Tensor, edit: str) -> Tensor:
    """What an edit makes of pictures; values are cut to [-1, 1] first.

    Raises:
        DataError: contrast of pictures that are not gray.
    """
    if edit == "contrast" and pictures.shape[1] != 1:
        raise DataError(f"pictures of {pictures.shape[1]} channels", "contrast is made of gray ones", "use others")
    return _EDITS[edit](pictures.clamp(-1, 1))
