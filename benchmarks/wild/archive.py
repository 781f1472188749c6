"""Image archives in the Keras layout, as NumPy arrays, and tasks made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_ANIMALS, _VEHICLES = (3, 4, 5), (0, 1, 9)  # cat, deer, dog; aeroplane, car, lorry


@dataclass(frozen=True)
class Images:
    """The images of a task: uint8 [count, height, width, channels], and classes int64 [count] from 0 on."""

    name: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array

    @property
    def classes(self) -> int:
        return int(self.y_train.max()) + 1

    @property
    def picture(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        height, width, channels = self.x_train.shape[1:]
        return channels, height, width


def read_archive(path: Path) -> Images:
    """All images of an archive; its name is the file's.

    Raises:
        ValueError: it is no such archive.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            x_train, y_train, x_test, y_test = (archive[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(f"{path}: {error}; give an archive with x_train, y_train, x_test and y_test") from error
    if x_train.dtype != np.uint8 or x_train.ndim not in (3, 4):
        raise ValueError(f"{path}: images of type {x_train.dtype}, shape {x_train.shape}; store pictures as uint8")
    if x_train.ndim == 3:
        x_train, x_test = x_train[..., None], x_test[..., None]
    return Images(path.stem, x_train, y_train.astype(np.int64), x_test, y_test.astype(np.int64))


def tasks_of(images: Images) -> list[str]:
    """What can be asked of an archive."""
    if images.name.startswith("cifar10"):
        return ["all", "all", "all-halved", "five", "animals", "vehicles"]
    return ["all", "all", "all-halved", "five", "five-halved", "parity"]


def task_of(images: Images, task: str) -> Images:
    """The images of a task: `all` classes, `five` (every other one), `animals`, `vehicles` or `parity` (of the class);
    with `-halved` behind it, at half the width and height."""
    kind, _, halved = task.partition("-")
    images = replace(images, name=f"{images.name}/{task}")
    if kind == "parity":
        images = replace(images, y_train=images.y_train % 2, y_test=images.y_test % 2)
    elif kind != "all":
        kept = {"five": tuple(range(0, images.classes, 2)), "animals": _ANIMALS, "vehicles": _VEHICLES}[kind]
        images = _of_classes(images, kept)
    return replace(images, x_train=_half(images.x_train), x_test=_half(images.x_test)) if halved else images


def _of_classes(images: Images, kept: tuple[int, ...]) -> Images:
    parts = []
    for pictures, labels in ((images.x_train, images.y_train), (images.x_test, images.y_test)):
        own = np.isin(labels, kept)
        parts += [pictures[own], np.searchsorted(kept, labels[own])]
    return Images(images.name, *parts)


def _half(pictures: Array) -> Array:
    """Means of two by two pixels, rounded."""
    count, height, width, channels = pictures.shape
    even = pictures[:, : height // 2 * 2, : width // 2 * 2].reshape(count, height // 2, 2, width // 2, 2, channels)
    return ((even.astype(np.uint16).sum((2, 4)) + 2) // 4).astype(np.uint8)
