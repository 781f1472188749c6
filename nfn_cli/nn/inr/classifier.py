"""A pretrained head that classifies implicit neural representations: an ensemble of invariant networks, and the
population that it knows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import HeadError, shown
from nfn_cli.nn.accepted import Accepted
from nfn_cli.nn.averaged import AveragedMembers
from nfn_cli.nn.head_folder import MOST_MEMBERS, load_model, parse_record, write_folder
from nfn_cli.nn.inr.kinds import INR_KINDS, InrKind, InrSizes, inr_kind_of
from nfn_cli.threads import by_weights

CLASSIFY = "classify-inr"
_MOST_CLASSES = 10_000


@dataclass(frozen=True)
class ClassifierConfig:
    """All of a classifying head that is not a tensor.

    Attributes:
        accepted: the architectures it reads.
        sizes: of each member; their class decides the kind of head.
        classes: their names, in the order of the logits.
        members: networks in the ensemble; their logits are averaged.
        fitted: how it was fitted, for the record and for `nfn evaluate-inr`.
    """

    accepted: Accepted
    sizes: InrSizes
    classes: tuple[str, ...]
    members: int = 1
    fitted: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> InrKind:
        """The kind of head."""
        return INR_KINDS[inr_kind_of(self.sizes)]

    def __post_init__(self) -> None:
        # These come from a stranger's file too.
        if not 1 <= self.members <= MOST_MEMBERS:
            raise ValueError(f"members is {shown(self.members)}, not from 1 to {MOST_MEMBERS}")
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


class ClassifierModel(AveragedMembers):
    """The tensors of a classifying head.

    `temperature` divides the logits before the softmax, so that probabilities are as often right as they say (Guo et
    al. 2017, arXiv 1706.04599); it is set on networks that were held out.
    """

    temperature: Tensor

    def __init__(self, config: ClassifierConfig) -> None:
        example, make = config.accepted.example_architecture(), config.kind.make
        super().__init__(make(example, config.sizes, len(config.classes)) for _ in range(config.members))
        self.register_buffer("temperature", torch.tensor(1.0))


@dataclass(frozen=True)
class Classifier:
    """A loaded head, ready to read networks on its device."""

    name: str
    config: ClassifierConfig
    model: ClassifierModel

    @by_weights
    @torch.inference_mode()
    def classify(self, point: NetworkWeights) -> Classification:
        """Classify a batch of networks of one architecture.

        Args:
            point: tensors [batch, *shape] on the CPU; computation is float32 on the head's device.

        Raises:
            HeadError: the head does not read this architecture.
        """
        reason = self.config.accepted.mismatch(point.architecture)
        if reason:
            raise HeadError(point.architecture.describe(), reason, f"choose another head than {self.name}")
        found, summary = self.model(self.model.read(point))
        logits = found.cpu().double()
        return Classification(
            logits=logits,
            probabilities=(logits / self.model.temperature.cpu().double()).softmax(1),
            in_distribution=self.model.population.contains(summary).cpu(),
            distance=self.model.population.relative_distance(summary).cpu().double(),
        )

    def save(self, folder: Path, card: str) -> None:
        """Write the head's folder; `config.yaml` comes last, so that a folder with one is complete."""
        record = {
            "task": CLASSIFY,
            "kind": inr_kind_of(self.config.sizes),
            "accepts": self.config.accepted.to_record(),
            "sizes": asdict(self.config.sizes),
            "classes": list(self.config.classes),
            "members": self.config.members,
            "fitted": self.config.fitted,
        }
        write_folder(folder, record, self.model, card)


def read_classifier_config(folder: Path, record: dict[str, Any] | None = None) -> ClassifierConfig:
    """Read a classifying head's `config.yaml`, or take what `read_record` gave of it.

    Raises:
        HeadError: there is none, or it is not that of a head that classifies INRs.
    """
    return parse_record(folder, INR_KINDS, CLASSIFY, _config, record)


def read_classifier(folder: Path, device: str = "cpu") -> Classifier:
    """Load a head from its folder onto a device.

    Raises:
        HeadError: the folder holds no such head, or its tensors do not fit its configuration.
    """
    config = read_classifier_config(folder)
    model = load_model(folder, lambda: ClassifierModel(config), device)
    temperature = float(model.temperature)
    if not (math.isfinite(temperature) and temperature > 0):
        raise HeadError(folder, f"its temperature is {temperature}", "fetch the head again")
    return Classifier(folder.resolve().name, config, model)


def _config(record: dict[str, Any]) -> ClassifierConfig:
    return ClassifierConfig(
        accepted=Accepted.from_record(record["accepts"]),
        sizes=INR_KINDS[record["kind"]].sizes(**record["sizes"]),
        classes=tuple(_listed(record["classes"])),
        members=int(record["members"]),
        fitted=dict(record["fitted"]),
    )


def _is_name(name: Any) -> bool:
    """Whether it can stand in a row of output: text without line breaks or characters that command a terminal."""
    return isinstance(name, str) and name != "" and name.isprintable()


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{shown(value)} is no list")
    return value
