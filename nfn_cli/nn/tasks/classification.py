"""Heads that classify implicit neural representations: an ensemble of invariant networks, and a temperature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import HeadError, shown
from nfn_cli.nn.ensemble import Ensemble
from nfn_cli.nn.tasks.rows import ClassRow, too_large
from nfn_cli.nn.tasks.task import Details, RowTask
from nfn_cli.threads import by_weights

if TYPE_CHECKING:
    from nfn_cli.nn.head import Head, HeadConfig

_MOST_CLASSES = 10_000


@dataclass(frozen=True)
class ClassDetails(Details):
    """What is special to heads that classify: the names of the classes, in the order of the logits."""

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.classes, tuple):
            raise TypeError(f"{shown(self.classes)} is no list")
        if not 2 <= len(self.classes) <= _MOST_CLASSES or not all(map(_is_name, self.classes)):
            raise ValueError(f"classes are not from 2 to {_MOST_CLASSES} names")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes are of one name")


@dataclass(frozen=True)
class Classification:
    """For a batch of networks: logits, before the temperature, probabilities of the classes, and whether each looks
    like those that the head was fitted to."""

    logits: Tensor  # float64 [batch, classes]
    probabilities: Tensor  # float64 [batch, classes]
    in_distribution: Tensor  # bool [batch]
    distance: Tensor  # float64 [batch], from the population's middle, as a share of its limit

    @property
    def entropy(self) -> Tensor:
        """Of the probabilities, in bits [batch]: 0 where the head is sure, log₂ classes where it has no idea."""
        shares = self.probabilities
        return -(shares * shares.clamp_min(1e-300).log2()).sum(1)


@dataclass(frozen=True)
class ClassificationTask(RowTask[ClassRow]):
    """`nfn classify-inr`.

    Attributes:
        top: number of classes whose probability a row gives.
    """

    top: int = 3

    name = "classify-inr"
    details = ClassDetails
    row = ClassRow

    def model(self, config: HeadConfig) -> nn.Module:
        """See `Task`.

        `temperature` divides the logits before the softmax, so that probabilities are as often right as they say (Guo
        et al. 2017, arXiv 1706.04599); it is set on networks that were held out.
        """
        model = Ensemble(config.new_members())
        model.register_buffer("temperature", torch.tensor(1.0))
        return model

    def loaded(self, model: Any, folder: Path, device: str) -> nn.Module:
        """See `Task`."""
        temperature = float(model.temperature)
        if not (math.isfinite(temperature) and temperature > 0):
            raise HeadError(folder, f"its temperature is {temperature}", "fetch the head again")
        return model

    @by_weights
    @torch.inference_mode()
    def output(self, head: Head, point: NetworkWeights, **options: Any) -> Classification:
        """See `Task`."""
        found, summary = head.model(head.model.encode(point))
        logits = found.cpu().double()
        return Classification(
            logits=logits,
            probabilities=(logits / head.model.temperature.cpu().double()).softmax(1),
            in_distribution=head.model.ood_detector.contains(summary).cpu(),
            distance=head.model.ood_detector.relative_distance(summary).cpu().double(),
        )

    def options(self) -> Mapping[str, str]:
        """See `RowTask`."""
        return {"top": str(self.top)}

    def preferred(self, configs: Mapping[str, HeadConfig]) -> Mapping[str, HeadConfig]:
        """See `RowTask`.

        Of heads that know the same classes of the same networks only the best is asked: which population a network is
        nearer to does not decide which head is right.
        """
        best: dict[str, HeadConfig] = {}
        for name, config in configs.items():
            if not any((own.details, own.accepted) == (config.details, config.accepted) for own in best.values()):
                best[name] = config
        return best

    def rows(self, head: Head, names: Sequence[str], output: Classification) -> list[ClassRow]:
        """See `RowTask`."""
        classes = head.config.details.classes
        best, indices = output.probabilities.nan_to_num(-1.0).topk(min(self.top, len(classes)))
        columns = (best, indices, output.entropy, output.in_distribution, output.distance)
        values = zip(*(column.tolist() for column in columns), strict=True)
        return [
            ClassRow(
                path=name,
                label=classes[own[0]],
                probability=shares[0],
                entropy=entropy,
                probabilities={classes[index]: round(share, 6) for index, share in zip(own, shares, strict=True)},
                head=head.name,
                in_distribution=known,
                distance=distance,
            )
            if math.isfinite(entropy)
            else self.failed(name, too_large(name))
            for name, (shares, own, entropy, known, distance) in zip(names, values, strict=True)
        ]


def _is_name(name: Any) -> bool:
    """Whether it can stand in a row of output: text without line breaks or characters that command a terminal."""
    return isinstance(name, str) and name != "" and name.isprintable()


TASK = ClassificationTask()
