"""What a head must know of the networks it reads in order to run them, since no state dict holds it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from nfn_cli.architectures import Architecture
from nfn_cli.errors import shown

_LARGEST_SPACE = 1 << 16


@dataclass(frozen=True)
class ForwardPass:
    """How a network is run.

    Attributes:
        space: sides of the input of a network that starts with a convolution, such as (32, 32); () for linear ones.
        stride, padding: of every convolution.
    """

    space: tuple[int, ...] = ()
    stride: int = 1
    padding: int = 0

    def __post_init__(self) -> None:
        # These come from a stranger's file too.
        checked = ("space", self.space, 1), ("stride", (self.stride,), 1), ("padding", (self.padding,), 0)
        for name, values, least in checked:
            if any(type(value) is not int or not least <= value <= _LARGEST_SPACE for value in values):
                raise ValueError(f"{name} is {shown(getattr(self, name))}, not whole numbers from {least}")
        if math.prod(self.space) > _LARGEST_SPACE:
            raise ValueError(f"space is {shown(self.space)}, of more than {_LARGEST_SPACE} positions")

    def mismatch(self, architecture: Architecture) -> str | None:
        """Why networks of this architecture cannot be run so; None if they can."""
        sides = list(self.space)
        first = architecture.first
        if len(sides) != len(first.kernel):
            return (
                f"layer {first.name} reads {len(first.kernel)} dimensions of space, the forward pass has {len(sides)}"
            )
        for layer in architecture.layers:
            if layer.kind == "conv":
                if len(layer.kernel) != len(sides):  # behind a linear layer
                    sides = [1] * len(layer.kernel)
                reach = zip(sides, layer.kernel, strict=True)
                sides = [(side + 2 * self.padding - kernel) // self.stride + 1 for side, kernel in reach]
                if min(sides) < 1:
                    return f"an input of {'x'.join(map(str, self.space))} is too small for layer {layer.name}"
        return None

    def to_record(self) -> dict[str, Any]:
        """Plain values for `config.yaml`."""
        return asdict(self) | {"space": list(self.space)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> ForwardPass:
        """Inverse of `to_record`; KeyError, TypeError or ValueError for anything else."""
        return cls(tuple(record["space"]), record["stride"], record["padding"])
