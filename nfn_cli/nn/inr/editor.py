"""A head that edits implicit neural representations: weights in, weights out, the picture edited."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import HeadError, shown
from nfn_cli.nn.accepted import Accepted
from nfn_cli.nn.head_folder import load_model, parse_record, write_folder
from nfn_cli.nn.inr.editor_kinds import EDITOR_KINDS, EditorKind, editor_kind_of
from nfn_cli.precision import has_float64
from nfn_cli.threads import threads_for, weights_of

EDIT = "edit-inr"
EDITS = ("dilate", "erode", "contrast")
LARGEST_SIDE = 256  # of a picture, in pixels


@dataclass(frozen=True)
class EditorConfig:
    """All of an editing head that is not a tensor.

    Attributes:
        accepted: the architectures it reads.
        edit: what it does to the picture, one of `EDITS`.
        picture: height and width of the pictures that it was fitted to, in pixels.
        sizes: their class decides the kind of head.
        fitted: how it was fitted, for the record.
    """

    accepted: Accepted
    edit: str
    picture: tuple[int, int]
    sizes: Any
    fitted: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> EditorKind:
        """The kind of head."""
        return EDITOR_KINDS[editor_kind_of(self.sizes)]

    def __post_init__(self) -> None:
        # These come from a stranger's file too.
        if self.edit not in EDITS:
            raise ValueError(f"edit is {shown(self.edit)}, not one of {', '.join(EDITS)}")
        if len(self.picture) != 2 or not all(type(s) is int and 1 <= s <= LARGEST_SIDE for s in self.picture):
            raise ValueError(f"picture is {shown(self.picture)}, not a height and a width from 1 to {LARGEST_SIDE}")

    def make(self) -> nn.Module:
        """A new module of this head."""
        return self.kind.make(self.accepted.example_architecture(), self.picture, self.sizes)


@dataclass(frozen=True)
class Editor:
    """A loaded head, ready to edit networks in the dtype and on the device of its module.

    It is equivariant: editing g·U gives g·(edited U), for every permutation, sign and phase g of hidden neurons, up to
    rounding.
    """

    name: str
    config: EditorConfig
    model: nn.Module

    @torch.no_grad()
    def changes(self, point: NetworkWeights) -> NetworkWeights:
        """What the edit adds to the weights of a batch of networks.

        Args:
            point: tensors [batch, *shape] on the CPU.

        Returns:
            float64, on the CPU.

        Raises:
            HeadError: the head does not read this architecture.
        """
        reason = self.config.accepted.mismatch(point.architecture)
        if reason:
            raise HeadError(point.architecture.describe(), reason, f"choose another head than {self.name}")
        # A head that goes by the picture has a matrix of every weight by every pixel.
        pixels = math.prod(self.config.picture) if self.config.kind.draws else 1
        with threads_for(weights_of(point) * pixels):
            changes: list[Tensor] = self.model(self.model.read(point))  # type: ignore[operator]
        named = zip(point.architecture.tensors, changes, strict=True)
        return NetworkWeights(point.architecture, {spec.name: change.cpu().double() for spec, change in named})

    def edit(self, point: NetworkWeights, gamma: float = 1.0) -> NetworkWeights:
        """U + γ E(U), float64.

        Args:
            point: as in `changes`.
            gamma: how much of the edit.

        Raises:
            HeadError: the head does not read this architecture.
        """
        changes = self.changes(point).tensors
        return NetworkWeights(
            point.architecture,
            {name: tensor.double() + gamma * changes[name] for name, tensor in point.tensors.items()},
        )

    def to(self, dtype: torch.dtype) -> Editor:
        """The same head, computing in another dtype."""
        return Editor(self.name, self.config, copy.deepcopy(self.model).to(dtype))

    def save(self, folder: Path, card: str) -> None:
        """Write the head's folder; `config.yaml` comes last, so that a folder with one is complete."""
        record = {
            "task": EDIT,
            "kind": editor_kind_of(self.config.sizes),
            "edit": self.config.edit,
            "picture": list(self.config.picture),
            "accepts": self.config.accepted.to_record(),
            "sizes": asdict(self.config.sizes),
            "fitted": self.config.fitted,
        }
        write_folder(folder, record, self.to(torch.float32).model, card)


def read_editor_config(folder: Path) -> EditorConfig:
    """Read an editing head's `config.yaml`.

    Raises:
        HeadError: there is none, or it is not that of a head that edits INRs.
    """
    return parse_record(folder, EDITOR_KINDS, EDIT, _config)


def read_editor(folder: Path, device: str = "cpu") -> Editor:
    """Load a head from its folder onto a device; it computes in float64 where the device can.

    Raises:
        HeadError: the folder holds no such head, or its tensors do not fit its configuration.
    """
    config = read_editor_config(folder)
    model = load_model(folder, config.make, device)
    return Editor(folder.resolve().name, config, model.double() if has_float64(device) else model)


def _config(record: dict[str, Any]) -> EditorConfig:
    return EditorConfig(
        accepted=Accepted.from_record(record["accepts"]),
        edit=record["edit"],
        picture=tuple(record["picture"]),
        sizes=EDITOR_KINDS[record["kind"]].sizes(**record["sizes"]),
        fitted=dict(record["fitted"]),
    )
