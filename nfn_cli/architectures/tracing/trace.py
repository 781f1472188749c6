"""What a trace collects: labels and what must stay together, scale equations, and the uses of every tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import NONE, Role, Use
from nfn_cli.architectures.labels.equations import Equations
from nfn_cli.architectures.labels.union import UnionFind
from nfn_cli.architectures.tracing.values import (
    Factor,
    Ints,
    Parameter,
    Term,
    Unsupported,
    Value,
    distinct,
    distinct_pairs,
)

if TYPE_CHECKING:
    from nfn_cli.architectures.tracing.watching import Watch


class Trace:
    """The state of one trace.

    Labels are made in *sorts*: arrays of labels of one origin. Labels that must move together are one *unit*; no unit
    has two labels of one sort.
    """

    def __init__(self) -> None:
        self.units = UnionFind()
        self.sorts: list[int] = [0]  # the first label of each sort, and one past the last
        self._starts = np.asarray(self.sorts)
        self.origins: list[str] = []  # by sort, where it was made
        self.families: list[set[int]] = []  # by sort, the sorts of its labels' units
        self.logs = Equations(mod2=False)
        self.signs = Equations(mod2=True)
        self.edges: list[tuple[Ints, Ints]] = []
        self.colours: list[tuple[Ints, Ints]] = []
        self.uses: dict[str, list[Use]] = {}
        self.unread: set[str] = set()  # parameters that met nothing but zeros somewhere
        self.place = ""
        self.watch: Watch | None = None
        # Of what came of it: the labels that are left, sorted, and the place of each stored tensor.
        self.kept: Ints = np.zeros(0, np.int64)
        self.places: dict[str, int] = {}

    def kept_places(self, labels: Ints) -> NDArray[np.int32]:
        """The numbers of labels among those that are left; all have to be."""
        return np.searchsorted(self.kept, labels).astype(np.int32)

    # Labels.

    @property
    def label_count(self) -> int:
        """Labels so far."""
        return self.sorts[-1]

    def new_labels(self, shape: Sequence[int], origin: str) -> Ints:
        """Labels of a new sort."""
        labels = self.units.new(int(np.prod(shape)))
        self.sorts.append(self.sorts[-1] + len(labels))
        self.origins.append(origin)
        self.families.append({len(self.origins) - 1})
        return np.asarray(labels).reshape(tuple(shape))

    def sort_of(self, labels: Ints) -> Ints:
        """The sort of each label."""
        if len(self._starts) != len(self.sorts):
            self._starts = np.asarray(self.sorts)
        return np.searchsorted(self._starts, labels, side="right") - 1

    def edge(self, ours: Ints, theirs: Ints) -> None:
        """Keep a relation between labels: where one goes, the other goes with it."""
        ours, theirs = _pairs(ours, theirs)
        if len(ours):
            self.edges.append((ours, theirs))

    def colour(self, labels: Ints, axis: int) -> None:
        """Keep every label at its place along an axis."""
        places = np.arange(labels.shape[axis]).reshape([-1 if own == axis else 1 for own in range(labels.ndim)])
        self.mark(labels, places)

    def mark(self, labels: Ints, marks: Ints) -> None:
        """Keep a mark of every label."""
        ours, marks = _pairs(labels, marks, marked=True)
        if len(ours):
            self.colours.append((ours, marks))

    def unify(self, ours: Ints, theirs: Ints) -> None:
        """Have labels move together, entry by entry."""
        ours, theirs = _pairs(ours, theirs)
        roots, others = self.units.find(ours), self.units.find(theirs)
        if bool((roots == others).all()):  # as also where there are none
            return
        mine = self._family(ours)
        their = self._family(theirs)
        joined = mine | their
        if _one_to_one(roots, others) and not mine & their:
            self.units.union(ours, theirs)
        elif not self._unite_checked(ours, theirs, joined):
            self.edge(ours, theirs)
            return
        for sort in joined:
            self.families[sort] = joined

    def _family(self, labels: Ints) -> set[int]:
        found: set[int] = set()
        first, last = self.sort_of(np.asarray([labels.min(), labels.max()])).tolist()
        for sort in [first] if first == last else np.unique(self.sort_of(labels)).tolist():
            found |= self.families[sort]
        return found

    def _unite_checked(self, ours: Ints, theirs: Ints, family: set[int]) -> bool:
        """Unite, unless that would make two labels of one sort a unit."""
        before = self.units.snapshot()
        self.units.union(ours, theirs)
        for sort in family:
            roots = self.units.find(np.arange(self.sorts[sort], self.sorts[sort + 1]))
            if distinct(roots) < len(roots):
                self.units.restore(before)
                return False
        return True

    # Scales.

    def new_scales(self, shape: Sequence[int]) -> Ints:
        """New scale variables."""
        count = int(np.prod(shape))
        logs, signs = self.logs.new(count), self.signs.new(count)
        assert count == 0 or logs[0] == signs[0]
        return np.asarray(logs).reshape(tuple(shape))

    def relate(self, terms: Sequence[Term], *, logs: bool = True, signs: bool = True) -> None:
        """Have the sum of terms be zero at every entry; entries of zeros say nothing."""
        terms = [term for term in terms if term[0] != 0]
        if not terms:
            return
        for rows in _crosses([array for _, array in terms]):
            known = np.all([row != NONE for row in rows], axis=0)
            arrays = [row[known] for row in rows]
            if logs:
                self._relate(
                    self.logs, [(coefficient, array) for (coefficient, _), array in zip(terms, arrays, strict=True)]
                )
            if signs:
                odd = [(1, array) for (coefficient, _), array in zip(terms, arrays, strict=True) if coefficient % 2]
                self._relate(self.signs, odd)

    @staticmethod
    def _relate(equations: Equations, terms: Sequence[Term]) -> None:
        if len(terms) == 1:
            equations.zero(terms[0][1])
        elif len(terms) == 2 and terms[0][0] == -terms[1][0]:
            equations.equal(terms[0][1], terms[1][1])
        elif terms:
            equations.relate(terms)

    def still(self, value: Value, *, logs: bool = True, signs: bool = True) -> None:
        """Have nothing scale a value."""
        self.relate(value.terms, logs=logs, signs=signs)

    def derived(self, terms: Sequence[Term], *, power: float = 1.0, signs: bool = True) -> tuple[Term, ...]:
        """One term for the logarithm of a power of what is scaled; its sign is that of the sum, or none."""
        if not terms:
            return ()
        shape = np.broadcast_shapes(*[array.shape for _, array in terms])
        known = np.all([np.broadcast_to(array, shape) != NONE for _, array in terms], axis=0)
        made = self.new_scales(shape)
        made = np.where(known, made, NONE)
        negated = [(-coefficient * power, array) for coefficient, array in terms]
        self.relate([(1, made), *negated], signs=False)
        if signs:
            self.relate([(1, made), *[(-coefficient, array) for coefficient, array in terms]], logs=False)
        else:
            self.signs.zero(made[known])
        return ((1, made),)

    # Tensors.

    def use(self, parameter: Parameter, factors: Sequence[Factor], terms: Sequence[Term]) -> None:
        """Record how a parameter is read: factors and terms as arrays of its view."""
        view, base = parameter.view, parameter.base
        if any(step.kind == "exp" for step in parameter.stored):
            self.relate(terms, logs=False)  # no number has a negative exponential
        axes = [axis for axis in range(view.ndim) if view.shape[axis] > 1 and view.stride(axis) != 0]
        if any((array == NONE).any() for _, array in terms):
            raise Unsupported("a tensor that is scaled as padded zeros are")

        def own(array: Ints) -> Ints:
            if any(size > 1 for axis, size in enumerate(array.shape) if axis not in axes):
                raise Unsupported("neurons along an axis on which a tensor is repeated")
            return array.reshape([array.shape[axis] for axis in axes] or [1])

        # A single number has an axis, too.
        shape = [view.shape[axis] for axis in axes] or [1]
        stride = [view.stride(axis) for axis in axes] or [1]
        roles = []
        for factor in factors:
            labels = own(factor.labels)
            if labels.size > 1 or bool((labels != NONE).any()):
                slots = None if factor.slots is None else own(factor.slots).astype(np.int32)
                roles.append(Role(labels.astype(np.int32), slots))
        scales: tuple[Term, ...] = tuple((coefficient, own(array)) for coefficient, array in terms)
        if any(int(coefficient) != coefficient for coefficient, _ in scales):
            scales = self.derived(scales)
        offset = int(view.storage_offset())
        shape, stride, offset = _extended(shape, stride, offset, base, roles, [array for _, array in scales])
        roles = [role for role in roles if role.labels.size > 1]
        made = Use(
            tuple(shape), tuple(stride), offset, tuple(roles),
            tuple((int(coefficient), array.astype(np.int32)) for coefficient, array in scales), parameter.stored,
        )  # fmt: skip
        self.uses.setdefault(parameter.name, []).append(made)


def _pairs(ours: Ints, theirs: Ints, *, marked: bool = False) -> tuple[Ints, Ints]:
    ours, theirs = np.broadcast_arrays(ours, theirs)
    ours, theirs = ours.reshape(-1), theirs.reshape(-1)
    known = (ours != NONE) if marked else (ours != NONE) & (theirs != NONE)
    return ours[known], theirs[known]


def _one_to_one(ours: Ints, theirs: Ints) -> bool:
    count = distinct(ours)
    return count == distinct(theirs) and count == distinct_pairs(ours, theirs)


def _crosses(arrays: Sequence[Ints]) -> list[list[Ints]]:
    """Entries that span all: a sum of functions of some axes each is zero everywhere if it is on these.

    For each set of axes on which one array depends, the entries whose other indices are 0.
    """
    shape = np.broadcast_shapes(*[array.shape for array in arrays])
    sets = {tuple(axis for axis, size in enumerate(array.shape) if size > 1) for array in arrays}
    largest = [own for own in sets if not any(set(own) < set(other) for other in sets)]
    if len(largest) == 1 or any((array == NONE).any() for array in arrays):
        largest = [tuple(axis for axis, size in enumerate(shape) if size > 1)]
    found = []
    for own in largest:
        index = tuple(slice(None) if axis in own else slice(0, 1) for axis in range(len(shape)))
        found.append(
            [np.ascontiguousarray(row.reshape(-1)) for row in
             np.broadcast_arrays(*[np.broadcast_to(array, shape)[index] for array in arrays])]
        )  # fmt: skip
    return found


def _extended(
    shape: Sequence[int],
    stride: Sequence[int],
    offset: int,
    base: Tensor,
    roles: Sequence[Role],
    scales: Sequence[Ints],
) -> tuple[list[int], list[int], int]:
    """A slice along an axis of no neuron is read as the whole: rows of a table that these inputs do not reach."""
    shape, stride = list(shape), list(stride)
    for axis in range(len(shape)):
        plain = all(role.labels.shape[axis] == 1 for role in roles) and all(own.shape[axis] == 1 for own in scales)
        if not plain:
            continue
        for dimension in range(base.ndim):
            if base.stride(dimension) == stride[axis] and shape[axis] < base.shape[dimension]:
                place = offset // base.stride(dimension) % base.shape[dimension]
                if place + shape[axis] <= base.shape[dimension]:
                    offset -= place * base.stride(dimension)
                    shape[axis] = base.shape[dimension]
                    break
    return shape, stride, offset
