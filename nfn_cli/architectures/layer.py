"""One layer of a chain, and what else stands between it and the next one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal


class StageKind(Enum):
    """What a stage computes of a layer's neurons.

    AFFINE: a scale and a shift for each, as a BatchNorm in evaluation. LAYER_NORM: a normalisation over all neurons,
    then gains and biases. GROUP_NORM: one over groups of neurons that are neighbours; no file states how many. SLOPES:
    those of a PReLU. GAINS: one number for each neuron, and no more is known: slopes, or the gains of a norm.
    """

    AFFINE = "affine"
    LAYER_NORM = "layer_norm"
    GROUP_NORM = "group_norm"
    SLOPES = "slopes"
    GAINS = "gains"


@dataclass(frozen=True)
class Stage:
    """Something with tensors of its own that stands between two layers and is part of neither.

    Its tensors in weight space are `{name}.scale` and `{name}.shift` [n] for AFFINE, `{name}.weight` [n] (or [1], of
    slopes) and, with `has_bias`, `{name}.bias` [n] for the others.

    Attributes:
        name: of the module in the checkpoint.
        size: n, or 1 for one slope for all.
        place: `inputs` of the layer, or its outputs `before` or `behind` the activation.
    """

    name: str
    kind: StageKind
    size: int
    place: Literal["inputs", "before", "behind"]
    has_bias: bool = True


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
        stages: what stands at its inputs and behind it, in the order of computation, and cannot be folded into it.
    """

    name: str
    kind: Literal["linear", "conv"]
    in_features: int
    out_features: int
    kernel: tuple[int, ...] = ()
    spatial: int = 1
    has_bias: bool = True
    stages: tuple[Stage, ...] = ()

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """[out, in, *kernel]."""
        return (self.out_features, self.in_features, *self.kernel)

    def describe(self) -> str:
        """Such as `conv 6->16 5x5`."""
        size = f"{self.kind} {self.in_features}->{self.out_features}"
        return f"{size} {'x'.join(map(str, self.kernel))}" if self.kernel else size
