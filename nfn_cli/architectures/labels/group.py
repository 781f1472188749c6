"""The group of a network: nested symmetric groups over labels, and the scales and signs that go with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels.spec import LabelledTensor


@dataclass(frozen=True)
class Block:
    """Neurons that may be permuted among themselves: Sym(n), once for every unit of the block around it.

    A *unit* is one of the things that are permuted: a neuron with all labels that move with it, or a head with all that
    is in it. Units are numbered 0 … units − 1; unit u lies in unit u // n of the parent block (in the only one, where
    there is no parent) and has place u % n there.

    Attributes:
        name: of the module that makes its neurons, such as `layers.0.mlp.up_proj`.
        parent: the place of the block around it among the group's blocks, always an earlier one; None for none.
        n: units that one unit of the parent holds.
        labels: int32 [units, k]: the labels of each unit, its own and not those of blocks inside it. Column c of one
            unit goes to column c of another.
    """

    name: str
    parent: int | None
    n: int
    labels: NDArray[np.int32]

    @property
    def units(self) -> int:
        """How many units there are in all."""
        return len(self.labels)


@dataclass(frozen=True)
class Solutions:
    """The solutions of linear equations over scale variables: every variable as a sum of free ones.

    Value of variable v: Σ coefficient · free value, over the entries with `rows == v`; over GF(2) modulo 2.

    Attributes:
        variables: how many there are.
        free: how many free ones there are; they are numbered 0 … free − 1.
        rows, columns: int32 [entries], variable and free one.
        coefficients: float64 [entries].
    """

    variables: int
    free: int
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    coefficients: NDArray[np.float64]

    def values(self, free: NDArray[np.float64]) -> NDArray[np.float64]:
        """All variables [variables], from the free ones [free]."""
        return np.bincount(self.rows, self.coefficients * free[self.columns], minlength=self.variables).astype(
            np.float64
        )


@dataclass(frozen=True)
class AbsorbedGain:
    """The gains of a norm, which the weights that read it can take in.

    Attributes:
        gain, bias: their places among the tensors; None for no bias.
        weights: places of all weights that read what the norm gives.
    """

    gain: int
    bias: int | None
    weights: tuple[int, ...]


@dataclass(frozen=True)
class GaugeAction:
    """How a gauge acts on tensors: by a matrix for each space, along axes whose labels are the space's coordinates.

    Attributes:
        group: `orthogonal`; `levelled`, the orthogonal matrices that fix the vector of ones; `linear`, all that are
            invertible; `phases`, complex numbers other than 0, each of which multiplies a pair of coordinates.
        block: the place of the block whose units are the coordinates. The units in one unit of its parent are one
            space. None for phases.
        inverse: (place of a tensor, its labels int32) each: of these entries the axis is multiplied by the inverse
            transposed matrix. For orthogonal matrices, which are their own, these are the axes that are read.
        gains: have to be absorbed first.
        pairs: int32 [pairs, 3], for phases: labels of the two coordinates, and the number of the space.
        keys: bool [pairs], for phases: whether the pair is one of a key, which is multiplied by 1 / conj z.
    """

    group: Literal["orthogonal", "levelled", "linear", "phases"]
    block: int | None
    inverse: tuple[tuple[int, NDArray[np.int32]], ...] = ()
    gains: tuple[AbsorbedGain, ...] = ()
    pairs: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    keys: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))


@dataclass(frozen=True)
class Gauge:
    """A freedom of the function that is no monomial matrix, so that no element of the group acts by it.

    Attributes:
        kind: such as `rotation of the residual stream`.
        where: the module or tensors that it is about.
        dimension: of the continuous group.
        action: how it acts, where that is known.
    """

    kind: str
    where: str
    dimension: int
    action: GaugeAction | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class LabelledArchitecture:
    """A network on labels: its tensors' uses and the group that leaves its function alone.

    Attributes:
        tensors: all that the group acts on, in the order of the state dict.
        label_count, scale_count: labels and scale variables are numbered from 0.
        blocks: the permutations, as a forest: parents stand before what is in them.
        determined: (label, a, b) rows int32 [m, 3]: labels outside all blocks that go where two others say: σ(label) is
            the label whose row holds σ(a), σ(b). Labels of no block and no row are fixed.
        logs, signs: the scales, log|d| over the real numbers and signs over GF(2). Every free variable acts on some
            tensor, and no two alike: their numbers are the dimensions of the groups.
        gauges: what else leaves the function alone.
        left: names of tensors on which nothing acts.
    """

    tensors: tuple[LabelledTensor, ...]
    label_count: int
    scale_count: int
    blocks: tuple[Block, ...]
    determined: NDArray[np.int32]
    logs: Solutions
    signs: Solutions
    gauges: tuple[Gauge, ...] = ()
    left: tuple[str, ...] = ()
