"""Shifts that a later operator takes away: what may be added to a parameter so that the function stays.

A shift is followed from its parameter through every operator that reads what it changes. It is free where each of these
either takes it away or passes it on in a known way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from nfn_cli.architectures.tracing.values import Ints, Value, move_array

Move = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Alike:
    """What a parameter may add is one number along an axis, any along the others: a vector for all rows of a weight.

    Attributes:
        source: name of the parameter.
        places: which of its numbers, where it comes of a bias; None where the shift is alike from the start.
    """

    source: str
    axis: int
    places: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Added:
    """A bias's number is added to each entry.

    Attributes:
        array: for each entry, the place in the bias; of the value's rank, 1 along axes on which it does not depend.
        mixed: whether attention weights that sum to 1 have been applied.
    """

    source: str
    array: Ints
    mixed: bool = False


Shift = Alike | Added


@dataclass
class Fate:
    """What became of the shifts of one parameter: which of its numbers were taken away, by what, and which failed."""

    taken: dict[str, set[int]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    alike_taken: set[str] = field(default_factory=set)
    alike_failed: bool = False
    alike_size: int = 0
    sinks: set[str] = field(default_factory=set)  # biases that take a shift in

    def free(self, how: str) -> int:
        """How many numbers of a bias may be shifted so."""
        return len(self.taken.get(how, set()) - self.failed)


class Shifts:
    """The shifts that every value carries, and their fates by parameter."""

    def __init__(self) -> None:
        self.fates: dict[str, Fate] = {}
        self._carried: dict[int, tuple[Value, list[Shift]]] = {}

    def of(self, value: object) -> list[Shift]:
        """What a value carries."""
        return self._carried[id(value)][1] if id(value) in self._carried else []

    def carry(self, value: object, shifts: Sequence[Shift]) -> None:
        """Have a value carry shifts too."""
        if shifts and isinstance(value, Value):
            self._carried.setdefault(id(value), (value, []))[1].extend(shifts)

    def fate(self, source: str) -> Fate:
        """The fate of a parameter's shifts."""
        return self.fates.setdefault(source, Fate())

    def fail(self, *shifts: Shift) -> None:
        """The function sees these shifts."""
        for shift in shifts:
            if isinstance(shift, Alike) and shift.places is None:
                self.fate(shift.source).alike_failed = True
            else:
                self.fate(shift.source).failed |= _places(shift)

    def take(self, shift: Shift, how: str) -> None:
        """An operator takes a shift away."""
        if isinstance(shift, Alike) and shift.places is None:
            self.fate(shift.source).alike_taken.add(how)
        else:
            self.fate(shift.source).taken.setdefault(how, set()).update(_places(shift))

    def writes(self, source: str, size: int, value: Value, axis: int) -> None:
        """A parameter of so many numbers writes along an axis of a value: it may be shifted alike there."""
        self.fate(source).alike_size = size // value.shape[axis]
        self.carry(value, [Alike(source, axis % len(value.shape))])

    def adds(self, source: str, value: Value, axis: int) -> None:
        """A bias is added along an axis of a value."""
        axis %= len(value.shape)
        shape = [size if place == axis else 1 for place, size in enumerate(value.shape)]
        self.carry(value, [Added(source, np.arange(value.shape[axis]).reshape(shape))])

    def moved(self, x: Value, value: Value, move: Move) -> None:
        """Data movement."""
        for shift in self.of(x):
            found = _moved(shift, x.shape, value.shape, move)
            if found is None:
                self.fail(shift)
            else:
                self.carry(value, [found])

    def passed(self, x: Value, value: Value) -> None:
        """What comes out is x, broadcast and with something added, or times a number: the shifts stay."""
        more = len(value.shape) - len(x.shape)
        for shift in self.of(x):
            if isinstance(shift, Alike):
                self.carry(value, [replace(shift, axis=shift.axis + more)])
            else:
                self.carry(value, [replace(shift, array=shift.array.reshape((1,) * more + shift.array.shape))])

    def normalised(self, x: Value, axis: int, how: str) -> None:
        """An operator along an axis that does not see what is added alike there."""
        for shift in self.of(x):
            if isinstance(shift, Alike) and shift.axis == axis % len(x.shape):
                self.take(shift, how)
            else:
                self.fail(shift)

    def read(self, x: Value, axis: int, bias: str | None) -> None:
        """A weight reads x along an axis: its bias, where there is one, takes away what is added there."""
        for shift in self.of(x):
            if (
                bias is not None
                and isinstance(shift, Added)
                and shift.array.size == x.shape[axis] == shift.array.shape[axis]
            ):
                self.take(shift, "value" if shift.mixed else "linear")
                self.fate(shift.source).sinks.add(bias)
            else:
                self.fail(shift)

    def weighed(self, y: Value, value: Value) -> None:
        """Weights that sum to 1 are applied to y along its last axis but one."""
        for shift in self.of(y):
            if isinstance(shift, Added) and shift.array.shape[-2] == 1:
                array = shift.array.reshape((1,) * (len(value.shape) - shift.array.ndim) + shift.array.shape)
                self.carry(value, [replace(shift, array=array, mixed=True)])
            else:
                self.fail(shift)

    def compared(self, keys: Value, value: Value, axis: int) -> None:
        """Queries are multiplied with keys [.., channels, positions]: a key's shift is alike along their axis."""
        for shift in self.of(keys):
            if isinstance(shift, Added) and shift.array.shape[-1] == 1:
                self.carry(value, [Alike(shift.source, axis % len(value.shape), tuple(sorted(_places(shift))))])
            else:
                self.fail(shift)


def _places(shift: Shift) -> set[int]:
    return set(shift.places or ()) if isinstance(shift, Alike) else set(np.unique(shift.array).tolist())


def _moved(shift: Shift, before: tuple[int, ...], after: tuple[int, ...], move: Move) -> Shift | None:
    if isinstance(shift, Added):
        array = move_array(shift.array, before, move)
        for axis in range(array.ndim):
            first = array.take([0], axis)
            if (array == first).all():
                array = first
        return replace(shift, array=array)
    shape = [size if place == shift.axis else 1 for place, size in enumerate(before)]
    size = before[shift.axis]
    others = np.arange(int(np.prod(before)) // max(size, 1)).reshape(
        [1 if place == shift.axis else own for place, own in enumerate(before)]
    )
    along = move_array(np.arange(size).reshape(shape), before, move)
    rest = move_array(others, before, move)
    for axis, own in enumerate(after):
        # Each line along the new axis must be a whole line along the old one.
        if own == size and (rest == rest.take([0], axis)).all() and (along == _line(size, axis, along.ndim)).all():
            return replace(shift, axis=axis)
    return None


def _line(size: int, axis: int, rank: int) -> Ints:
    return np.arange(size).reshape([size if place == axis else 1 for place in range(rank)])
