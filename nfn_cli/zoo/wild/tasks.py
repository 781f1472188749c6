"""Tasks made of an image set: all classes, some of them, smaller or inverted pictures. A task is what is tested on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.zoo.images import ImageSet

_SMALL = 14  # pixels


@dataclass(frozen=True)
class TaskImages:
    """The pictures of a task.

    Attributes:
        name: such as `mnist/first-half`.
        train_images, test_images: float32 [count, channels, height, width] in [-1, 1].
        train_labels, test_labels: int64 [count], from 0 on.
        classes: how many.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int

    def to(self, device: str) -> TaskImages:
        """The same on a device."""
        names = ("train_images", "train_labels", "test_images", "test_labels")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    @property
    def picture(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width


def _whole(images: ImageSet) -> ImageSet:
    return images


def _of_classes(keep: Callable[[int], range]) -> Callable[[ImageSet], ImageSet]:
    def cut(images: ImageSet) -> ImageSet:
        wanted = torch.tensor(list(keep(images.classes)))
        parts = []
        for pictures, labels in (
            (images.train_images, images.train_labels),
            (images.test_images, images.test_labels),
        ):
            own = torch.isin(labels, wanted)
            parts += [pictures[own], torch.searchsorted(wanted, labels[own])]
        return ImageSet(images.name, *parts)

    return cut


def _changed(change: Callable[[Tensor], Tensor]) -> Callable[[ImageSet], ImageSet]:
    def cut(images: ImageSet) -> ImageSet:
        return ImageSet(
            images.name,
            change(images.train_images),
            images.train_labels,
            change(images.test_images),
            images.test_labels,
        )

    return cut


def _smaller(pictures: Tensor) -> Tensor:
    side = min(_SMALL, min(pictures.shape[2:]))
    return F.interpolate(pictures, size=(side, side), mode="area")


TASKS: dict[str, Callable[[ImageSet], ImageSet]] = {
    "all": _whole,
    "small": _changed(_smaller),
    "first-half": _of_classes(lambda classes: range((classes + 1) // 2)),
    "last-three": _of_classes(lambda classes: range(max(0, classes - 3), classes)),
    "pair": _of_classes(lambda classes: range(min(3, classes - 2), min(3, classes - 2) + 2)),
    "inverted": _changed(lambda pictures: -_smaller(pictures)),
}


def task_images(images: ImageSet, task: str) -> TaskImages:
    """The pictures of a task of an image set."""
    made = TASKS[task](images)
    return TaskImages(
        f"{images.name}/{task}",
        made.train_images,
        made.train_labels,
        made.test_images,
        made.test_labels,
        made.classes,
    )


def task_shape(images: ImageSet, task: str) -> tuple[tuple[int, int, int], int]:
    """Channels, height and width of a task's pictures, and its number of classes."""
    labels = torch.arange(images.classes)
    some = images.train_images[:1].expand(images.classes, -1, -1, -1)
    few = task_images(ImageSet(images.name, some, labels, some, labels), task)
    return few.picture, few.classes
