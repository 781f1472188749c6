"""From a traced network to what Monomial-NFN for any architecture reads of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, Solutions
from nfn_cli.nn.labelled.field import Coordinate, LabelledField
from nfn_cli.nn.labelled.layout import LabelledLayout
from nfn_cli.nn.labelled_nfn.network_fields import MOMENTS, NetworkFields, NetworkShape, kind_of, logarithm, moments
from nfn_cli.nn.labelled_nfn.stations import OneNeuron, neurons_of
from nfn_cli.symmetry.labelled import act, normal_form
from nfn_cli.symmetry.labelled.action import forward

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Part:
    """How a field comes from one of the layout.

    Attributes:
        source: its place there.
        order: of its coordinates.
        sort: `odd`, `size` (even, of what signs multiply) or `still`.
        neurons: over whose entries it averages; None where it takes all entries as they are.
        field: what is made.
    """

    source: int
    order: tuple[int, ...]
    sort: str
    neurons: OneNeuron | None
    field: LabelledField


@dataclass(frozen=True, eq=False)
class FieldReader:
    """Reads networks of one architecture.

    Attributes:
        architecture: on the names of the file.
        layout: its fields once scales are settled, one or more a tensor.
        parts: what is made of them.
        shape: the same, for the head.
    """

    architecture: LabelledArchitecture
    layout: LabelledLayout
    parts: tuple[_Part, ...]
    shape: NetworkShape

    @classmethod
    def of(cls, architecture: LabelledArchitecture, shapes: Mapping[str, Sequence[int]]) -> FieldReader:
        """Find the fields of an architecture.

        Args:
            shapes: of the tensors that it leaves out, and that count.

        Raises:
            ArchitectureError: its labels follow from each other in a way that has no fields.
        """
        none = np.zeros(0, np.int32)
        settled = replace(architecture, logs=Solutions(architecture.logs.variables, 0, none, none, none.astype(float)))
        layout = LabelledLayout.of(settled, shapes, merge=False)
        parts = tuple(part for place, field in enumerate(layout.fields) for part in _parts(place, field))
        fields = tuple(part.field for part in parts)
        text = repr([(own.kind, own.sizes, own.coordinates, own.signs.tobytes()) for own in fields])
        return cls(architecture, layout, parts, NetworkShape(fields, hashlib.sha256(text.encode()).hexdigest()[:16]))

    def read(self, tensors: Mapping[str, Tensor], classes: int) -> NetworkFields:
        """One network, of its tensors by the names of the file.

        Raises:
            ValueError: a tensor is not there, or has another shape.
        """
        state = {name: tensors[name].double() for name in self.layout.shapes}
        moved = {tensor.name: state[tensor.name] for tensor in self.architecture.tensors}
        form = normal_form(self.architecture, moved, sign=False, permute=False)
        state |= act(form.element, self.architecture, moved)
        values = [_values(part, self.layout.fields[part.source], state) for part in self.parts]
        shapes = self.layout.shapes
        facts = [
            math.log(1 + sum(len(shape) > 1 for shape in shapes.values())),
            math.log(1 + sum(math.prod(shape) for shape in shapes.values())),
            math.log(classes),
            float(any(name.endswith("running_var") for name in shapes)),
        ]
        joined = torch.cat(values).float().nan_to_num(0.0, 0.0, 0.0)
        return NetworkFields(self.shape, joined, torch.tensor(facts), classes)


def _values(part: _Part, field: LabelledField, state: Mapping[str, Tensor]) -> Tensor:
    """The numbers of a field's entries, float64 [entries, 8]."""
    (piece,) = field.pieces
    entries = forward(state[piece.name].reshape(-1)[torch.from_numpy(piece.places)], piece.stored)
    numbers = moments(entries.permute(*part.order, -1)).reshape(-1, MOMENTS)
    if part.sort == "odd":
        numbers = torch.cat([numbers[:, :1], torch.zeros_like(numbers[:, 1:])], 1)
    elif part.sort == "size":
        numbers = torch.cat([logarithm(numbers[:, :1].abs()), numbers[:, 1:]], 1)
    if part.neurons is None:
        return torch.cat([numbers, torch.zeros_like(numbers)], 1)
    at, units = torch.from_numpy(part.neurons.at), part.field.logs.size
    chosen = numbers[torch.from_numpy(part.neurons.entries)]
    each = len(chosen) / units
    mean = chosen.new_zeros(units, MOMENTS).index_add(0, at, chosen) / each
    if part.sort == "odd":
        return torch.cat([mean, torch.zeros_like(mean)], 1)
    square = chosen.new_zeros(units, MOMENTS).index_add(0, at, (chosen - mean[at]).square()) / each
    return torch.cat([mean, square.sqrt()], 1)


def _parts(place: int, layout_field: LabelledField) -> Iterator[_Part]:
    """What is made of a field of the layout; odd fields come before the even ones of the same entries."""
    order = _order(layout_field)
    field = _ordered(layout_field, order)
    name, features = layout_field.pieces[0].name.rpartition(".")[2], layout_field.features
    sorts = ("odd", "size") if field.is_signed else ("still",)
    if sum(own.parent is None for own in field.coordinates) < 2:
        for sort in sorts:
            kind = kind_of(name, field.coordinates, features, sort)
            yield _Part(place, order, sort, None, replace(field, signs=_signs(field, sort), kind=kind))
        return
    every = np.arange(field.logs.size)
    whole = OneNeuron("all", (), every, np.zeros_like(every), np.zeros((), np.int64))
    own_signs = {own.name: own for own in neurons_of(field)}
    still = replace(field, signs=np.zeros_like(field.signs))
    for own in [*neurons_of(still), whole]:
        for sort in sorts:
            if sort == "odd":
                signed = own_signs.get(own.name)
                if signed is None or not signed.signs.any():
                    continue
                own = signed
            signs = own.signs if sort == "odd" else np.zeros_like(own.signs)
            yield _Part(
                place,
                order,
                sort,
                own,
                _averaged(field, own, signs, kind_of(name, field.coordinates, features, f"{own.name} {sort}")),
            )


def _averaged(field: LabelledField, own: OneNeuron, signs: Ints, kind: str) -> LabelledField:
    """What is left of a field at one of its neurons."""
    kept = own.kept
    coordinates = tuple(
        Coordinate(field.coordinates[place].path, None if number == 0 else number - 1)
        for number, place in enumerate(kept)
    )
    sizes = tuple(field.sizes[place] for place in kept)
    return LabelledField(coordinates, sizes, (), np.zeros(sizes, np.int64), signs, kind)


def _signs(field: LabelledField, sort: str) -> Ints:
    return field.signs if sort == "odd" else np.zeros_like(field.signs)


def _ordered(field: LabelledField, order: tuple[int, ...]) -> LabelledField:
    """The same with its coordinates in another order, without pieces."""
    own = [field.coordinates[place] for place in order]
    coordinates = tuple(Coordinate(one.path, None if one.parent is None else order.index(one.parent)) for one in own)
    sizes = tuple(field.sizes[place] for place in order)
    signs = np.ascontiguousarray(field.signs.transpose(order))
    return LabelledField(coordinates, sizes, (), np.zeros(sizes, np.int64), signs, "")


def _order(field: LabelledField) -> tuple[int, ...]:
    """Coordinates in the order in which the tensor has them, those around others before them."""
    places = field.pieces[0].places
    strides = [_stride(places, axis) for axis in range(len(field.sizes))]

    def around(place: int) -> tuple[tuple[int, int], ...]:
        parent = field.coordinates[place].parent
        return (*(() if parent is None else around(parent)), (-strides[place], place))

    return tuple(sorted(range(len(field.sizes)), key=around))


def _stride(places: Ints, axis: int) -> int:
    if places.shape[axis] < 2:
        return 0
    return abs(int(np.take(places, 1, axis).flat[0]) - int(np.take(places, 0, axis).flat[0]))
