"""Heads that classify implicit neural representations: from zoos of them, split by picture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

from nfn_cli.errors import DataError
from nfn_cli.learning.card import CardParts, ensemble_of, ood_options, option
from nfn_cli.learning.class_calibration import calibrate
from nfn_cli.learning.class_report import ClassReport, measure_classifier
from nfn_cli.learning.fitting import Stage, ensemble_stages
from nfn_cli.learning.member_fit import class_loss
from nfn_cli.learning.settings import EvaluateSettings, TrainSettings
from nfn_cli.learning.tasks.task import InrTask, Parts, require_part
from nfn_cli.nn import Head, kind_of
from nfn_cli.nn.inr.coordinate_probe import CoordinateProbeSizes
from nfn_cli.nn.tasks.classification import ClassDetails
from nfn_cli.zoo import LabelledNetworks

_HELD_OUT = 0.05
_FEWEST = 20


@dataclass(frozen=True)
class ClassifierSettings(TrainSettings[ClassReport]):
    """How to fit a head that classifies, see `TrainSettings`.

    Attributes:
        count: training networks to use, the first ones; None takes all.
        class_names: in the order of the labels; None names them by their numbers.
    """

    task = "classify-inr"

    kind: str | None = "coordinate-probe"
    count: int | None = None
    class_names: tuple[str, ...] | None = None


class ClassLearning(InrTask[ClassifierSettings, ClassReport]):
    """`nfn train-inr`, and `nfn evaluate-inr` for heads that classify."""

    settings = ClassifierSettings

    def parts(
        self, networks: LabelledNetworks, settings: ClassifierSettings, data: Path
    ) -> tuple[Parts, ClassifierSettings]:
        """See `LearningTask`.

        The pictures of the training part that are held out follow from their names, not from how many there are.
        """
        train: list[int] = []
        held_out: list[int] = []
        for place, (run, split) in enumerate(zip(networks.runs, networks.splits, strict=True)):
            if split == "train":
                (held_out if _share(run) < _HELD_OUT else train).append(place)
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
        return {"networks": len(parts.train), "count": settings.count}

    def made_of(self, settings: ClassifierSettings) -> dict[str, Any]:
        """See `LearningTask`."""
        return {"number of classes": len(settings.class_names or ()), "count": settings.count}

    def stages(self, model: Any, train: LabelledNetworks, settings: ClassifierSettings, device: str) -> list[Stage]:
        """See `LearningTask`."""
        inputs = model.encode(train.point)
        return ensemble_stages(model, inputs, train.targets.to(device), settings.fit, loss=class_loss)

    def calibrate(self, head: Head, parts: Parts, settings: ClassifierSettings) -> None:
        """See `LearningTask`."""
        calibrate(head, parts.train, parts.held_out, settings.fit.seed)

    def require_measurable(self, networks: LabelledNetworks, head: Head, data: Path) -> None:
        """See `LearningTask`."""
        require_classes(networks, len(head.config.details.classes), data)

    def measure(
        self,
        head: Head,
        networks: LabelledNetworks,
        settings: EvaluateSettings,
        others: Mapping[str, LabelledNetworks],
        on_stage: Callable[[str], None],
    ) -> ClassReport:
        """See `LearningTask`."""
        return measure_classifier(head, networks, settings, others, on_stage=on_stage)

    def card(self, head: Head, report: ClassReport) -> CardParts:
        """See `LearningTask`."""
        fitted = head.config.fitted
        between = ", whose layers multiply, with messages between neurons"
        layers = between if getattr(head.config.sizes, "messages", False) else ""
        shares = ", ".join(f"{name} {value:.3f}" for name, value in report.by_class.items())
        mistakes = "; ".join(f"{true} as {guess} ({count})" for true, guess, count in report.confused)
        return CardParts(
            does=f"""Classifies implicit neural representations from their weights alone.
Kind: {head.config.kind.title}{layers}.
{ensemble_of(head)}.""",
            reads=f"**Classes**: {', '.join(head.config.details.classes)}.",
            data=f"""Fitted to {fitted["networks"]:,} networks ({fitted["data"]}) for {fitted["epochs"]} epochs;
one in twenty pictures of the training part set the temperature and the limits of the distribution instead.""",
            measured=f"{report.networks:,} networks of {report.pictures:,} test pictures",
            method="""95 % intervals by bootstrap over pictures.
*Transformed*: each network after a random element of its symmetry group (permutations, signs, phases).""",
            columns=("", "as they are", "transformed"),
            figures=report.figures(),
            notes=f"""- No logit changes by more than {report.drift:.1e} of the logits' spread when a network is
  transformed, and
  {report.changed} predicted classes and {report.flags_changed} flags change.
- Share right by class: {shares}.
- Commonest mistakes: {mistakes or "none"}.""",
            out_of_distribution="""A network is out of distribution, and its class means nothing, if either the
Mahalanobis
distance of its invariants (what the last layer reads, and statistics of the picture) from the training mean is too
large, or a small network finds
them strange that has learned to tell training networks from shuffled and random weights and from negatives. The table
shows the share that is flagged.""",
            ood_columns=("out of distribution", "flagged"),
            ood_rows=[(kind, str(flagged)) for kind, flagged in report.out_of_distribution.items()],
            commands=_commands(head, fitted),
        )


def require_classes(networks: LabelledNetworks, classes: int, data: Path) -> None:
    """Check that every label is one of the head's classes.

    Raises:
        DataError: one is not.
    """
    highest = int(networks.targets.max())
    if highest >= classes:
        raise DataError(data, f"has a class {highest}, the head knows 0 to {classes - 1}", "leave its networks out")


def _share(run: str) -> float:
    """A number in [0, 1) that follows from a name."""
    return int.from_bytes(hashlib.sha256(run.encode()).digest()[:8], "big") / 2**64


def _commands(head: Head, fitted: dict[str, Any]) -> list[str]:
    data, name, sizes = quote(fitted["data"]), quote(head.name), head.config.sizes
    names = head.config.details.classes
    classes = "" if names == tuple(map(str, range(len(names)))) else option("classes", ",".join(names))
    if isinstance(sizes, CoordinateProbeSizes):
        own = f" --side {sizes.side} --channels {sizes.channels}{' --mirror' if sizes.mirror else ''}"
    else:
        own = f" --channels {sizes.channels}{' --messages' if sizes.messages else ''}"
    read = option("labels", fitted.get("labels")) + option("activation", fitted.get("activation"))
    read += ood_options(fitted)
    count = option("count", fitted.get("count"))
    return [
        f"nfn train-inr {data} --out {name} --kind {kind_of(sizes)}{own} --epochs {fitted['epochs']}"
        f" --members {head.config.members} --seed {fitted['seed']}{count}{classes}{read}",
        f"nfn evaluate-inr {name} {data}{option('seed', fitted['seed'])}{read}",
    ]
