"""Zoos of wild classifiers: networks of random architecture, trained as people train, well and badly."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter, index
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
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
from nfn_cli.zoo.wild.networks import FAMILIES, LARGE_FAMILIES, draw_network
from nfn_cli.zoo.wild.tasks import TASKS, TaskImages, task_images, task_shape
from nfn_cli.zoo.wild.train import Saved, train_network
from nfn_cli.zoo.wild.train_group import train_group
from nfn_cli.zoo.wild.training_recipe import TrainingRecipe, draw_member, draw_recipe

_FEWEST_IMAGES = 200
_TOGETHER = 2  # runs a job
_TASKS_KEPT = 3  # on a CPU, of each process; a GPU keeps all
# Of the networks that several runs share: how many are large, and how long they train.
_LARGE_SHARE = 0.05
_FEWEST_STEPS, _MOST_STEPS = 100, 20_000
# What a pass over a group may keep of its steps on a GPU, and bytes a number: values, gradients and what lies between.
_MOST_BYTES, _BYTES = 6 * 10**9, 12


@dataclass(frozen=True)
class WildSettings(ZooSettingsBase):
    """What a zoo of wild classifiers is made of; `count` alone may grow.

    Attributes:
        data: image set, see `load_images`.
        count: training runs.
        budget: 10⁹ multiplications of forward passes that a run may take: with larger networks it sees fewer images,
            and then fewer epochs.
        per_network: training runs of each drawn network. They share its architecture, task, batch size, images, epochs,
            optimizer, schedule and augmentation, and differ in seed, initialiser, learning rate, weight decay, label
            noise, averaging and preprocessing. With more than one, some networks are large, a run takes 100 to about
            20,000 steps, and none stops early.
    """

    recipe = "wild"
    growing = ("count",)
    unsaid: ClassVar[dict[str, Any]] = {"per_network": 1}

    data: str
    count: int
    seed: int = 0
    budget: int = 100
    packed: bool = False
    per_network: int = 1


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
    """The run of a number; it follows from the settings, the number and the shape of the images alone."""
    network, shared = run // settings.per_network, settings.per_network > 1
    rng = random.Random(f"nfn wild {settings.seed} {network}")
    task, family = rng.choice(sorted(TASKS)), rng.choice(sorted(FAMILIES))
    if shared and rng.random() < _LARGE_SHARE:
        family = rng.choice(sorted(LARGE_FAMILIES))
    picture, classes = task_shape(images, task)
    steps = draw_network(rng, family, picture, classes)
    recipe = draw_recipe(seed=settings.seed, run=network)
    seen = max(1, settings.budget * 10**9 // (3 * steps.products))
    most = len(images.train_labels) * classes // images.classes  # of the task, where all classes have as many images
    if shared:
        seen = min(seen, _MOST_STEPS * recipe.batch_size)
        recipe = replace(recipe, images=min(recipe.images, max(_FEWEST_IMAGES, most)))
    count = max(_FEWEST_IMAGES, min(recipe.images, seen // recipe.epochs))
    epochs = max(1, min(recipe.epochs, seen // count))
    first = recipe.saved[0]
    if shared:
        recipe = draw_member(recipe, seed=settings.seed, run=run)
        epochs = max(epochs, -(-_FEWEST_STEPS // max(1, min(count, most) // recipe.batch_size)))
        first = -(-first * epochs // recipe.epochs)
    saved = tuple(sorted({min(epoch, epochs) for epoch in (first, epochs)}))
    return Planned(run, task, family, steps, replace(recipe, images=count, epochs=epochs, saved=saved))


@dataclass(frozen=True)
class SharedImages:
    """What every process trains on.

    Attributes:
        cut: the last tasks that this process has cut, on the device where they are trained.
    """

    settings: WildSettings
    images: ImageSet
    device: str
    cut: dict[str, TaskImages] = field(default_factory=dict)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Those that processes should share instead of copying."""
        images = self.images
        return images.train_images, images.train_labels, images.test_images, images.test_labels

    @property
    def trained_on(self) -> str:
        """The device; a network alone is too little work for a GPU, and Apple's have no float64 to measure with."""
        return self.device if self.device == "cuda" and self.settings.per_network > 1 else "cpu"

    def task(self, name: str) -> TaskImages:
        """The pictures of a task."""
        if name not in self.cut:
            while self.trained_on == "cpu" and len(self.cut) >= _TASKS_KEPT:
                del self.cut[next(iter(self.cut))]
            self.cut[name] = task_images(self.images, name).to(self.trained_on)
        return self.cut[name]


@dataclass(frozen=True)
class Trained:
    """What came of a run: rows, and the network's tensors of each.

    The tensors are NumPy arrays: between processes those are copied, and tensors would take an open file each.
    """

    planned: Planned
    rows: list[WildRow]
    states: list[dict[str, np.ndarray[Any, Any]]]


def train_job(shared: SharedImages, job: Job[int], on_steps: Callable[[int], None]) -> list[Trained]:
    """The runs of a job; a step is an epoch of a run."""
    planned = [plan_run(shared.settings, run, shared.images) for run in job.items]
    each = shared.settings.per_network
    if each == 1:
        return [_trained_alone(shared, own, on_steps) for own in planned]
    trained: list[Trained] = []
    for _, own in groupby(planned, key=lambda own: own.run // each):
        group = list(own)
        if _side_by_side(group[0].steps, shared.trained_on):
            parts = _parts(group, shared.trained_on)
            trained += [done for part in parts for done in _trained_together(shared, part, on_steps)]
        else:
            trained += [_trained_alone(shared, planned, on_steps) for planned in group]
    return trained


def _side_by_side(steps: Steps, device: str) -> bool:
    """Whether a device trains several such networks faster side by side than one by one.

    On one processor MLPs take a fifth of the time, and convolutions 1 to 1.8 times as long (8 members, batches of 64).
    """
    return device != "cpu" or not any(step["op"] == "conv" for step in steps.listed)


def _trained_alone(shared: SharedImages, planned: Planned, on_steps: Callable[[int], None]) -> Trained:
    images = shared.task(planned.task).to("cpu")
    network = RecordedNetwork(read_steps(planned.steps.listed))
    trained = Trained(planned, [], [])
    for saved in train_network(network, planned.recipe, images, lambda: on_steps(1)):
        _keep(trained, saved, images, network)
    return trained


def _parts(group: list[Planned], device: str) -> list[list[Planned]]:
    """Runs of one network as groups that a GPU has room for, beside those of other processes."""
    if device == "cpu":
        return [group]
    each = _BYTES * group[0].steps.values * group[0].recipe.batch_size
    size = max(1, _MOST_BYTES // each)
    return [group[start : start + size] for start in range(0, len(group), size)]


def _trained_together(shared: SharedImages, group: list[Planned], on_steps: Callable[[int], None]) -> list[Trained]:
    """Runs of one network, side by side; one by one on the CPU where torch cannot batch an operator of it."""
    images = shared.task(group[0].task)
    network = RecordedNetwork(read_steps(group[0].steps.listed))
    trained = [Trained(own, [], []) for own in group]
    try:
        for member, saved in train_group(network, [own.recipe for own in group], images, on_steps):
            _keep(trained[member], saved, images, network)
    except RuntimeError as error:
        # Such as "NYI: querying is_contiguous inside of vmap", seen on an H100 with coloured pictures.
        if "vmap" not in str(error):
            raise
        trained = [_trained_alone(shared, own, on_steps) for own in group]
    if shared.trained_on == "cuda":
        torch.cuda.empty_cache()  # other processes may need it
    return trained


def _keep(trained: Trained, saved: Saved, images: TaskImages, network: RecordedNetwork) -> None:
    planned = trained.planned
    trained.rows.append(
        WildRow(
            file=f"{_folder(planned.run)}/epoch-{saved.epoch:03d}.safetensors",
            run=planned.run,
            epoch=saved.epoch,
            task=images.name,
            family=planned.family,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            test_accuracy=saved.test_accuracy,
            even_accuracy=saved.halves[0],
            odd_accuracy=saved.halves[1],
            train_accuracy=saved.train_accuracy,
            test_loss=saved.test_loss,
            **of_recipe(planned.recipe),
        )
    )
    trained.states.append({name: value.numpy() for name, value in saved.state.items()})


def _folder(run: int) -> str:
    return f"run-{run:06d}"


class WildRecipe(Recipe[int, int, WildRow, list[Trained]]):
    """Wild classifiers; a run is its number. Every run has a folder of its own, with a `config.json` that records the
    forward pass.

    Raises:
        DataError: packed files are asked for, and these networks are of many shapes.
    """

    shares_gpu: ClassVar = True
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
        each = self.settings.per_network
        if each == 1:
            return [tuple(runs[start : start + group_size]) for start in range(0, len(runs), group_size)]
        return [tuple(own) for _, own in groupby(runs, key=lambda run: run // each)]

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
                tensors = {name: torch.from_numpy(value) for name, value in state.items()}
                save_tensors(folder / row.file, tensors, self.metadata, overwrite=True)
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
