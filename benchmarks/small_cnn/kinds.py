"""The populations by one recipe each, and which runs of a varied zoo are of their kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Runs of a varied zoo are like 20,000 images for 10 epochs in images or in epochs, if they are this near.
_IMAGES = (14_000, 28_000)
_EPOCHS = (7, 14)


@dataclass(frozen=True)
class Kind:
    """A population.

    Attributes:
        title: in words.
        options: of `nfn zoo cnn`, beside those that all have.
        is_like: whether a row of a varied zoo's labels is of this kind, given the number of images in the set; None
            for the published recipe, which is never left out.
    """

    title: str
    options: tuple[str, ...]
    is_like: Callable[[Mapping[str, str], int], bool] | None


def _is_like_fewer(row: Mapping[str, str], images: int) -> bool:
    own = float(row["image_share"]) * images
    return _IMAGES[0] <= own <= _IMAGES[1] or _EPOCHS[0] <= int(row["epochs"]) <= _EPOCHS[1]


_RECIPE = ("--epochs", "2", "--epochs", "4", "--epochs", "8")

KINDS: dict[str, Kind] = {
    "own": Kind("the published recipe", _RECIPE, None),
    "fewer": Kind(
        "20,000 images for 10 epochs",
        ("--images", "20000", "--epochs", "3", "--epochs", "6", "--epochs", "10"),
        _is_like_fewer,
    ),
    "batches": Kind(
        "batches of 512", (*_RECIPE, "--batch-size", "512"), lambda row, images: row["batch_size"] == "512"
    ),
    "augmented": Kind(
        "augmentation", (*_RECIPE, "--augmentation", "shift-flip"), lambda row, images: row["augmentation"] != "none"
    ),
    "cosine": Kind(
        "a cosine schedule", (*_RECIPE, "--schedule", "cosine"), lambda row, images: row["schedule"] == "cosine"
    ),
    "pixels": Kind(
        "pixels in [0, 1]", (*_RECIPE, "--preprocessing", "unit"), lambda row, images: row["preprocessing"] == "unit"
    ),
}
