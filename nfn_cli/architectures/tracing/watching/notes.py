"""The notes on a trace, and what the files on the kinds of operators share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import Role, Use
from nfn_cli.architectures.tracing.shifts import Shifts
from nfn_cli.architectures.tracing.values import Factor, Parameter, Value

Labels = NDArray[np.integer[Any]]  # of a trace, NONE where there is none
Made = dict[str, list[Use]]  # by parameter, the uses that the rule of an operator has recorded
SOFTMAX, LAYER_NORM = "softmax", "LayerNorm"


@dataclass(frozen=True)
class Bond:
    """Two arrays of labels, entry by entry: their coordinates are changed by one matrix A, or, odd, by A and A⁻ᵀ."""

    ours: Labels
    theirs: Labels
    odd: bool = False


@dataclass(frozen=True)
class Whole:
    """Each slice of an array of labels along some axes must have all labels of a space or none."""

    labels: Labels
    axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recurrence:
    """Two biases that are only ever added: so many numbers may go from one to the other."""

    names: tuple[str, str]
    count: int


@dataclass(frozen=True)
class Centred:
    """A weight that reads numbers of mean 0, scaled by gains: one more number may be added to each of its rows / gains.

    Attributes:
        alone: tensors that must have no other use.
    """

    weight: str
    outputs: int
    alone: frozenset[str]


class Notes:
    """What is noted of a trace.

    Attributes:
        rigid: labels that meet something that sees each coordinate.
        bonds, whole: what coordinates must keep.
        rounds: labels whose sum of squares is seen, and nothing more: only rotations are left.
        levelled: labels from which the mean is taken, too: rotations that fix the vector of ones.
        gains: by parameter, the labels that it scales.
        absorbed: (gain, weight) pairs: the weight reads what the gain scales, and nothing else does.
        signs: by parameter, for each use of the trace the sign of its roles: 1 for what it makes, −1 for what it reads.
        uses: by parameter, how many operators read it.
        values, keys: labels that attention weighs, and compares.
        recurrences: biases of recurrent layers.
        centred: weights that read a LayerNorm.
        shifts: what may be added to parameters.
        norm_biases: by gain, the biases of the norms that it belongs to.
        biases: labels of biases, and those of what they are added to.
        exempt: labels that do not count as coordinates, such as those of gains.
        gain_fails: by gain, labels of what something other than a weight reads behind it.

    By the `id` of a value, which is kept so that the number stays its own:

        squares: of x², x.
        scaled: of what a gain has scaled, the gain.
        means: of what has mean 0 over some labels, these, and whether a bias came after.
        sums: weights that sum to 1 along their last axis.
    """

    def __init__(self) -> None:
        self.rigid: list[Labels] = []
        self.bonds: list[Bond] = []
        self.whole: list[Whole] = []
        self.rounds: list[Labels] = []
        self.levelled: list[Labels] = []
        self.gains: dict[str, list[Labels]] = {}
        self.gain_fails: dict[str, list[Labels]] = {}
        self.absorbed: list[tuple[str, str]] = []
        self.signs: dict[str, list[tuple[Use, list[tuple[Labels, int]]]]] = {}
        self.uses: dict[str, int] = {}
        self.exempt: list[Labels] = []
        self.norm_biases: dict[str, set[str]] = {}
        self.biases: list[tuple[Labels, Labels]] = []
        self.values: list[Labels] = []
        self.keys: list[Labels] = []
        self.recurrences: list[Recurrence] = []
        self.centred: list[Centred] = []
        self.shifts = Shifts()
        self.squares: dict[int, tuple[Value, Value]] = {}
        self.scaled: dict[int, tuple[Value, str]] = {}
        self.means: dict[int, tuple[Value, Labels, bool]] = {}
        self.sums: dict[int, Value] = {}

    def hold(self, value: Any) -> None:
        """Something sees each coordinate of a value."""
        if isinstance(value, Value):
            self.rigid += [factor.labels for factor in value.factors]

    def fail(self, value: Any) -> None:
        """Something sees the shifts of a value."""
        self.shifts.fail(*self.shifts.of(value))

    def is_scaled(self, value: Value) -> bool:
        """Whether a gain has scaled a value. Who asks is no weight, so the gain is noted as not absorbed."""
        if id(value) in self.scaled:
            gain = self.scaled[id(value)][1]
            self.gain_fails.setdefault(gain, []).extend(factor.labels for factor in value.factors)
            return True
        return False

    def scaled_by(self, name: str, inside: Factor, found: Value, made: Made) -> None:
        """A gain scales some neurons."""
        self.gains.setdefault(name, []).append(inside.labels)
        self.scaled[id(found)] = (found, name)
        for use in made.get(name, []):
            self.exempt += [role.labels for role in use.roles]

    def same(self, found: Value, like: Value) -> None:
        """The result has the neurons of one operand, or neurons that follow from them."""
        for factor in found.factors:
            partner = next((own for own in like.factors if own.axes == factor.axes), None)
            if partner is not None:
                self.bonds.append(Bond(factor.labels, partner.labels))


def made_roles(roles: Sequence[Role]) -> list[tuple[Labels, int]]:
    """The labels of roles, with the sign of what an operator makes."""
    return [(role.labels, 1) for role in roles]


def parts_of(found: Any) -> Sequence[Any]:
    """What an operator gives, one or several."""
    return found if isinstance(found, (list, tuple)) else [found]


def is_flat(parameter: Any) -> bool:
    """Whether a parameter is a vector, or there is none."""
    return parameter is None or (isinstance(parameter, Parameter) and len(parameter.shape) == 1)


def is_plain(factor: Factor, axis: int) -> bool:
    """Whether all entries along one axis are neurons of their own."""
    labels = factor.labels
    return (
        factor.axes == (axis,) and factor.slots is None and len(np.unique(labels)) == labels.size and labels.min() >= 0
    )
