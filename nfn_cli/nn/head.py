"""A pretrained head that predicts accuracies: an ensemble of invariant networks, an interval, and the population it
knows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.errors import HeadError, shown
from nfn_cli.nn.accepted import Accepted
from nfn_cli.nn.averaged import AveragedMembers
from nfn_cli.nn.calibration import Calibration
from nfn_cli.nn.forward_pass import ForwardPass
from nfn_cli.nn.head_folder import ACCURACY, MOST_MEMBERS, load_model, parse_record, write_folder
from nfn_cli.nn.kinds import KINDS, Kind, Sizes, kind_of
from nfn_cli.nn.monomial_nfn import MonomialNFNSizes
from nfn_cli.threads import by_weights


@dataclass(frozen=True)
class HeadConfig:
    """All of a head that is not a tensor.

    Attributes:
        accepted: the architectures it reads.
        sizes: of each member; their class decides the kind of head.
        members: networks in the ensemble; their logits are averaged.
        widths: hidden widths of the networks that it was fitted to, which are its population's; None where nobody said.
        level: nominal coverage of the interval.
        fitted: how it was fitted (data, split seed, epochs ...), for the record and for `nfn evaluate`.
        forward_pass: how the networks are run, by kinds that run them.
    """

    accepted: Accepted
    sizes: Sizes = field(default_factory=MonomialNFNSizes)
    members: int = 1
    level: float = 0.9
    fitted: dict[str, Any] = field(default_factory=dict)
    forward_pass: ForwardPass = field(default_factory=ForwardPass)
    widths: tuple[int, ...] | None = None

    @property
    def kind(self) -> Kind:
        """The kind of head."""
        return KINDS[kind_of(self.sizes)]

    def __post_init__(self) -> None:
        # These come from a stranger's file too.
        if not 1 <= self.members <= MOST_MEMBERS:
            raise ValueError(f"members is {shown(self.members)}, not from 1 to {MOST_MEMBERS}")
        if not 0 < self.level < 1:
            raise ValueError(f"level is {shown(self.level)}, not between 0 and 1")
        if self.widths is not None and not (
            len(self.widths) == len(self.accepted.layers) - 1
            and all(type(width) is int and width > 0 for width in self.widths)
        ):
            raise ValueError(f"widths are {shown(self.widths)}, not one for each hidden layer")


@dataclass(frozen=True)
class Predictions:
    """For a batch of networks: predicted accuracy, interval, and whether each looks like the training population."""

    accuracy: Tensor  # float64 [batch], in [0, 1]
    low: Tensor  # float64 [batch]
    high: Tensor  # float64 [batch]
    in_distribution: Tensor  # bool [batch]


class Ensemble(AveragedMembers):
    """The tensors of a head; the calibration is set on runs that were not fitted to."""

    def __init__(self, config: HeadConfig) -> None:
        example, make = config.accepted.example_architecture(), config.kind.make
        super().__init__(make(example, config.sizes, config.forward_pass) for _ in range(config.members))
        self.calibration = Calibration()


@dataclass(frozen=True)
class Head:
    """A loaded head, ready to read networks on its device."""

    name: str
    config: HeadConfig
    model: Ensemble

    @by_weights
    @torch.inference_mode()
    def predict(self, point: NetworkWeights) -> Predictions:
        """Predict the accuracy of a batch of networks of one architecture.

        In one process, the same batch gives the same predictions bit for bit, from a head as from its saved copy. In
        another batch, with other threads or on another processor, float32 sums are taken in another order: shipped
        heads' predictions then move by up to 8e-8, as measured between batches of 1 to 128, one and two threads, and
        AVX-512, AVX2 and SSE, and none may move by more than 1e-6, the last digit that is written.

        Args:
            point: tensors [batch, *shape] on the CPU; computation is float32 on the head's device.

        Raises:
            HeadError: the head does not read this architecture.
        """
        reason = self.config.accepted.mismatch(point.architecture)
        if reason:
            raise HeadError(point.architecture.describe(), reason, f"choose another head than {self.name}")
        logits, summary = self.model(self.model.read(point))
        known_widths = self.config.widths in (None, hidden_widths(point.architecture))
        accuracy = self.model.calibration.accuracy(logits)
        radius = self.model.calibration.radius(accuracy)
        return Predictions(
            accuracy=accuracy,
            low=(accuracy - radius).clamp(0, 1),
            high=(accuracy + radius).clamp(0, 1),
            in_distribution=self.model.population.contains(summary).cpu() & known_widths,
        )

    def save(self, folder: Path, card: str) -> None:
        """Write the head's folder; `config.yaml` comes last, so that a folder with one is complete."""
        record = {
            "kind": kind_of(self.config.sizes),
            "accepts": self.config.accepted.to_record(),
            "sizes": asdict(self.config.sizes),
            **({} if self.config.widths is None else {"widths": list(self.config.widths)}),
            "members": self.config.members,
            "level": self.config.level,
            "fitted": self.config.fitted,
        }
        if self.config.kind.runs:
            record["forward_pass"] = self.config.forward_pass.to_record()
        write_folder(folder, record, self.model, card)


def hidden_widths(architecture: Architecture) -> tuple[int, ...]:
    """How many neurons each hidden layer has."""
    return tuple(layer.out_features for layer in architecture.layers[:-1])


def read_config(folder: Path, record: dict[str, Any] | None = None) -> HeadConfig:
    """Read a head's `config.yaml`, or take what `read_record` gave of it.

    Raises:
        HeadError: there is none, or it is not that of a head that predicts accuracies.
    """
    return parse_record(folder, KINDS, ACCURACY, _config, record)


def _config(record: dict[str, Any]) -> HeadConfig:
    kind = KINDS[record["kind"]]
    return HeadConfig(
        accepted=Accepted.from_record(record["accepts"]),
        sizes=kind.sizes(**record["sizes"]),
        members=int(record["members"]),
        level=float(record["level"]),
        fitted=dict(record["fitted"]),
        forward_pass=ForwardPass.from_record(record["forward_pass"]) if kind.runs else ForwardPass(),
        widths=tuple(record["widths"]) if "widths" in record else None,
    )


def read_head(folder: Path, device: str = "cpu") -> Head:
    """Load a head from its folder onto a device.

    Raises:
        HeadError: the folder holds no head, or its tensors do not fit its configuration.
    """
    config = read_config(folder)
    model = load_model(folder, lambda: Ensemble(config), device)
    if not model.calibration.is_sound():
        raise HeadError(folder, "its calibration is not one that a fit gives", "fetch the head again")
    return Head(folder.resolve().name, config, model)
