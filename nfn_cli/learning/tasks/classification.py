"""Heads that classify implicit neural representations: from zoos of them, split by picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nfn_cli.architectures import joined
from nfn_cli.errors import DataError
from nfn_cli.learning.class_calibration import calibrate
from nfn_cli.learning.class_card import class_card
from nfn_cli.learning.class_report import ClassReport, measure_classifier
from nfn_cli.learning.fitting import Stage, ensemble_stages
from nfn_cli.learning.member_fit import class_loss
from nfn_cli.learning.settings import EvaluateSettings, TrainSettings
from nfn_cli.learning.splits import number_of
from nfn_cli.learning.tasks.task import InrTask, Parts, require_part
from nfn_cli.nn import Head
from nfn_cli.nn.tasks.classification import ClassDetails
from nfn_cli.zoo import LabelledNetworks, read_inrs

_HELD_OUT = 0.05
_FEWEST = 20


@dataclass(frozen=True)
class ClassifierSettings(TrainSettings[ClassReport]):
    """How to fit a head that classifies, see `TrainSettings`.

    Attributes:
        count: training networks to use, the first ones; None takes all.
        class_names: in the order of the labels; None names them by their numbers.
        also: other zoos, whose training networks are fitted to as well; they measure nothing.
    """

    task = "classify-inr"

    kind: str | None = "coordinate-probe"
    count: int | None = None
    class_names: tuple[str, ...] | None = None
    also: tuple[Path, ...] = ()


class ClassLearning(InrTask[ClassifierSettings, ClassReport]):
    """`nfn train-inr`, and `nfn evaluate-inr` for heads that classify."""

    settings = ClassifierSettings
    measure = staticmethod(measure_classifier)
    card = staticmethod(class_card)

    def read(
        self,
        data: Path,
        labels: Path | None,
        settings: ClassifierSettings | EvaluateSettings,
        head: Head | None = None,
    ) -> LabelledNetworks:
        """See `LearningTask`: with the training parts of the other zoos behind."""
        networks = super().read(data, labels, settings, head)
        for folder in settings.also if isinstance(settings, ClassifierSettings) else ():
            networks = _with(networks, read_inrs(folder, activation=settings.activation).part("train"), folder)
        return networks

    def parts(
        self, networks: LabelledNetworks, settings: ClassifierSettings, data: Path
    ) -> tuple[Parts, ClassifierSettings]:
        """See `LearningTask`.

        The pictures of the training part that are held out follow from their names, not from how many there are.
        """
        train: list[int] = []
        held_out: list[int] = []
        for position, (run, split) in enumerate(zip(networks.runs, networks.splits, strict=True)):
            if split == "train":
                (held_out if number_of(run) < _HELD_OUT else train).append(position)
        parts = Parts(networks.select(train[: settings.count]), networks.select(held_out), networks.part("test"))
        require_part(parts.train, "training", _FEWEST, data)
        require_part(parts.held_out, "held-out", 2, data)
        require_part(parts.test, "test", 2, data)
        names = settings.class_names or tuple(map(str, range(int(networks.targets.max()) + 1)))
        if len(names) < 2:
            raise DataError(data, "all its networks are of one class", "give networks of two classes or more")
        require_classes(networks, len(names), data)
        return parts, replace(settings, class_names=names)

    def details(self, settings: ClassifierSettings, train: LabelledNetworks) -> ClassDetails:
        """See `LearningTask`."""
        return ClassDetails(settings.class_names or ())

    def facts(self, settings: ClassifierSettings, networks: LabelledNetworks, parts: Parts) -> dict[str, Any]:
        """See `LearningTask`."""
        facts: dict[str, Any] = {"networks": len(parts.train), "count": settings.count}
        if settings.also:
            facts["also"] = [{"data": path.resolve().name, "zoo": self.zoo_record(path)} for path in settings.also]
        return facts

    def made_of(self, settings: ClassifierSettings) -> dict[str, Any]:
        """See `LearningTask`."""
        return {"number of classes": len(settings.class_names or ()), "count": settings.count}

    def stages(self, model: Any, parts: Parts, settings: ClassifierSettings, device: str) -> list[Stage]:
        """See `LearningTask`."""
        inputs = model.encode(parts.train.point)
        return ensemble_stages(model, inputs, parts.train.targets.to(device), settings.fit, loss=class_loss)

    def calibrate(self, head: Head, parts: Parts, settings: ClassifierSettings) -> None:
        """See `LearningTask`."""
        calibrate(head, parts.train, parts.held_out, settings.fit.seed)

    def require_measurable(self, networks: LabelledNetworks, head: Head, data: Path) -> None:
        """See `LearningTask`."""
        require_classes(networks, len(head.config.details.classes), data)


def _with(networks: LabelledNetworks, others: LabelledNetworks, folder: Path) -> LabelledNetworks:
    """Networks of two zoos; a picture of both is one run.

    Raises:
        DataError: they are of several architectures, or the other zoo has no training part.
    """
    require_part(others, "training", 1, folder)
    own, other = networks.point.architecture, others.point.architecture
    if own.signature != other.signature:
        cause = f"its networks are {other.describe()}, the first zoo's are {own.describe()}"
        raise DataError(folder, cause, "give zoos of one architecture")
    return LabelledNetworks(
        joined([networks.point, others.point]),
        torch.cat([networks.targets, others.targets]),
        networks.runs + others.runs,
        networks.files + tuple(f"{folder.name}/{name}" for name in others.files),
        networks.splits + others.splits,
    )


def require_classes(networks: LabelledNetworks, classes: int, data: Path) -> None:
    """Check that every label is one of the head's classes.

    Raises:
        DataError: one is not.
    """
    highest = int(networks.targets.max())
    if highest >= classes:
        raise DataError(data, f"has a class {highest}, the head knows 0 to {classes - 1}", "leave its networks out")
