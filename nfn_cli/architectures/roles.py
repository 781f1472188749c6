"""How each axis of a tensor belongs to the neurons: all that the symmetry room needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Side(Enum):
    """How an axis meets the neurons of a group.

    FIXED: not at all (inputs, outputs, kernel entries). OUT: it lists them (multiply by d). IN: it reads them (divide
    by d). INDEX: it lists them but is not scaled.
    """

    FIXED = "fixed"
    OUT = "out"
    IN = "in"
    INDEX = "index"


@dataclass(frozen=True)
class AxisRole:
    """The role of one axis.

    Attributes:
        repeat: on a flattened axis, how many consecutive entries every neuron owns.
        bias: the tensor is what is added to each neuron, so a sine's phase can be shifted here.
    """

    side: Side = Side.FIXED
    group: int | None = None
    repeat: int = 1
    bias: bool = False
