"""Accuracies of a zoo's networks on the test images at even and at odd places."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from nfn_cli.scoring.device import resolve_device
from nfn_cli.zoo import ImageSet, load_images
from nfn_cli.zoo.labels import LABELS_FILE, read_table, write_table
from nfn_cli.zoo.preprocessing import Preprocessing
from nfn_cli.zoo.small_cnn import SMALLEST_IMAGE, image_patches, population_logits

_NETWORKS, _IMAGES = 64, 250


def add_halves(folder: Path, data: str, device: str) -> tuple[int, float]:
    """Write `even_accuracy` and `odd_accuracy` into the labels of a packed zoo.

    Returns:
        The number of networks, and the largest difference between the mean of both and the accuracy that stands there.
    """
    rows = [row for _, row in read_table(folder / LABELS_FILE)]
    if rows and "even_accuracy" not in rows[0]:
        for row, right in zip(rows, hits(folder, rows, data, device), strict=True):
            row["even_accuracy"], row["odd_accuracy"] = (str(float(right[part::2].double().mean())) for part in (0, 1))
        write_table(folder, list(rows[0]), rows)
    means = [(float(row["even_accuracy"]) + float(row["odd_accuracy"])) / 2 for row in rows]
    pairs = zip(rows, means, strict=True)
    return len(rows), max((abs(float(row["test_accuracy"]) - mean) for row, mean in pairs), default=0.0)


@torch.no_grad()
def hits(folder: Path, rows: list[dict[str, str]], data: str, device: str) -> Tensor:
    """Which test images each network gets right, bool [rows, images]; computed in float32."""
    images, place = _images(data), torch.device(resolve_device(device))
    patches, labels = image_patches(images.test_images).to(place), images.test_labels.to(place)
    mean, deviation = images.train_images.mean((0, 2, 3)), images.train_images.std((0, 2, 3))
    found = torch.zeros(len(rows), len(labels), dtype=torch.bool)
    by_file: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        by_file.setdefault(row["file"], []).append(position)
    for file, positions in by_file.items():
        tensors = {name: tensor.float().to(place) for name, tensor in load_file(folder / file).items()}
        for start in range(0, len(positions), _NETWORKS):
            chosen = positions[start : start + _NETWORKS]
            members = torch.tensor([int(rows[position]["index"]) for position in chosen], device=place)
            own = {name: tensor[members] for name, tensor in tensors.items()}
            taken = Preprocessing.of([rows[position]["preprocessing"] for position in chosen], mean, deviation)
            if taken is not None:
                taken = Preprocessing(taken.factors.to(place), taken.offsets.to(place))
            logits = [
                population_logits(own, part[None], rows[chosen[0]]["activation"], preprocessing=taken).argmax(2)
                for part in patches.split(_IMAGES)
            ]
            found[chosen] = (torch.cat(logits, 1) == labels).cpu()
    return found


@lru_cache(maxsize=1)
def _images(data: str) -> ImageSet:
    return load_images(data, smallest=SMALLEST_IMAGE)


def training_images(data: str) -> int:
    """How many the set has."""
    return len(_images(data).train_labels)


def rows_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a zoo's labels."""
    with (folder / LABELS_FILE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
