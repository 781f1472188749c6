"""The recipe of zoos of networks between two epochs: weights on the straight line between two checkpoints of a run.

Their accuracy is measured by running them on the test images, which takes far less time than to train a network, so a
head has more labelled networks to learn from. They are of the runs of the zoo that they are made of.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import attrgetter, index
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.threads import threads_for
from nfn_cli.zoo.between_rows import BetweenRow, read_between_rows, write_between_rows
from nfn_cli.zoo.images import ImageSet, load_images
from nfn_cli.zoo.labels import LABELS_FILE, ZooRow, read_zoo_rows
from nfn_cli.zoo.networks import read_networks
from nfn_cli.zoo.preprocessing import Preprocessing
from nfn_cli.zoo.recipe import Job, Made, Recipe
from nfn_cli.zoo.settings import ZooSettingsBase
from nfn_cli.zoo.small_cnn import SMALLEST_IMAGE, SmallCnn, image_patches
from nfn_cli.zoo.small_cnn_recipe import DTYPES
from nfn_cli.zoo.trainer import Tested, tested

_RUNS_IN_JOB = 16
# Networks that are run again to see whether these are the images of the zoo, and how far their mean accuracy may be
# off. Arithmetic in bfloat16 on another device moves an accuracy by up to 0.005.
_CHECKED = 8
_TOLERANCE = 0.02


@dataclass(frozen=True)
class BetweenSettings(ZooSettingsBase):
    """What a zoo of networks between epochs is made of; `of` takes the rest from the zoo. It grows with that zoo.

    Attributes:
        data: the image set that the zoo was trained on, see `load_images`.
        zoo: folder of the zoo, of `nfn zoo cnn`.
        activation, width, precision, zoo_seed: of that zoo.
        image_limit: training images that it used, the first ones; None for all.
        each: networks between two saved epochs that follow each other.
        seed: decides where between them.
    """

    recipe = "between-epochs"
    growing = ()

    data: str
    zoo: str
    activation: str
    width: int
    precision: str
    zoo_seed: int
    image_limit: int | None = None
    each: int = 3
    seed: int = 0
    packed: bool = False

    @classmethod
    def of(cls, record: dict[str, Any], *, data: str, zoo: Path, each: int, seed: int, packed: bool) -> BetweenSettings:
        """Those for a zoo with this `zoo.yaml`."""
        own = {name: record[name] for name in ("activation", "width", "precision", "image_limit")}
        return cls(data=data, zoo=str(zoo), zoo_seed=record["seed"], each=each, seed=seed, packed=packed, **own)

    def record(self) -> dict[str, Any]:
        """Plain values for `zoo.yaml`; the zoo may move, so its bare name stands there."""
        return super().record() | {"zoo": Path(self.zoo).resolve().name}


@dataclass(frozen=True)
class RunBetween:
    """What is made of a run.

    Attributes:
        positions: of its networks in the zoo's table, by ascending epoch.
        epochs: of these.
        places: of each network to make: the position in `positions` of the epoch before it, and the share of the way to
            the next.
    """

    run: int
    positions: tuple[int, ...]
    epochs: tuple[int, ...]
    places: tuple[tuple[int, float], ...]
    activation: str
    preprocessing: str


@dataclass(frozen=True)
class SharedTests:
    """What every process runs networks on, and what it makes them of.

    Attributes:
        parameters: of the zoo's networks, float32 [networks, parameter_count].
        patches, labels: of the test images.
        mean, deviation: of the training pixels, [channels].
        together: networks run side by side.
    """

    network: SmallCnn
    parameters: Tensor
    patches: Tensor
    labels: Tensor
    mean: Tensor
    deviation: Tensor
    together: int

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Those that processes should share instead of copying."""
        return self.parameters, self.patches, self.labels

    def tested(self, parameters: Tensor, activation: str, preprocessings: Sequence[str]) -> Tested:
        """How networks do on the test images; `parameters` [networks, parameter_count] on the CPU."""
        device = self.patches.device
        taken = Preprocessing.of(preprocessings, self.mean, self.deviation)
        return tested(self.network, activation, parameters.to(device), self.patches, self.labels, taken)


@dataclass(frozen=True)
class MadeBetween:
    """What came of a job, network by network."""

    parameters: Tensor  # float32 [networks, parameter_count]
    figures: list[dict[str, float | None]]


def make_between(shared: SharedTests, job: Job[RunBetween], on_samples: Callable[[int], None]) -> MadeBetween:
    """Networks between the epochs of some runs, and how they do on the test images."""
    made = [(item, *place) for item in job.items for place in item.places]
    before = shared.parameters[[item.positions[first] for item, first, _ in made]]
    after = shared.parameters[[item.positions[first + 1] for item, first, _ in made]]
    parameters = before.lerp(after, torch.tensor([share for _, _, share in made])[:, None])
    figures: list[dict[str, float | None]] = []
    for start in range(0, len(made), shared.together):
        part = [item for item, _, _ in made[start : start + shared.together]]
        found = shared.tested(
            parameters[start : start + shared.together], part[0].activation, [item.preprocessing for item in part]
        )
        figures += found.rows()
        on_samples(len(part) * len(shared.labels))
    return MadeBetween(parameters, figures)


class BetweenRecipe(Recipe[int, RunBetween, BetweenRow, MadeBetween]):
    """Networks between epochs; a run is that of the zoo, a job makes those of several runs."""

    together: ClassVar = {"cpu": 16, "cuda": 256, "mps": 64}
    work = staticmethod(make_between)
    read_rows = staticmethod(read_between_rows)
    write_rows = staticmethod(write_between_rows)
    run_of = staticmethod(attrgetter("run"))
    order = staticmethod(attrgetter("run", "first_epoch", "share"))
    diverged_run = staticmethod(index)

    def __init__(self, settings: BetweenSettings) -> None:
        self.settings: BetweenSettings = settings

    @cached_property
    def _rows(self) -> list[ZooRow]:
        """The zoo's table."""
        return read_zoo_rows(Path(self.settings.zoo) / LABELS_FILE)

    @cached_property
    def _plan(self) -> dict[int, RunBetween]:
        """What is made of each run that was saved more than once."""
        by_run: dict[int, list[int]] = {}
        for position in sorted(range(len(self._rows)), key=lambda position: self._rows[position].epoch):
            by_run.setdefault(self._rows[position].hyperparameters.run, []).append(position)
        return {run: self._between(run, own) for run, own in sorted(by_run.items()) if len(own) > 1}

    def _between(self, run: int, positions: Sequence[int]) -> RunBetween:
        each, made_of = self.settings.each, self._rows[positions[0]].hyperparameters
        rng = random.Random(f"nfn between-epochs {self.settings.seed} {run}")
        # One in each of equal parts of the way.
        places = [
            (gap, (number + rng.random()) / each) for gap, _ in enumerate(pairwise(positions)) for number in range(each)
        ]
        epochs = tuple(self._rows[position].epoch for position in positions)
        return RunBetween(run, tuple(positions), epochs, tuple(places), made_of.activation, made_of.preprocessing)

    def load_images(self) -> ImageSet:
        """The image set.

        Raises:
            DataError: it is unusable, or networks of the zoo do not reach on it what their table says.
        """
        images = load_images(self.settings.data, smallest=SMALLEST_IMAGE, limit=self.settings.image_limit)
        self._require_own_images(images)
        return images

    def runs(self, images: ImageSet) -> list[int]:
        """The runs.

        Raises:
            DataError: none was saved more than once.
        """
        if not self._plan:
            cause = "has no run that was saved after two epochs or more"
            raise DataError(self.settings.zoo, cause, "give a zoo with several --epochs")
        return list(self._plan)

    def batches(self, runs: Sequence[int], group_size: int) -> list[tuple[RunBetween, ...]]:
        plans = [self._plan[run] for run in runs]
        return [tuple(plans[start : start + _RUNS_IN_JOB]) for start in range(0, len(plans), _RUNS_IN_JOB)]

    def steps(self, items: Sequence[RunBetween], images: ImageSet) -> int:
        """Network-samples."""
        return sum(len(item.places) for item in items) * len(images.test_labels)

    def share(self, images: ImageSet, device: str, group_size: int) -> SharedTests:
        return self._tests(images, self._parameters(images), torch.device(device), group_size)

    def _parameters(self, images: ImageSet) -> Tensor:
        """Of the zoo's networks, float32 [networks, parameter_count].

        Raises:
            DataError: the images do not fit them.
        """
        tensors, shapes = read_networks(Path(self.settings.zoo)).point.tensors, self._network(images).shapes
        if {name: tuple(own.shape[1:]) for name, own in tensors.items()} != shapes:
            cause = f"its images do not fit the networks of {self.settings.zoo}"
            raise DataError(self.settings.data, cause, "give the images that they were trained on")
        return torch.cat([tensors[name].float().flatten(1) for name in shapes], dim=1)

    def _tests(self, images: ImageSet, parameters: Tensor, device: torch.device, together: int) -> SharedTests:
        with threads_for(images.test_images.numel()):
            patches = image_patches(images.test_images.to(DTYPES[self.settings.precision]))
        return SharedTests(
            self._network(images),
            parameters,
            patches.to(device),
            images.test_labels.to(device),
            images.train_images.mean((0, 2, 3)).to(device),
            images.train_images.std((0, 2, 3)).to(device),
            together,
        )

    def _network(self, images: ImageSet) -> SmallCnn:
        return SmallCnn(images.train_images.shape[1], images.classes, self.settings.width)

    def _require_own_images(self, images: ImageSet) -> None:
        """Run the zoo's best networks again: only on its own images do they reach what its table says."""
        best = sorted(range(len(self._rows)), key=lambda position: -self._rows[position].test_accuracy)[:_CHECKED]
        shared = self._tests(images, self._parameters(images)[best], torch.device("cpu"), len(best))
        names = [self._rows[position].hyperparameters.preprocessing for position in best]
        found = shared.tested(shared.parameters, self.settings.activation, names).test_accuracy
        said = [self._rows[position].test_accuracy for position in best]
        reached, listed = (sum(own) / len(best) for own in (found, said))
        if abs(reached - listed) > _TOLERANCE:
            cause = (
                f"on its test images, networks of {self.settings.zoo} reach {reached:.3f}, and the labels say"
                f" {listed:.3f}"
            )
            raise DataError(self.settings.data, cause, "give the images that they were trained on")

    def made(self, items: Sequence[RunBetween], result: MadeBetween, images: ImageSet) -> Made[int, BetweenRow]:
        """The networks whose figures are finite; the runs of others count as diverged."""
        rows: list[BetweenRow] = []
        kept: list[int] = []
        diverged: set[int] = set()
        places = [(item, number, *place) for item in items for number, place in enumerate(item.places)]
        for position, ((item, number, first, share), figures) in enumerate(zip(places, result.figures, strict=True)):
            if not math.isfinite(figures["test_loss"] or 0.0):
                diverged.add(item.run)
                continue
            kept.append(position)
            name = f"run-{item.run:06d}-between-{number:03d}.safetensors"
            between = (item.epochs[first], item.epochs[first + 1], share)
            own: dict[str, Any] = {"activation": item.activation, "preprocessing": item.preprocessing, **figures}
            rows.append(BetweenRow(name, None, item.run, *between, **own))
        return Made(rows, self._network(images).split(result.parameters[kept]), diverged)

    @property
    def metadata(self) -> dict[str, str]:
        return {"activation": self.settings.activation, "arch": "small-cnn"}

    def whole(self, folder: Path, rows: list[BetweenRow], diverged: frozenset[int]) -> list[BetweenRow]:
        """A run some of whose rows are missing, and none of whose networks diverged, counts as not begun."""
        saved = Counter(row.run for row in rows)
        if strange := set(saved).difference(self._plan):
            cause = f"holds run {min(strange)}, which {self.settings.zoo} has not"
            raise DataError(folder, cause, "choose another folder")
        finished = diverged.union(run for run, count in saved.items() if count == len(self._plan[run].places))
        return [row for row in rows if row.run in finished]
