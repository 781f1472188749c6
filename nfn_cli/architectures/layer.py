"""One layer of a chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Layer:
    """A linear layer or a convolution.

    Attributes:
        name: as in the checkpoint, such as `features.0`.
        kind: linear or conv.
        in_features: size of the weight's second axis: channels, or features after a flatten.
        out_features: size of the weight's first axis.
        kernel: one size a dimension; () for a linear layer.
        spatial: positions that each neuron before a flatten owns on the second axis; 1 elsewhere.
        has_bias: whether the file has a bias; the weight space has one in any case, of zeros if no BatchNorm is folded.
    """

    name: str
    kind: Literal["linear", "conv"]
    in_features: int
    out_features: int
    kernel: tuple[int, ...] = ()
    spatial: int = 1
    has_bias: bool = True

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """[out, in, *kernel]."""
        return (self.out_features, self.in_features, *self.kernel)

    def describe(self) -> str:
        """Such as `conv 6->16 5x5`."""
        size = f"{self.kind} {self.in_features}->{self.out_features}"
        return f"{size} {'x'.join(map(str, self.kernel))}" if self.kernel else size
