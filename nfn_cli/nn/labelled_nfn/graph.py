"""Networks of any architectures as one batch of entries and wires, so that no layer loops over networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nfn_cli.nn.labelled_nfn.network_fields import NetworkFields, NetworkShape
from nfn_cli.nn.labelled_nfn.stations import Wires, wires_of


@dataclass(frozen=True)
class Vocabulary:
    """What a member has parameters for, by the networks that it was fitted to.

    Attributes:
        kinds: of fields.
        ports: of each sort of stations, see `Wires`.
    """

    kinds: tuple[str, ...]
    ports: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, shapes: Sequence[NetworkShape]) -> Vocabulary:
        """All that occurs in some architectures."""
        kinds = {field.kind for shape in shapes for field in shape.fields}
        ports: dict[str, set[str]] = {}
        for shape in {own.key: own for own in shapes}.values():
            for sort, wires in known_wires(shape).items():
                ports.setdefault(sort, set()).update(wires.names)
        ordered = sorted(kinds)
        return cls(tuple(ordered), {sort: tuple(sorted(own)) for sort, own in sorted(ports.items())})

    @classmethod
    def from_lines(cls, lines: Sequence[str]) -> Vocabulary:
        """Inverse of `lines`; ValueError for anything else."""
        kinds, ports = [], dict[str, list[str]]()
        for line in lines:
            name, _, sort = line.partition(" | ")
            if sort:
                ports.setdefault(sort, []).append(name)
            else:
                kinds.append(name)
        return cls(tuple(kinds), {sort: tuple(own) for sort, own in ports.items()})

    @property
    def lines(self) -> tuple[str, ...]:
        """As plain text, for a head's configuration."""
        return (*self.kinds, *(f"{name} | {sort}" for sort, own in self.ports.items() for name in own))

    def unknown(self, shape: NetworkShape) -> list[str]:
        """The kinds of fields of an architecture that it has not."""
        return sorted({field.kind for field in shape.fields} - set(self.kinds))


@dataclass(frozen=True, eq=False)
class Meeting:
    """Wires of one sort of stations of a batch.

    Attributes:
        units, ports: how many stations, and ports of each.
        entries, slots: int64 [wires]; a slot is station times ports plus port.
        shares: see `Wires`.
    """

    units: int
    ports: int
    entries: Tensor
    slots: Tensor
    shares: Tensor


@dataclass(frozen=True, eq=False)
class Graph:
    """A batch of networks.

    Attributes:
        values: of all entries, those of one kind together, float32 [entries, 8].
        counts: entries of each kind.
        networks: how many there are.
        network: of each entry. field: of each entry, numbered kind by kind.
        network_of_field, kind_of_field, sizes: int64 [fields]; sizes are entries.
        meetings: by the sort of stations.
        even, odd: entries of even fields whose odd ones are there too, and the odd ones, int64 [pairs] each.
        present: 1 for each kind of which a network has fields, else 0, float32 [networks, kinds].
        facts: float32 [networks, facts].
    """

    values: Tensor
    counts: tuple[int, ...]
    networks: int
    network: Tensor
    field: Tensor
    network_of_field: Tensor
    kind_of_field: Tensor
    sizes: Tensor
    meetings: Mapping[str, Meeting]
    even: Tensor
    odd: Tensor
    present: Tensor
    facts: Tensor

    @property
    def places(self) -> Tensor:
        """Of each field, its network times the number of kinds, plus its kind."""
        return self.network_of_field * len(self.counts) + self.kind_of_field


@dataclass(frozen=True, eq=False)
class _Indices:
    """What one architecture gives, without the networks before it."""

    kind: Tensor
    field: Tensor
    kind_of_field: Tensor
    meetings: Mapping[str, Meeting]
    even: Tensor
    odd: Tensor


@lru_cache(maxsize=256)
def known_wires(shape: NetworkShape) -> dict[str, Wires]:
    """`wires_of`, found once."""
    return wires_of(shape)


class Batcher:
    """Makes batches for one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known: dict[str, _Indices] = {}

    def __call__(self, networks: Sequence[NetworkFields]) -> Graph:
        """A batch; fields and ports that the vocabulary has not are left out."""
        parts = [self._indices(own.shape) for own in networks]
        device = networks[0].values.device
        starts = np.cumsum([0, *(len(part.kind) for part in parts)]).tolist()
        firsts = np.cumsum([0, *(len(part.kind_of_field) for part in parts)]).tolist()
        kind = torch.cat([part.kind for part in parts])
        known = int((kind >= 0).sum())
        order = kind.argsort(stable=True)[len(kind) - known :]  # unknown kinds are -1
        place = torch.empty_like(order, dtype=torch.int64).new_full((len(kind),), -1)
        place[order] = torch.arange(known)
        network = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(part.kind) for part in parts]))
        meetings = {}
        for sort, names in self._vocabulary.ports.items():
            units, rows = 0, []
            for part, start in zip(parts, starts, strict=False):
                own = part.meetings.get(sort)
                if own is not None:
                    rows.append((place[own.entries + start], own.slots + units * len(names), own.shares))
                    units += own.units
            columns = [torch.cat(column) for column in zip(*rows, strict=True)] if rows else [torch.zeros(0).long()] * 3
            meetings[sort] = Meeting(units, len(names), *(column.to(device) for column in columns))
        pairs = [
            torch.cat([place[getattr(part, side) + start] for part, start in zip(parts, starts, strict=False)])
            for side in ("even", "odd")
        ]
        field = torch.cat([part.field + first for part, first in zip(parts, firsts, strict=False)])[order]
        of_network = torch.repeat_interleave(
            torch.arange(len(parts)), torch.tensor([len(part.kind_of_field) for part in parts])
        )
        of_kind = torch.cat([part.kind_of_field for part in parts])
        fields = of_kind.argsort(stable=True)[int((of_kind < 0).sum()) :]
        number = torch.full((len(of_kind),), -1)
        number[fields] = torch.arange(len(fields))
        kinds = len(self._vocabulary.kinds)
        present = torch.zeros(len(parts), kinds)
        present[of_network[fields], of_kind[fields]] = 1.0
        return Graph(
            values=torch.cat([own.values for own in networks])[order.to(device)],
            counts=tuple(torch.bincount(kind[order], minlength=kinds).tolist()),
            networks=len(parts),
            network=network[order].to(device),
            field=number[field].to(device),
            network_of_field=of_network[fields].to(device),
            kind_of_field=of_kind[fields].to(device),
            sizes=torch.bincount(number[field], minlength=len(fields)).to(device),
            meetings=meetings,
            even=pairs[0].to(device),
            odd=pairs[1].to(device),
            present=present.to(device),
            facts=torch.stack([own.facts for own in networks]),
        )

    def _indices(self, shape: NetworkShape) -> _Indices:
        if shape.key not in self._known:
            self._known[shape.key] = self._found(shape)
        return self._known[shape.key]

    def _found(self, shape: NetworkShape) -> _Indices:
        numbers = {kind: number for number, kind in enumerate(self._vocabulary.kinds)}
        kinds = torch.tensor([numbers.get(field.kind, -1) for field in shape.fields])
        sizes = torch.tensor([field.logs.size for field in shape.fields])
        kind = torch.repeat_interleave(kinds, sizes)
        starts = np.cumsum([0, *sizes.tolist()]).tolist()
        even, odd = [], []
        for place, field in enumerate(shape.fields):
            if field.is_signed and kinds[place] >= 0 and kinds[place + 1] >= 0:  # the even numbers follow the odd ones
                odd.append(torch.arange(starts[place], starts[place + 1]))
                even.append(torch.arange(starts[place + 1], starts[place + 2]))
        meetings = {}
        for sort, wires in known_wires(shape).items():
            known = {name: number for number, name in enumerate(self._vocabulary.ports.get(sort, ()))}
            ports = torch.tensor([known.get(name, -1) for name in wires.names])[wires.ports]
            kept = (ports >= 0) & (kind[wires.entries] >= 0)
            slots = wires.at[kept] * len(known) + ports[kept]
            meetings[sort] = Meeting(wires.units, len(known), wires.entries[kept], slots, wires.shares[kept])
        nothing = [torch.zeros(0, dtype=torch.int64)]
        return _Indices(
            kind,
            torch.repeat_interleave(torch.arange(len(sizes)), sizes),
            kinds,
            meetings,
            torch.cat(even or nothing),
            torch.cat(odd or nothing),
        )
