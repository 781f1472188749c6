"""Stronger contrast: as in the published experiments on editing INRs (Zhou et al. 2023, arXiv 2302.14040; arXiv
2409.11697)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfn_cli.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

DESCRIPTION = "raises local contrast (CLAHE of the lightness, clip limit 1, 3×3 tiles)"
CONTEXT = 3  # equalising a histogram takes a look at that of a region


def edited(pictures: Tensor) -> Tensor:
    """The lightness of gray pictures equalised, see `nfn_cli.nn.inr.clahe`.

    Raises:
        DataError: pictures that are not gray.
    """
    from nfn_cli.nn.inr.clahe import stronger_contrast

    if pictures.shape[1] != 1:
        raise DataError(f"pictures of {pictures.shape[1]} channels", "contrast is made of gray ones", "use others")
    return stronger_contrast(pictures)
