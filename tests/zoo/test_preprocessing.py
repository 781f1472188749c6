"""Preprocessing in the first layer does what preprocessed images would."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from nfn_cli.zoo.preprocessing import Preprocessing


def test_a_folded_layer_reads_signed_pixels_as_the_layer_reads_preprocessed_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(5, 2, 9, 9, generator=generator) * 2 - 1
    mean, deviation = images.mean((0, 2, 3)), images.std((0, 2, 3))
    weight = torch.randn(3, 4, 2, 3, 3, generator=generator)
    bias = torch.randn(3, 4, generator=generator)
    names = ("unit", "standard", "signed")
    taken = Preprocessing.of(names, mean, deviation)
    assert taken is not None
    folded, offset = taken.folded(weight, bias)
    standard = (images - mean[:, None, None]) / deviation[:, None, None]
    for place, pixels in enumerate([(images + 1) / 2, standard, images]):
        expected = F.conv2d(pixels, weight[place], bias[place])
        torch.testing.assert_close(F.conv2d(images, folded[place], offset[place]), expected, atol=1e-5, rtol=1e-5)


def test_pixels_as_they_are_need_none() -> None:
    assert Preprocessing.of(["signed", "signed"], torch.zeros(1), torch.ones(1)) is None


def test_pixels_that_are_all_alike_stay_finite() -> None:
    taken = Preprocessing.of(["standard"], torch.ones(1), torch.zeros(1))
    assert taken is not None and taken.factors.isfinite().all() and taken.offsets.isfinite().all()
