"""What one task does its own way when a head is fitted and measured; `train_head` and `evaluate_head` do the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch

from nfn_cli.errors import DataError
from nfn_cli.learning.card import CardParts
from nfn_cli.learning.fitting import Stage
from nfn_cli.learning.member_fit import FitSettings
from nfn_cli.learning.settings import EvaluateSettings, Report, TrainSettings
from nfn_cli.nn import Head, kind_of
from nfn_cli.nn.kinds import sizes_of
from nfn_cli.nn.names import HEAD_KINDS
from nfn_cli.zoo import LabelledNetworks, read_inrs
from nfn_cli.zoo.inr.siren_recipe import InrSettings
from nfn_cli.zoo.record import read_record

Settings = TypeVar("Settings", bound=TrainSettings[Any])


@dataclass(frozen=True)
class Parts:
    """Networks to fit to, to calibrate with, and to measure on; no run is in two of them.

    Attributes:
        also: others of the runs of `train`, which are fitted to and serve for nothing else.
    """

    train: LabelledNetworks
    held_out: LabelledNetworks
    test: LabelledNetworks
    also: LabelledNetworks | None = None

    @property
    def fitted(self) -> int:
        """How many networks are fitted to."""
        return len(self.train) + len(self.also or ())


class LearningTask(ABC, Generic[Settings, Report]):
    """A task.

    Attributes:
        settings: the class of its settings.
        measure: what a head is worth on networks in memory: of the head, the networks, `EvaluateSettings`, networks of
            other populations by their names, and `on_stage`, which is called with what comes next.
        card: its part of the model card, of the head and the report.
        zoo_record: what a folder says of how its networks were made; None where it says nothing.
    """

    settings: ClassVar[type[TrainSettings[Any]]]
    measure: Callable[..., Report]
    card: Callable[[Head, Report], CardParts]
    zoo_record: Callable[[Path], dict[str, Any] | None]

    @abstractmethod
    def read(
        self, data: Path, labels: Path | None, settings: Settings | EvaluateSettings, head: Head | None = None
    ) -> LabelledNetworks:
        """The networks of a folder.

        Args:
            labels: the CSV file; by default `labels.csv` in the folder.
            head: the one to measure; None where one is to be fitted.

        Raises:
            DataError, CheckpointError, ArchitectureError: they cannot be read.
        """

    @abstractmethod
    def read_other(self, folder: Path, settings: Settings | EvaluateSettings, activation: str) -> LabelledNetworks:
        """The networks of another population, to see how many of them are flagged.

        Args:
            activation: of the networks that the head reads, for files that do not say it.
        """

    @abstractmethod
    def parts(self, networks: LabelledNetworks, settings: Settings, data: Path) -> tuple[Parts, Settings]:
        """The parts, and the settings with what follows from the networks.

        Raises:
            DataError: too few networks or too little to learn.
        """

    def decided(self, settings: Settings, train: LabelledNetworks, data: Path, more: int = 0) -> Settings:
        """The settings with kind, sizes and epochs, where they do not say them.

        Args:
            more: networks that are fitted to besides the training networks.
        """
        sizes = self.usual_sizes(settings) if settings.sizes is None else settings.sizes
        kind = kind_of(sizes)
        fit = self.usual_fit(settings.fit, len(train) + more, HEAD_KINDS[kind].epochs)
        return replace(settings, kind=kind, sizes=sizes, fit=fit)

    def usual_fit(self, fit: FitSettings, networks: int, epochs: int) -> FitSettings:
        """The budget of a fit to so many networks, with batches and epochs where it does not say them.

        Args:
            epochs: that are usual for the kind of head.
        """
        return replace(fit, batch_size=fit.batch, epochs=fit.epochs_for(networks, epochs))

    def usual_sizes(self, settings: Settings) -> Any:
        """Sizes of the kind that the settings name."""
        assert settings.kind is not None
        return sizes_of(settings.kind)

    @abstractmethod
    def details(self, settings: Settings, train: LabelledNetworks) -> Any:
        """The task's part of the head's configuration, see `nfn_cli.nn.tasks.Details`."""

    @abstractmethod
    def facts(self, settings: Settings, networks: LabelledNetworks, parts: Parts) -> dict[str, Any]:
        """What the card and the evaluation need to know of the fit, beside what they need of every fit."""

    @abstractmethod
    def made_of(self, settings: Settings) -> dict[str, Any]:
        """What else a fit follows from, by names that a refusal can give."""

    @abstractmethod
    def stages(self, model: Any, parts: Parts, settings: Settings, device: str) -> list[Stage]:
        """The fits that make the model, see `fit_stages`."""

    def calibrate(self, head: Head, parts: Parts, settings: Settings) -> None:
        """Set what is set by networks that the head was not fitted to."""

    @abstractmethod
    def part_of(self, networks: LabelledNetworks, split: str, head: Head, data: Path) -> LabelledNetworks:
        """The networks of a split, "train" or "test", as the head was fitted.

        Raises:
            DataError: there are none.
        """

    def require_measurable(self, networks: LabelledNetworks, head: Head, data: Path) -> None:
        """Check, before long work, that a head can be measured on networks.

        Raises:
            DataError: it cannot.
        """


class InrTask(LearningTask[Settings, Report]):
    """A task of which the networks are implicit neural representations, split by the column `split` of their table."""

    zoo_record = staticmethod(partial(read_record, kind=InrSettings))

    def read(
        self, data: Path, labels: Path | None, settings: Settings | EvaluateSettings, head: Head | None = None
    ) -> LabelledNetworks:
        """See `LearningTask`."""
        return read_inrs(data, labels, activation=settings.activation)

    def read_other(self, folder: Path, settings: Settings | EvaluateSettings, activation: str) -> LabelledNetworks:
        """See `LearningTask`: of a zoo with a test part, that alone."""
        networks = read_inrs(folder, activation=settings.activation)
        tests = networks.part("test")
        return tests if len(tests) else networks

    def part_of(self, networks: LabelledNetworks, split: str, head: Head, data: Path) -> LabelledNetworks:
        """See `LearningTask`."""
        chosen = networks.part(split)
        if not len(chosen):
            raise DataError(data, f"none of its networks is of the {split} part", "use --split all")
        return chosen


def require_part(part: LabelledNetworks, name: str, least: int, data: Path) -> None:
    """Check the size of a part of a zoo of INRs.

    Raises:
        DataError: it has fewer than `least` networks.
    """
    if len(part) < least:
        cause = f"only {len(part)} networks fall into the {name} part (at least {least})"
        raise DataError(data, cause, "give more networks, and some with `test` in the column split")


def require_float32(networks: LabelledNetworks) -> None:
    """Check, before a fit that they would spoil, that all weights are within the range in which heads compute.

    Raises:
        DataError: those of a file are not.
    """
    for tensor in networks.point.tensors.values():
        require_finite(tensor.float(), networks)


def require_finite(values: torch.Tensor, networks: LabelledNetworks) -> None:
    """Check what is known of some networks, [networks, ...].

    Raises:
        DataError: a file's are beyond float32's range.
    """
    beyond = (~values.flatten(1).isfinite().all(1)).nonzero()
    if len(beyond):
        raise DataError(networks.files[int(beyond[0])], "weights beyond float32's range", "leave it out")
