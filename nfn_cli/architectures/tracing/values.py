"""What is known of a value in a traced network: which neuron each entry belongs to, and what scales it.

An array of a value has the value's rank, and size 1 along axes on which it does not depend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import NONE, Stored

Ints = NDArray[np.int64]
Term = tuple[float, Ints]  # a coefficient, and a scale variable for each entry


@dataclass(frozen=True)
class Factor:
    """The neurons along some axes of a value.

    Attributes:
        labels: NONE where the value is zero in every network of the orbit.
        slots: which of its neuron's numbers an entry is; None where entries of one neuron are equal numbers.
    """

    labels: Ints
    slots: Ints | None = None

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes along which neurons differ."""
        return tuple(axis for axis, size in enumerate(self.labels.shape) if size > 1)


@dataclass(frozen=True)
class Value:
    """A value in the graph.

    Attributes:
        shape: its sizes.
        factors: no two of them share an axis.
        terms: the group multiplies an entry by exp(Σ coefficient · log|d|), and by the signs.
        constant: axes along which it is one number repeated, as after an expansion.
        points: for indices of neurons, the neurons that they may be, along the last axis of this array.
        data: the numbers themselves, for small constant tensors whose numbers are known.
    """

    shape: tuple[int, ...]
    factors: tuple[Factor, ...] = ()
    terms: tuple[Term, ...] = ()
    constant: frozenset[int] = frozenset()
    points: Ints | None = None
    data: Tensor | None = None

    @property
    def is_live(self) -> bool:
        """Whether the group moves it."""
        return bool(self.factors) or bool(self.terms) or self.points is not None

    @property
    def has_zeros(self) -> bool:
        """Whether some of its entries are zero in every network of the orbit."""
        arrays = [*[factor.labels for factor in self.factors], *[array for _, array in self.terms]]
        return any(bool((array == NONE).any()) for array in arrays)

    def varies(self, axis: int) -> bool:
        """Whether its numbers differ along an axis, for all that is known."""
        return self.shape[axis] > 1 and axis not in self.constant

    def lifted(self, rank: int) -> Value:
        """The same with leading axes of size 1, up to a rank."""
        more = rank - len(self.shape)
        if more <= 0:
            return self
        ones = (1,) * more
        return Value(
            ones + self.shape,
            tuple(
                Factor(
                    factor.labels.reshape(ones + factor.labels.shape),
                    None if factor.slots is None else factor.slots.reshape(ones + factor.slots.shape),
                )
                for factor in self.factors
            ),
            tuple((coefficient, array.reshape(ones + array.shape)) for coefficient, array in self.terms),
            frozenset(axis + more for axis in self.constant),
        )

    def factor_on(self, axis: int) -> Factor | None:
        """The factor that speaks of an axis."""
        return next((factor for factor in self.factors if factor.labels.shape[axis] > 1), None)


@dataclass(frozen=True)
class Parameter:
    """A tensor of the file, or a view of it, before it meets anything.

    Attributes:
        name: the first of its names.
        view: a meta tensor, a strided view of the whole one.
        base: the whole one.
        stored: from the numbers in the file to these.
    """

    name: str
    view: Tensor
    base: Tensor
    stored: tuple[Stored, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the view."""
        return tuple(self.view.shape)

    def step(self, kind: str, value: float = 0.0) -> Parameter:
        """The same behind one more step."""
        return replace(self, stored=(*self.stored, Stored(kind, value)))

    def moved(self, move: Callable[[Tensor], Tensor]) -> Parameter | None:
        """The same after data movement; None where that is no view."""
        try:
            view = move(self.view)
        except RuntimeError:  # no view has these axes
            return None
        if view.untyped_storage()._cdata != self.base.untyped_storage()._cdata:
            return None
        return replace(self, view=view)


Operand = Value | Parameter


def squeezed(array: Ints) -> Ints:
    """An array with size 1 along axes on which it does not depend; what is NONE all across agrees with anything."""
    for axis in range(array.ndim):
        if array.shape[axis] > 1:
            largest = array.max(axis=axis, keepdims=True)
            rest = tuple(own for own in range(array.ndim) if own != axis)
            if ((array == largest).all(axis=rest) | (array == NONE).all(axis=rest)).all():
                array = largest
    return array


def distinct(array: Ints) -> int:
    """How many numbers an array has; those that lie in order already are not sorted."""
    flat = array.reshape(-1)
    if not flat.size:
        return 0
    steps = np.diff(flat)
    if (steps < 0).any():
        steps = np.diff(np.sort(flat))
    return 1 + int(np.count_nonzero(steps))


def distinct_pairs(ours: Ints, theirs: Ints) -> int:
    """How many pairs two arrays of numbers from 0 have, entry by entry."""
    return distinct(ours * (int(theirs.max(initial=0)) + 1) + theirs)


def move_array(array: Ints, shape: Sequence[int], move: Callable[[Tensor], Tensor]) -> Ints:
    """Data movement executed on an array of a value of this shape."""
    full = np.broadcast_to(array, tuple(shape))
    return move(torch.from_numpy(np.array(full, order="C"))).contiguous().numpy()


class Unsupported(Exception):
    """An operator, or the way in which it meets labels, has no rule."""
