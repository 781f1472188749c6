"""Zoos of wild classifiers: networks of random architecture, trained as people train, well and badly."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter, index
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from nfn_cli.architectures.config_file import CONFIG_NAME
from nfn_cli.architectures.families.recorded import MODEL_TYPE, RecordedNetwork, read_steps
from nfn_cli.checkpoints import save_tensors, write_text_atomically
from nfn_cli.errors import DataError
from nfn_cli.folders import make_folder
from nfn_cli.zoo.images import ImageSet, load_images
from nfn_cli.zoo.recipe import Job, Made, Recipe
from nfn_cli.zoo.settings import ZooSettingsBase
from nfn_cli.zoo.wild.building import Steps
from nfn_cli.zoo.wild.labels import WildRow, of_recipe, read_wild_rows, write_wild_rows
from nfn_cli.zoo.wild.networks import FAMILIES, draw_network
from nfn_cli.zoo.wild.tasks import TASKS, task_images, task_shape
from nfn_cli.zoo.wild.train import train_network
from nfn_cli.zoo.wild.training_recipe import TrainingRecipe, draw_recipe

_FEWEST_IMAGES = 200
_TOGETHER = 2  # runs a job


@dataclass(frozen=True)
class WildSettings(ZooSettingsBase):
    """What a zoo of wild classifiers is made of; `count` alone may grow.

    Attributes:
        data: image set, see `load_images`.
        count: training runs.
        budget: 10⁹ multiplications of forward passes that a run may take: with larger networks it sees fewer images,
            and then fewer epochs.
    """

    recipe = "wild"
    growing = ("count",)

    data: str
    count: int
    seed: int = 0
    budget: int = 100
    packed: bool = False


@dataclass(frozen=True)
class Planned:
    """One run: its task, its network and how it is trained."""

    run: int
    task: str
    family: str
    steps: Steps
    recipe: TrainingRecipe

    @property
    def config(self) -> dict[str, Any]:
        """What `config.json` says of the network."""
        return {"model_type": MODEL_TYPE, "input": list(self.steps.picture), "steps": self.steps.listed}


def plan_run(settings: WildSettings, run: int, images: ImageSet) -> Planned:
    """The run of a number; it follows from the seed, the number and the shape of the images alone."""
    rng = random.Random(f"nfn wild {settings.seed} {run}")
    task, family = rng.choice(sorted(TASKS)), rng.choice(sorted(FAMILIES))
    steps = draw_network(rng, family, *task_shape(images, task))
    recipe = draw_recipe(seed=settings.seed, run=run)
    seen = max(1, settings.budget * 10**9 // (3 * steps.products))
    count = max(_FEWEST_IMAGES, min(recipe.images, seen // recipe.epochs))
    epochs = max(1, min(recipe.epochs, seen // count))
    saved = tuple(sorted({min(epoch, epochs) for epoch in (recipe.saved[0], epochs)}))
    return Planned(run, task, family, steps, replace(recipe, images=count, epochs=epochs, saved=saved))


@dataclass(frozen=True)
class SharedImages:
    """What every process trains on."""

    settings: WildSettings
    images: ImageSet
    device: str

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Those that processes should share instead of copying."""
        images = self.images
        return images.train_images, images.train_labels, images.test_images, images.test_labels


@dataclass(frozen=True)
class Trained:
    """What came of a run: rows, and the network's tensors of each."""

    planned: Planned
    rows: list[WildRow]
    states: list[dict[str, Tensor]]


def train_job(shared: SharedImages, job: Job[int], on_steps: Callable[[int], None]) -> list[Trained]:
    """The runs of a job, one after the other; a step is an epoch."""
    return [_trained(shared, run, on_steps) for run in job.items]


def _trained(shared: SharedImages, run: int, on_steps: Callable[[int], None]) -> Trained:
    planned = plan_run(shared.settings, run, shared.images)
    images = task_images(shared.images, planned.task)
    network = RecordedNetwork(read_steps(planned.steps.listed))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    rows, states = [], []
    for saved in train_network(network, planned.recipe, images, lambda: on_steps(1)):
        rows.append(
            WildRow(
                file=f"{_folder(run)}/epoch-{saved.epoch:03d}.safetensors",
                run=run,
                epoch=saved.epoch,
                task=images.name,
                family=planned.family,
                parameters=parameters,
                test_accuracy=saved.test_accuracy,
                even_accuracy=saved.halves[0],
                odd_accuracy=saved.halves[1],
                train_accuracy=saved.train_accuracy,
                test_loss=saved.test_loss,
                **of_recipe(planned.recipe),
            )
        )
        states.append(saved.state)
    return Trained(planned, rows, states)


def _folder(run: int) -> str:
    return f"run-{run:06d}"


class WildRecipe(Recipe[int, int, WildRow, list[Trained]]):
    """Wild classifiers; a run is its number. Every run has a folder of its own, with a `config.json` that records the
    forward pass.

    Raises:
        DataError: packed files are asked for, and these networks are of many shapes.
    """

    together: ClassVar = {"cpu": _TOGETHER, "cuda": _TOGETHER, "mps": _TOGETHER}
    work = staticmethod(train_job)
    read_rows = staticmethod(read_wild_rows)
    write_rows = staticmethod(write_wild_rows)
    run_of = staticmethod(attrgetter("run"))
    order = staticmethod(attrgetter("run", "epoch"))
    diverged_run = staticmethod(index)

    def __init__(self, settings: WildSettings) -> None:
        if settings.packed:
            raise DataError("--packed", "networks of many shapes go to files of their own", "leave it out")
        self.settings: WildSettings = settings

    def load_images(self) -> ImageSet:
        images = load_images(self.settings.data)
        if len(images.train_labels) < _FEWEST_IMAGES or images.classes < 3:
            cause = f"{len(images.train_labels)} training images of {images.classes} classes"
            raise DataError(self.settings.data, cause, f"use at least {_FEWEST_IMAGES} of 3 classes or more")
        return images

    def runs(self, images: ImageSet) -> list[int]:
        return list(range(self.settings.count))

    def batches(self, runs: Sequence[int], group_size: int) -> list[tuple[int, ...]]:
        return [tuple(runs[start : start + group_size]) for start in range(0, len(runs), group_size)]

    def steps(self, items: Sequence[int], images: ImageSet) -> int:
        """Epochs."""
        return sum(_epochs(self.settings, run, images) for run in items)

    def share(self, images: ImageSet, device: str, group_size: int) -> SharedImages:
        return SharedImages(self.settings, images, device)

    def made(self, items: Sequence[int], result: list[Trained], images: ImageSet) -> Made[int, WildRow]:
        rows = [row for own in result for row in own.rows]
        # One that diverged late keeps what it saved before.
        diverged = {own.planned.run for own in result if len(own.rows) < len(own.planned.recipe.saved)}
        return Made(rows, {}, diverged)

    def write(self, folder: Path, made: Made[int, WildRow], result: list[Trained], part: int | None) -> list[WildRow]:
        """See `Recipe`."""
        for own in result:
            if own.rows:
                place = folder / _folder(own.planned.run)
                make_folder(place)
                write_text_atomically(place / CONFIG_NAME, json.dumps(own.planned.config) + "\n", overwrite=True)
            for row, state in zip(own.rows, own.states, strict=True):
                save_tensors(folder / row.file, state, self.metadata, overwrite=True)
        return made.rows

    @property
    def metadata(self) -> dict[str, str]:
        return {"arch": WildSettings.recipe}

    def whole(self, folder: Path, rows: list[WildRow], diverged: frozenset[int]) -> list[WildRow]:
        """A run whose files are gone counts as not begun."""
        last = max((row.run for row in rows), default=-1)
        if last >= self.settings.count:
            raise DataError(folder, f"holds run {last} of a larger zoo", f"give a --count of at least {last + 1}")
        return [row for row in rows if os.path.exists(folder / row.file)]


def _epochs(settings: WildSettings, run: int, images: ImageSet) -> int:
    return plan_run(settings, run, images).recipe.epochs
