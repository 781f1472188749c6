"""A pretrained head: an ensemble of invariant networks, an interval, and the population it knows.

On disk a head is a folder: `config.yaml` (what it accepts, sizes, how it was fitted), `model.safetensors` (every
tensor) and `README.md` (its model card).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nfn_cli.architectures import WeightSpace
from nfn_cli.checkpoints import save_tensors, write_text_atomically
from nfn_cli.errors import HeadError
from nfn_cli.nn.accepted import Accepted
from nfn_cli.nn.forward_pass import ForwardPass
from nfn_cli.nn.kinds import KINDS, HeadMember, Kind, Sizes, kind_of
from nfn_cli.nn.monomial_nfn import MonomialNFNSizes
from nfn_cli.nn.population import Population

CONFIG_FILE = "config.yaml"
MODEL_FILE = "model.safetensors"
CARD_FILE = "README.md"
_MOST_MEMBERS = 64


@dataclass(frozen=True)
class HeadConfig:
    """All of a head that is not a tensor.

    Attributes:
        accepted: the architectures it reads.
        sizes: of each member; their class decides the kind of head.
        members: networks in the ensemble; their logits are averaged.
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

    @property
    def kind(self) -> Kind:
        """The kind of head."""
        return KINDS[kind_of(self.sizes)]

    def __post_init__(self) -> None:
        # These come from a stranger's file too.
        if not 1 <= self.members <= _MOST_MEMBERS:
            raise ValueError(f"members is {self.members}, not from 1 to {_MOST_MEMBERS}")
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level}, not between 0 and 1")


@dataclass(frozen=True)
class Predictions:
    """For a batch of networks: predicted accuracy, interval, and whether each looks like the training population."""

    accuracy: Tensor  # float64 [batch], in [0, 1]
    low: Tensor  # float64 [batch]
    high: Tensor  # float64 [batch]
    in_population: Tensor  # bool [batch]


class Ensemble(nn.Module):
    """The tensors of a head.

    `radius` is the half-width of the interval, the split-conformal quantile of the absolute error on calibration runs.
    """

    radius: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        example = config.accepted.example_architecture()
        self.members = nn.ModuleList(
            config.kind.make(example, config.sizes, config.forward_pass) for _ in range(config.members)
        )
        self.population = Population(self._member(0).summary_features)
        self.register_buffer("radius", torch.tensor(1.0))

    def read(self, point: WeightSpace) -> list[Tensor]:
        """What the members take of a batch of networks [batch, *shape] on the CPU: tensors [batch, ...]."""
        return self._member(0).read(point, device=self.radius.device)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of what `read` gives: logits [batch], averaged over members, and the first one's summary [batch, n]."""
        found = [self._member(number).logits_and_summary(inputs) for number in range(len(self.members))]
        return torch.stack([logits for logits, _ in found]).mean(0), found[0][1]

    def _member(self, number: int) -> HeadMember:
        return self.members[number]  # type: ignore[return-value]


@dataclass(frozen=True)
class Head:
    """A loaded head, ready to read networks on its device."""

    name: str
    config: HeadConfig
    model: Ensemble

    @torch.inference_mode()
    def predict(self, point: WeightSpace) -> Predictions:
        """Predict the accuracy of a batch of networks of one architecture.

        Args:
            point: tensors [batch, *shape] on the CPU; computation is float32 on the head's device.

        Raises:
            HeadError: the head does not read this architecture.
        """
        reason = self.config.accepted.mismatch(point.architecture)
        if reason:
            raise HeadError(point.architecture.describe(), reason, f"choose another head than {self.name}")
        logits, summary = self.model(self.model.read(point))
        # Back to the CPU first: not every device has float64.
        accuracy, radius = logits.cpu().double().sigmoid(), self.model.radius.cpu().double()
        return Predictions(
            accuracy=accuracy,
            low=(accuracy - radius).clamp(0, 1),
            high=(accuracy + radius).clamp(0, 1),
            in_population=self.model.population.contains(summary).cpu(),
        )

    def save(self, folder: Path, card: str) -> None:
        """Write the head's folder; `config.yaml` comes last, so that a folder with one is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.model.state_dict().items()}
        kind = kind_of(self.config.sizes)
        save_tensors(folder / MODEL_FILE, tensors, {"kind": kind}, overwrite=True)
        write_text_atomically(folder / CARD_FILE, card, overwrite=True)
        record = {
            "kind": kind,
            "accepts": self.config.accepted.to_record(),
            "sizes": asdict(self.config.sizes),
            "members": self.config.members,
            "level": self.config.level,
            "fitted": self.config.fitted,
        }
        if self.config.kind.runs:
            record["forward_pass"] = self.config.forward_pass.to_record()
        write_text_atomically(folder / CONFIG_FILE, yaml.safe_dump(record, sort_keys=False), overwrite=True)


def read_config(folder: Path) -> HeadConfig:
    """Read a head's `config.yaml`.

    Raises:
        HeadError: there is none, or it is not a head's.
    """
    path = folder / CONFIG_FILE
    remedy = "give the folder of a head written by `nfn train`, or the name of a shipped one"
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        if record["kind"] not in KINDS:
            raise HeadError(path, f"unknown kind of head {record['kind']!r}", "update nfn-cli")
        kind = KINDS[record["kind"]]
        return HeadConfig(
            accepted=Accepted.from_record(record["accepts"]),
            sizes=kind.sizes(**record["sizes"]),
            members=int(record["members"]),
            level=float(record["level"]),
            fitted=dict(record["fitted"]),
            forward_pass=ForwardPass.from_record(record["forward_pass"]) if kind.runs else ForwardPass(),
        )
    except FileNotFoundError as error:
        raise HeadError(folder, f"no head here (there is no {CONFIG_FILE})", remedy) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        raise HeadError(path, f"not a head's configuration ({error})", remedy) from error


def read_head(folder: Path, device: str = "cpu") -> Head:
    """Load a head from its folder onto a device.

    Raises:
        HeadError: the folder holds no head, or its tensors do not fit its configuration.
    """
    config = read_config(folder)
    path = folder / MODEL_FILE
    try:
        # On the meta device nothing is allocated, so a configuration that lies about sizes costs no memory.
        with torch.device("meta"):
            model = Ensemble(config)
        tensors = load_file(path)
        model.load_state_dict(tensors, assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        cause = f"unreadable tensors, or not those of {CONFIG_FILE} ({error})"
        raise HeadError(path, cause, "fetch the head again") from error
    except HeadError as error:
        raise HeadError(folder / CONFIG_FILE, f"{error.subject}: {error.cause}", "fetch the head again") from error
    for name, tensor in tensors.items():
        if tensor.dtype is not torch.float32 or not bool(tensor.isfinite().all()):
            raise HeadError(path, f"tensor {name!r} is not finite float32", "fetch the head again")
    return Head(folder.resolve().name, config, model.eval().to(device))
