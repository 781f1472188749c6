"""Stations carry what the equivariant linear layers between fields carry: no pair of fields more, none less."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from torch import nn

from nfn_cli.nn.labelled import LabelledLayout, terms
from nfn_cli.nn.labelled.field import Coordinate, LabelledField
from nfn_cli.nn.labelled_nfn.network_fields import NetworkShape
from nfn_cli.nn.labelled_nfn.stations import wires_of

STILL = np.zeros(3, np.int64)


def pairs_through_stations(shape: NetworkShape) -> set[tuple[int, int]]:
    """Fields that meet at some neuron, as (from, to)."""
    owner = np.repeat(np.arange(len(shape.fields)), [field.logs.size for field in shape.fields])
    found: set[tuple[int, int]] = set()
    for wires in wires_of(shape).values():
        meeting: dict[int, set[int]] = {}
        for entry, at in zip(wires.entries.tolist(), wires.at.tolist(), strict=True):
            meeting.setdefault(at, set()).add(int(owner[entry]))
        for fields in meeting.values():
            found |= set(product(fields, fields))
    return found


def test_fields_meet_where_a_pattern_of_the_layers_keeps_a_neuron() -> None:
    block = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    layout = LabelledLayout.from_module(block, merge=False)
    shape = NetworkShape(layout.fields, "")
    patterns = terms(layout.fields, bias=False, local=True)
    assert pairs_through_stations(shape) == {(own.source, own.target) for own in patterns if len(own.pattern.kept) == 1}


def test_shares_average_over_entries_and_fields() -> None:
    first, second = Coordinate((0,), None), Coordinate((1,), None)
    matrix = LabelledField((first, second), (3, 4), (), np.zeros((3, 4), int), np.zeros((3, 4), int), "m still")
    shape = NetworkShape((matrix, matrix), "")
    wires = wires_of(shape)["1 even"]
    slots = torch.zeros(wires.units, len(wires.names)).index_put_(
        (wires.at, wires.ports), wires.shares, accumulate=True
    )
    assert wires.units == 7 and sorted(slots.unique().tolist()) == [0.0, 1.0]


def test_entries_of_other_signs_do_not_meet() -> None:
    def signed(*signs: int) -> LabelledField:
        return LabelledField((Coordinate((0,), None),), (3,), (), STILL, np.array(signs), "v odd")

    shape = NetworkShape((signed(1, 2, 4), signed(1, 2, 4), signed(1, 2, 5)), "")
    assert pairs_through_stations(shape) == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)}
