"""Random changes of a picture's coordinates: turned, stretched and moved, for augmentation while a head is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Changes:
    """How far coordinates are changed.

    Attributes:
        turn, stretch, move: largest angle (radians), largest change of a side's length and of the aspect (shares), and
            largest move (of the picture's half side).
        mirror: whether columns are mirrored at random.
    """

    turn: float
    stretch: float
    move: float
    mirror: bool = False


def random_affine(networks: int, changes: Changes, device: torch.device) -> tuple[Tensor, Tensor]:
    """A and m of x ↦ A x + m for each network: [networks, 2, 2] and [networks, 2].

    Draws from torch's global generator.
    """
    uniform = torch.rand(networks, 6, device=device) * 2 - 1
    angle, longer, aspect, rows, columns, side = uniform.unbind(1)
    turn = angle * changes.turn
    cosine, sine = turn.cos(), turn.sin()
    height = (1 + longer * changes.stretch) * (1 + aspect * changes.stretch / 2)
    width = (1 + longer * changes.stretch) * (1 - aspect * changes.stretch / 2)
    if changes.mirror:
        width = width * side.sign()
    affine = torch.stack([cosine * height, -sine * width, sine * height, cosine * width], 1).view(-1, 2, 2)
    return affine, torch.stack([rows, columns], 1) * changes.move


def in_other_coordinates(tensors: Sequence[Tensor], changes: Changes) -> list[Tensor]:
    """Networks that show x ↦ f(A x + m) for random A and m: the first layer's W becomes W A, and its b becomes b + W m.

    Args:
        tensors: first weight [batch, out, 2], first bias [batch, out], ...
    """
    weight, bias, *others = tensors
    affine, moved = random_affine(len(weight), changes, weight.device)
    affine, moved = affine.to(weight.dtype), moved.to(weight.dtype)
    return [weight @ affine, bias + (weight @ moved[:, :, None]).squeeze(2), *others]
