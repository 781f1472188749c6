"""How a network reads its tensors, in labels: which neuron every entry along an axis belongs to, and what scales it.

A *label* is a number that stands for one neuron, a *scale variable* a number that stands for one free factor. Arrays of
both run along axes, never over all parameters: they broadcast against the tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
NONE = -1  # the label of an entry that belongs to no neuron


@dataclass(frozen=True)
class Role:
    """Which neuron each entry along some axes of a view belongs to.

    Attributes:
        labels: int32, of the view's rank, with size 1 along the axes that the role does not speak of; NONE for entries
            of no neuron, which stay where they are.
        slots: int32, of the same shape: which of its neuron's entries each is; None where each neuron has one. An entry
            of neuron a and slot t goes to the entry of neuron σ(a) and slot t.
    """

    labels: Labels
    slots: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Stored:
    """One step from a number in the file to the number that the function uses.

    Attributes:
        kind: add (x + value), mul (x · value), exp (eˣ) or neg (−x).
        value: of add and mul.
    """

    kind: str
    value: float = 0.0


@dataclass(frozen=True)
class Use:
    """One way in which the function reads a tensor, as a view of it.

    The group acts on the view's numbers x (behind `stored`): entry e of U becomes entry σ(e) of g·U, multiplied by
    exp(Σ coefficient · log|d|) and the signs alike, with the scale variables that stand *at e*.

    Attributes:
        shape, stride, offset: of the view, as `torch.Tensor.as_strided` takes them, in the contiguous tensor.
        roles: no two of them speak of one axis. Axes of no role stay as they are.
        scales: (coefficient, int32 array of scale variables) each; the arrays broadcast against the view.
        stored: from the file's number to x, in order.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    roles: tuple[Role, ...]
    scales: tuple[tuple[int, NDArray[np.int32]], ...] = ()
    stored: tuple[Stored, ...] = ()


@dataclass(frozen=True)
class LabelledTensor:
    """A tensor of the network.

    Attributes:
        names: in the state dict; several where one tensor has several names (tied).
        shape: in the file.
        uses: views that do not overlap, so that acting on each once acts on the tensor; empty where it stays.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    uses: tuple[Use, ...]

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]


@dataclass(frozen=True)
class Relations:
    """What the permutations of labels must keep, as collected operator by operator.

    A permutation σ of the labels belongs to the group if each relation stays: a colour is kept by every label, and with
    a pair (a, b) of an edge also (σ(a), σ(b)) is a pair of it.

    Attributes:
        count: labels are 0 … count − 1.
        colours: (labels, colours) each, int64 arrays of one shape. Equal numbers of two entries mean nothing to each
            other. A label may have several colours of one entry: then σ keeps the set.
        edges: (a, b) each, arrays of one shape: the relation {(a[i], b[i])}.
    """

    count: int
    colours: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]
    edges: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]
