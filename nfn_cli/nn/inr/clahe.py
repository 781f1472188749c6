"""Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) of the lightness of gray pictures.

The published experiments on editing INRs use OpenCV's, with a clip limit of 1 and 3×3 tiles, on the L channel of CIE
Lab in 8 bits; this follows its algorithm, so that none of it need be installed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_TILES = 3
_CLIP_LIMIT = 1.0
_LEVELS = 256


def stronger_contrast(pictures: Tensor) -> Tensor:
    """Gray pictures [pictures, 1, height, width] in [-1, 1], rounded to 8 bits, equalised; in [-1, 1] again."""
    levels = ((pictures + 1) * 127.5).round()
    lightness = (_lightness(levels / 255) * 2.55).round()
    equal = equalised(lightness[:, 0].long())[:, None].to(pictures)
    return (_gray(equal / 2.55) * 255).round() / 127.5 - 1


def equalised(levels: Tensor) -> Tensor:
    """CLAHE of 8-bit pictures, int64 [pictures, height, width].

    Every tile maps levels by its own cumulative histogram, of which no level may hold more than the clip limit (what is
    above is spread over all levels); between the tiles' centres their maps are interpolated.
    """
    count, height, width = levels.shape
    tall, wide = (-(-size // _TILES) for size in (height, width))
    padded = F.pad(levels.double()[:, None], (0, _gap(width), 0, _gap(height)), mode="reflect").long()
    tiles = padded.unflatten(2, (_TILES, tall)).unflatten(4, (_TILES, wide))[:, 0].transpose(2, 3).flatten(3)
    histogram = levels.new_zeros(count, _TILES, _TILES, _LEVELS).scatter_add_(3, tiles, torch.ones_like(tiles))
    limit = max(1, int(_CLIP_LIMIT * tall * wide / _LEVELS))
    spread = _redistributed(histogram, limit)
    maps = (spread.cumsum(3) * (_LEVELS - 1) / (tall * wide)).round().clamp(0, _LEVELS - 1)
    rows, columns = _between(height, tall), _between(width, wide)
    found = torch.zeros(levels.shape, dtype=torch.float64)
    number = torch.arange(count)[:, None, None]
    for row, row_share in rows:
        for column, column_share in columns:
            value = maps[number, row[:, None], column, levels]
            found += value * row_share[:, None] * column_share
    return found.round().long()


def _gap(size: int) -> int:
    """Pixels that a side lacks to be divided into tiles."""
    return -size % _TILES


def _redistributed(histogram: Tensor, limit: int) -> Tensor:
    """What is above the limit goes to all levels alike; the rest of that division to evenly spaced ones."""
    excess = (histogram - limit).clamp_min(0).sum(-1, keepdim=True)
    histogram = histogram.clamp_max(limit) + excess // _LEVELS
    left = excess % _LEVELS
    apart = (_LEVELS // left.clamp_min(1)).clamp_min(1)
    level = torch.arange(_LEVELS)
    return histogram + ((level % apart == 0) & (level // apart < left))


def _between(size: int, tile: int) -> list[tuple[Tensor, Tensor]]:
    """For every pixel along a side, the tile before and the tile behind it, and their shares."""
    position = torch.arange(size, dtype=torch.float64) / tile - 0.5
    before = position.floor()
    share = position - before
    first, second = before.clamp(0, _TILES - 1).long(), (before + 1).clamp(0, _TILES - 1).long()
    return [(first, 1 - share), (second, share)]


def _lightness(gray: Tensor) -> Tensor:
    """CIE L* in [0, 100] of sRGB grays in [0, 1]."""
    linear = torch.where(gray > 0.04045, ((gray + 0.055) / 1.055) ** 2.4, gray / 12.92)
    return torch.where(linear > 0.008856, 116 * linear.clamp_min(1e-12) ** (1 / 3) - 16, 903.3 * linear)


def _gray(lightness: Tensor) -> Tensor:
    """Inverse of `_lightness`."""
    linear = torch.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp_min(1e-12) ** (1 / 2.4) - 0.055, 12.92 * linear)
