"""Augmented images: each is the image flipped, or moved over black, by a draw of its own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nfn_cli.zoo.augmentation import augmented


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(200, 2, 16, 24, generator=torch.Generator().manual_seed(0)) * 1.9 - 0.9


def draws(images: torch.Tensor, kind: str) -> torch.Tensor:
    return augmented(images, kind, torch.Generator().manual_seed(1))


def test_flips_take_half_of_the_images(images: torch.Tensor) -> None:
    found = draws(images, "flip")
    flipped = [torch.equal(own, image.flip(2)) for own, image in zip(found, images, strict=True)]
    same = [torch.equal(own, image) for own, image in zip(found, images, strict=True)]
    assert all(one != other for one, other in zip(flipped, same, strict=True))
    assert 70 < sum(flipped) < 130


@pytest.mark.parametrize("kind", ["shift", "shift-flip"])
def test_shifts_are_crops_of_images_that_are_padded_with_black(kind: str, images: torch.Tensor) -> None:
    found = draws(images, kind)
    places = set()
    for own, image in zip(found, images, strict=True):
        padded = F.pad(image, (3, 3, 2, 2), value=-1.0)  # an eighth of 24 and of 16
        fits = [
            (row, column, turned)
            for row in range(5)
            for column in range(7)
            for turned in ([False, True] if "flip" in kind else [False])
            if torch.equal(
                own,
                (F.pad(image.flip(2), (3, 3, 2, 2), value=-1.0) if turned else padded)[
                    :, row : row + 16, column : column + 24
                ],
            )
        ]
        assert len(fits) == 1
        places.add(fits[0])
    assert len({place[:2] for place in places}) > 30
    assert len({place[2] for place in places}) == (2 if "flip" in kind else 1)


def test_without_augmentation_nothing_changes(images: torch.Tensor) -> None:
    assert draws(images, "none") is images
