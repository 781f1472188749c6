"""Heads that edit implicit neural representations: weights in, weights out, the picture edited.

They are equivariant: editing g·U gives g·(edited U), for every permutation, sign and phase g of hidden neurons, up to
rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import shown
from nfn_cli.nn.names import EDITS
from nfn_cli.nn.tasks.task import Details, Task
from nfn_cli.precision import has_float64
from nfn_cli.threads import threads_for, weights_of

if TYPE_CHECKING:
    from nfn_cli.nn.head import Head, HeadConfig

LARGEST_SIDE = 256  # of a picture, in pixels


@dataclass(frozen=True)
class EditDetails(Details):
    """What is special to heads that edit.

    Attributes:
        edit: what it does to the picture, a name in `EDITS`.
        picture: height and width of the pictures that it was fitted to, in pixels.
    """

    edit: str
    picture: tuple[int, int]

    def __post_init__(self) -> None:
        if self.edit not in tuple(EDITS):
            raise ValueError(f"edit is {shown(self.edit)}, not one of {', '.join(EDITS)}")
        if len(self.picture) != 2 or not all(type(s) is int and 1 <= s <= LARGEST_SIDE for s in self.picture):
            raise ValueError(f"picture is {shown(self.picture)}, not a height and a width from 1 to {LARGEST_SIDE}")


class EditingTask(Task):
    """`nfn edit-inr`."""

    name = "edit-inr"
    details = EditDetails
    ensembles = False
    output_options = ("gamma",)

    def model(self, config: HeadConfig) -> nn.Module:
        """See `Task`."""
        (member,) = config.new_members()
        return member

    def loaded(self, model: Any, folder: Path, device: str) -> nn.Module:
        """See `Task`. It computes in float64 where the device can."""
        return model.double() if has_float64(device) else model

    @torch.no_grad()
    def output(self, head: Head, point: NetworkWeights, gamma: float = 1.0, **options: Any) -> NetworkWeights:
        """The edited networks, U + γ E(U), float64 on the CPU.

        Args:
            gamma: how much of the edit.
        """
        added = changes(head, point).tensors
        return NetworkWeights(
            point.architecture,
            {name: tensor.double() + gamma * added[name] for name, tensor in point.tensors.items()},
        )


@torch.no_grad()
def changes(head: Head, point: NetworkWeights) -> NetworkWeights:
    """What the edit of a head adds to the weights of a batch of networks that it reads, float64 on the CPU.

    Args:
        point: tensors [batch, *shape] on the CPU; computation is in the dtype and on the device of the head.
    """
    # A head that goes by the picture has a matrix of every weight by every pixel.
    pixels = math.prod(head.config.details.picture) if head.config.kind.runs else 1
    with threads_for(weights_of(point) * pixels):
        found: list[Tensor] = head.model(head.model.encode(point))
    named = zip(point.architecture.tensors, found, strict=True)
    return NetworkWeights(point.architecture, {spec.name: change.cpu().double() for spec, change in named})


TASK = EditingTask()
