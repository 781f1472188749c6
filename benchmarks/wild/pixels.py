"""From stored pictures to what a network sees, and changes of them at random."""

from __future__ import annotations

import numpy as np
import torch
from archive import Array
from torch import Tensor

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # means and deviations of red, green, blue
_BORDER = 4
_BLUR = 0.8  # pixels, deviation of the Gaussian


class ToPixels:
    """uint8 [count, height, width, channels] to what a network sees, float32 [count, channels, height, width].

    Args:
        how: `imagenet` or `data` (mean 0, deviation 1 a channel, of either), `unit` (in [0, 1]), `signed` (in [-1, 1])
            or `raw` (0 to 255).
        images: training images, for `data`.
    """

    def __init__(self, how: str, images: Array) -> None:
        channels = images.shape[-1]
        if how == "imagenet":
            mean, deviation = (torch.tensor(own) for own in _IMAGENET)
            if channels == 1:
                mean, deviation = mean.mean(0, keepdim=True), deviation.mean(0, keepdim=True)
        elif how == "data":
            some = torch.from_numpy(images[:10_000]).float() / 255
            mean, deviation = some.mean((0, 1, 2)), some.std((0, 1, 2))
        elif how == "signed":
            mean, deviation = torch.full((channels,), 0.5), torch.full((channels,), 0.5)
        else:
            if how not in ("unit", "raw"):
                raise ValueError(how)
            mean, deviation = torch.zeros(channels), torch.full((channels,), 1.0 if how == "unit" else 1 / 255)
        self._mean, self._deviation = mean.view(-1, 1, 1), deviation.view(-1, 1, 1)

    def __call__(self, images: Array) -> Tensor:
        pictures = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(255)
        return ((pictures - self._mean) / self._deviation).contiguous()


def augmented(pictures: Array, how: str, rng: np.random.Generator) -> Array:
    """Pictures [count, height, width, channels], changed at random."""
    count, height, width, _ = pictures.shape
    if how == "crop-flip":
        padded = np.pad(pictures, ((0, 0), (_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0)))
        rows = rng.integers(0, 2 * _BORDER + 1, (count, 1)) + np.arange(height)
        columns = rng.integers(0, 2 * _BORDER + 1, (count, 1)) + np.arange(width)
        flipped = rng.random(count) < 0.5
        columns[flipped] = columns[flipped, ::-1]
        return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    if how == "blur":
        places = np.arange(-2, 3)
        weights = np.exp(-(places**2) / (2 * _BLUR**2))
        blurred = rng.random(count) < 0.5
        values = pictures[blurred].astype(np.float32)
        for axis in (1, 2):
            sides = [(2, 2) if own == axis else (0, 0) for own in range(4)]
            padded, length = np.pad(values, sides, "edge"), values.shape[axis]
            shifted = [padded.take(range(start, start + length), axis) for start in range(5)]
            values = sum(weight * own for weight, own in zip(weights / weights.sum(), shifted, strict=True))
        pictures = pictures.copy()
        pictures[blurred] = np.rint(values).astype(np.uint8)
    return pictures
