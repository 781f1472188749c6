"""Where numbers of a network meet: the neurons, to which fields send averages and from which they get answers.

An equivariant layer between fields consists of patterns (see `nfn_cli.nn.labelled.patterns`). Those of one neuron (with
the ones around it) that both sides have in common go through the neuron: what comes in is averaged over all other
coordinates, what goes out is copied along them. So each pattern is one *port* in and one *port* out, and all that meet
at a neuron share one matrix of blocks, instead of one product for each pair of fields. Entries meet at a neuron if the
same sign multiplies them there; each sign has stations of its own, and what no sign multiplies has one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.nn.labelled.field import LabelledField
from nfn_cli.nn.labelled.patterns import diagonals
from nfn_cli.nn.labelled_nfn.network_fields import NetworkShape

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Wires:
    """All that meets at the stations of one network of one sort.

    Attributes:
        units: how many stations.
        entries, at, ports: int64 [wires]: an entry of the network, the station, and the port, a place in `names`.
        shares: float32 [wires]: what an entry counts for in the average that comes in.
        names: of the ports: the field's kind, and which of its neurons is meant.
    """

    units: int
    entries: Tensor
    at: Tensor
    ports: Tensor
    shares: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Port:
    """One field at one kind of station.

    Attributes:
        entries, at: int64 [wires], within the field and within the block.
    """

    field: int
    name: str
    block: tuple[tuple[int, ...], bytes]
    units: int
    entries: Ints
    at: Ints


def wires_of(shape: NetworkShape) -> dict[str, Wires]:
    """The wires of all sorts of stations: `1 even` for neurons, `1 odd` for those that signs multiply, `2 even` for
    neurons that lie in others, and so on."""
    starts = np.cumsum([0, *(field.logs.size for field in shape.fields)])
    sorts: dict[str, list[_Port]] = {}
    for number, field in enumerate(shape.fields):
        for sort, port in _ports(number, field):
            sorts.setdefault(sort, []).append(port)
    return {sort: _wires(ports, starts) for sort, ports in sorts.items()}


def _wires(ports: list[_Port], starts: Ints) -> Wires:
    names = sorted({port.name for port in ports})
    places: dict[tuple[tuple[int, ...], bytes], int] = {}
    units = 0
    for port in ports:
        if port.block not in places:
            places[port.block] = units
            units += port.units
    sharing: dict[tuple[str, int], int] = {}
    for port in ports:
        key = (port.name, places[port.block])
        sharing[key] = sharing.get(key, 0) + 1
    shares = [
        np.full(len(port.entries), port.units / len(port.entries) / sharing[port.name, places[port.block]], np.float32)
        for port in ports
    ]
    return Wires(
        units,
        torch.from_numpy(np.concatenate([port.entries + starts[port.field] for port in ports])),
        torch.from_numpy(np.concatenate([port.at + places[port.block] for port in ports])),
        torch.from_numpy(np.concatenate([np.full(len(port.at), names.index(port.name)) for port in ports])),
        torch.from_numpy(np.concatenate(shares)),
        tuple(names),
    )


def _ports(number: int, field: LabelledField) -> Iterator[tuple[str, _Port]]:
    """All ports of a field, with the sort of their stations."""
    for own in neurons_of(field):
        is_odd = bool(own.signs.any())
        block = (field.coordinates[own.kept[-1]].path, own.signs.tobytes() if is_odd else b"")
        sort = f"{len(own.kept)} {'odd' if is_odd else 'even'}"
        units = own.signs.size
        yield sort, _Port(number, f"{field.kind} {own.name}", block, units, own.entries, own.at)


@dataclass(frozen=True, eq=False)
class OneNeuron:
    """What a field has to do with one of the neurons that its entries belong to.

    Attributes:
        name: of this part among those of the field.
        kept: the places of the neuron's coordinate and of those around it, the outermost first.
        entries, at: int64 [n], entries that count, and the neuron of each.
        signs: int64 [*sizes of these coordinates], what multiplies the average over the entries of a neuron.
    """

    name: str
    kept: tuple[int, ...]
    entries: Ints
    at: Ints
    signs: Ints


def neurons_of(field: LabelledField) -> Iterator[OneNeuron]:
    """Each neuron that entries of a field belong to; on each diagonal, where two coordinates are of one block.

    Without those over which an average would not be multiplied by one sign.
    """
    if not field.coordinates:
        return
    index = np.indices(field.sizes).reshape(len(field.sizes), -1)
    signs = field.signs.ravel()
    for pattern in diagonals(field):
        word = pattern.before
        equal = [index[place] == index[word.index(letter)] for place, letter in enumerate(word)]
        chosen = np.flatnonzero(np.logical_and.reduce(equal))
        for letter in dict.fromkeys(word):
            kept = _around(field, word, letter)
            sizes = tuple(field.sizes[place] for place in kept)
            at = np.ravel_multi_index(tuple(index[place][chosen] for place in kept), sizes)
            own = np.zeros(math.prod(sizes), np.int64)
            own[at] = signs[chosen]
            if bool((own[at] == signs[chosen]).all()):
                name = f"{''.join(map(str, word))}:{letter}"
                yield OneNeuron(name, tuple(kept), chosen, at, own.reshape(sizes))


def _around(field: LabelledField, word: tuple[int, ...], letter: int) -> list[int]:
    """The places of a letter's coordinate and of those around it, the outermost first."""
    place: int | None = word.index(letter)
    found: list[int] = []
    while place is not None:
        found.append(word.index(word[place]))
        place = field.coordinates[place].parent
    return found[::-1]
