"""The recipe of zoos of small CNNs (Unterthiner et al. 2020): hyperparameters are drawn for every run, and it is saved
after several epochs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, index
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.threads import threads_for
from nfn_cli.zoo.hyperparameters import (
    AUGMENTATIONS,
    PREPROCESSINGS,
    SCHEDULES,
    TRAIN_FRACTIONS,
    Hyperparameters,
    draw_hyperparameters,
)
from nfn_cli.zoo.images import ImageSet, load_images
from nfn_cli.zoo.labels import ZooRow, read_zoo_rows, write_labels
from nfn_cli.zoo.recipe import Job, Made, Recipe
from nfn_cli.zoo.settings import ZooSettingsBase
from nfn_cli.zoo.small_cnn import ACTIVATIONS, SMALLEST_IMAGE, WIDTH, SmallCnn
from nfn_cli.zoo.trainer import Snapshot, TrainingImages, train_group
from nfn_cli.zoo.varied_recipe import IMAGE_SHARE_RANGE, draw_varied, saved_epochs

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class ZooSettings(ZooSettingsBase):
    """What a zoo of CNNs is made of. Two sittings with the same settings add up; `count` alone may grow between them.

    Attributes:
        data: image set, see `load_images`.
        count: training runs.
        epochs: after which a run is saved; not of a varied zoo.
        image_limit: training images that are used, the first ones; None for all.
        precision: of activations and gradients, "float32" or "bfloat16".
        width: channels of every convolution.
        schedule: of the learning rate, one of `SCHEDULES`.
        augmentation: of training images, one of `AUGMENTATIONS`.
        preprocessing: of pixels, one of `PREPROCESSINGS`.
        varied: draw these three, the share of the images, the epochs and the batch size too, see `draw_varied`.
    """

    recipe = "small-cnn"
    growing = ("count",)
    unsaid: ClassVar[dict[str, Any]] = {
        "width": WIDTH,
        "schedule": SCHEDULES[0],
        "augmentation": AUGMENTATIONS[0],
        "preprocessing": PREPROCESSINGS[0],
        "varied": False,
    }

    data: str
    activation: str
    count: int
    seed: int = 0
    epochs: tuple[int, ...] = (1, 2, 4, 8)
    batch_size: int = 64
    image_limit: int | None = None
    packed: bool = False
    precision: str = "bfloat16"
    width: int = WIDTH
    schedule: str = SCHEDULES[0]
    augmentation: str = AUGMENTATIONS[0]
    preprocessing: str = PREPROCESSINGS[0]
    varied: bool = False

    def record(self) -> dict[str, Any]:
        """Plain values for `zoo.yaml`; `count` stands last in it."""
        values = super().record()
        return values | {"count": values.pop("count")}


@dataclass(frozen=True)
class SharedImages:
    """What every process trains on."""

    network: SmallCnn
    images: TrainingImages
    epochs: tuple[int, ...]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Those that processes should share instead of copying."""
        images = self.images
        return images.train_patches, images.train_labels, images.test_patches, images.test_labels, images.train_images


def train_job(shared: SharedImages, job: Job[Hyperparameters], on_samples: Callable[[int], None]) -> list[Snapshot]:
    """Snapshots of a group of runs."""
    return list(train_group(shared.network, job.items, shared.images, _saved(job.items[0], shared.epochs), on_samples))


def _saved(run: Hyperparameters, epochs: tuple[int, ...]) -> tuple[int, ...]:
    """After which epochs a run is saved, in a zoo that has these for runs that say none."""
    return epochs if run.epochs is None else saved_epochs(run.epochs)


def _length(run: Hyperparameters) -> tuple[Any, ...]:
    """What runs that are trained side by side have in common."""
    return run.train_fraction, run.image_share, run.epochs or 0, run.batch_size, run.augmentation


class SmallCnnRecipe(Recipe[int, Hyperparameters, ZooRow, list[Snapshot]]):
    """Small CNNs; a run is its number, a job trains a group of runs of equal length.

    Raises:
        DataError: the recipe has no such activation.
    """

    # A group whose activations fit the cache trains fastest on a CPU; a GPU wants to be filled.
    together: ClassVar = {"cpu": 16, "cuda": 256, "mps": 64}
    work = staticmethod(train_job)
    read_rows = staticmethod(read_zoo_rows)
    write_rows = staticmethod(write_labels)
    run_of = staticmethod(attrgetter("hyperparameters.run"))
    order = staticmethod(attrgetter("hyperparameters.run", "epoch"))
    diverged_run = staticmethod(index)

    def __init__(self, settings: ZooSettings) -> None:
        if settings.activation not in ACTIVATIONS:
            raise DataError(settings.activation, "the recipe has no such activation", f"use {' or '.join(ACTIVATIONS)}")
        self.settings: ZooSettings = settings

    def load_images(self) -> ImageSet:
        settings = self.settings
        images = load_images(settings.data, smallest=SMALLEST_IMAGE, limit=settings.image_limit)
        least = min(IMAGE_SHARE_RANGE) if settings.varied else 1.0
        if int(int(len(images.train_labels) * least) * min(TRAIN_FRACTIONS)) < 1:
            part, enough = ("a hundredth", 100) if settings.varied else ("a tenth", 10)
            cause = f"only {len(images.train_labels)} training images, of which some runs take {part}"
            raise DataError(settings.data, cause, f"use at least {enough}")
        return images

    def runs(self, images: ImageSet) -> list[int]:
        return list(range(self.settings.count))

    def batches(self, runs: Sequence[int], group_size: int) -> list[tuple[Hyperparameters, ...]]:
        """Groups of runs of equal length, in the order of their first run: a zoo stopped early is still a fair
        sample."""
        drawn = [self._drawn(run) for run in runs]
        groups: list[tuple[Hyperparameters, ...]] = []
        for _, same in groupby(sorted(drawn, key=lambda run: (_length(run), run.run)), key=_length):
            cohort = tuple(same)
            groups += [cohort[start : start + group_size] for start in range(0, len(cohort), group_size)]
        return sorted(groups, key=lambda group: group[0].run)

    def steps(self, items: Sequence[Hyperparameters], images: ImageSet) -> int:
        """Network-samples."""
        size = items[0].images_of(len(images.train_labels))
        batch = min(items[0].batch_size, size)
        return max(_saved(items[0], self.settings.epochs)) * (size // batch) * batch * len(items)

    def share(self, images: ImageSet, device: str, group_size: int) -> SharedImages:
        with threads_for(images.train_images.numel()):
            dtype, whole = DTYPES[self.settings.precision], self._augments
            cut = TrainingImages.cut(images, dtype=dtype, device=torch.device(device), whole=whole)
        return SharedImages(self._network(images), cut, self.settings.epochs)

    def made(self, items: Sequence[Hyperparameters], result: list[Snapshot], images: ImageSet) -> Made[int, ZooRow]:
        """The snapshots of every run until it diverged."""
        rows: list[ZooRow] = []
        kept: list[Tensor] = []
        diverged: set[int] = set()
        for snapshot in result:
            for position, run in enumerate(items):
                parameters = snapshot.parameters[position]
                # Weights that are finite, but too large to compute with, give a loss that is not.
                if not parameters.isfinite().all() or not math.isfinite(snapshot.test_loss[position]):
                    diverged.add(run.run)
                if run.run in diverged:
                    continue
                kept.append(parameters)
                rows.append(
                    ZooRow(
                        file=f"run-{run.run:06d}-epoch-{snapshot.epoch:03d}.safetensors",
                        index=None,
                        epoch=snapshot.epoch,
                        test_accuracy=snapshot.test_accuracy[position],
                        train_accuracy=snapshot.train_accuracy[position],
                        test_loss=snapshot.test_loss[position],
                        hyperparameters=run,
                        even_accuracy=snapshot.even_accuracy[position] if snapshot.even_accuracy else None,
                        odd_accuracy=snapshot.odd_accuracy[position] if snapshot.odd_accuracy else None,
                    )
                )
        parameters = torch.stack(kept) if kept else result[0].parameters[:0]
        return Made(rows, self._network(images).split(parameters), diverged)

    @property
    def _augments(self) -> bool:
        return self.settings.varied or self.settings.augmentation != AUGMENTATIONS[0]

    def _drawn(self, run: int) -> Hyperparameters:
        settings = self.settings
        if settings.varied:
            return draw_varied(seed=settings.seed, run=run, activation=settings.activation)
        return draw_hyperparameters(
            seed=settings.seed,
            run=run,
            activation=settings.activation,
            batch_size=settings.batch_size,
            schedule=settings.schedule,
            augmentation=settings.augmentation,
            preprocessing=settings.preprocessing,
        )

    def _network(self, images: ImageSet) -> SmallCnn:
        return SmallCnn(images.train_images.shape[1], images.classes, self.settings.width)

    @property
    def metadata(self) -> dict[str, str]:
        return {"activation": self.settings.activation, "arch": "small-cnn"}

    def whole(self, folder: Path, rows: list[ZooRow], diverged: frozenset[int]) -> list[ZooRow]:
        """A run some of whose rows are missing, and which did not diverge, counts as not begun."""
        saved = Counter(row.hyperparameters for row in rows)
        wanted = self.settings.epochs
        finished = diverged.union(run.run for run, count in saved.items() if count == len(_saved(run, wanted)))
        last = max(finished, default=-1)
        if last >= self.settings.count:
            raise DataError(folder, f"holds run {last} of a larger zoo", f"give a --count of at least {last + 1}")
        return [row for row in rows if self.run_of(row) in finished]
