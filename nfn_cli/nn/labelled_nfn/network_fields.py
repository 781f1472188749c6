"""What Monomial-NFN for any architecture reads of a network: its tensors at unit scale, as a few numbers an entry.

Fields of different networks have different features: kernels of other sizes, other numbers of classes. So the features
of an entry enter by their moments. Where signs multiply the entry, its mean is odd, and its sizes are even.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from nfn_cli.nn.labelled.field import Coordinate, LabelledField

NUMBERS = 8
"""Of an entry: the mean of its features, and logarithms of their root mean square, mean size and largest size. Where
signs multiply it, the odd field has the mean alone, and the even one the logarithm of the mean's size in its place.
Then the spread of each over the entries of a matrix that were averaged."""
MOMENTS = 4
FACTS, CLASSES = 4, 2  # how many there are, and the place of the logarithm of the number of classes
_SMALLEST = 1e-6


@dataclass(frozen=True, eq=False)
class NetworkShape:
    """The fields of an architecture, each of numbers of one tensor that behave alike.

    Entries of a matrix are averaged over the neurons of all axes but one, for each axis, and over all: what is left
    belongs to one neuron (and those around it), or to none.

    Attributes:
        fields: without pieces; those that signs multiply are odd, the others even.
        key: equal for architectures with equal fields.
    """

    fields: tuple[LabelledField, ...]
    key: str

    @property
    def entries(self) -> int:
        """Over all fields."""
        return sum(field.logs.size for field in self.fields)


@dataclass(frozen=True, eq=False)
class NetworkFields:
    """One network.

    Attributes:
        shape: its fields.
        values: of all entries, one field after the other, float32 [entries, 8]; zeros where a field has no such number.
        facts: float32 [4], logarithms of the numbers of matrices, of parameters and of classes, and 1 for BatchNorm.
        classes: how many it tells apart.
    """

    shape: NetworkShape
    values: Tensor
    facts: Tensor
    classes: int


@dataclass(frozen=True, eq=False)
class LabelledNetworks:
    """Networks of any architectures, as one batch; its members have what `NetworkStatistics` have.

    Attributes:
        networks: of the batch.
    """

    networks: tuple[NetworkFields, ...]
    what: ClassVar[str] = "fields of networks"

    def __len__(self) -> int:
        return len(self.networks)

    @property
    def runs(self) -> Tensor:
        """All are one sort: none is run, and of all it is known how they compute. bool [networks]."""
        return torch.ones(len(self), dtype=torch.bool)

    @property
    def classes(self) -> Tensor:
        """How many each tells apart, int64 [networks]."""
        return torch.tensor([own.classes for own in self.networks])

    def mapped(self, change: Callable[[Tensor], Tensor]) -> LabelledNetworks:
        """The same with every tensor changed."""
        return LabelledNetworks(
            tuple(replace(own, values=change(own.values), facts=change(own.facts)) for own in self.networks)
        )

    def select(self, positions: Sequence[int] | Tensor) -> LabelledNetworks:
        """The networks at these positions."""
        return LabelledNetworks(tuple(self.networks[position] for position in map(int, positions)))

    def to(self, device: str | torch.device) -> LabelledNetworks:
        """On a device."""
        return self.mapped(partial(Tensor.to, device=device))


def joined_networks(parts: Sequence[LabelledNetworks]) -> LabelledNetworks:
    """All networks of some batches, in their order."""
    return LabelledNetworks(tuple(own for part in parts for own in part.networks))


def logarithm(sizes: Tensor) -> Tensor:
    """Of sizes ≥ 0, which may be 0."""
    return (sizes + _SMALLEST).log()


def moments(entries: Tensor) -> Tensor:
    """The four numbers of entries float64 [*, features]; float64 [*, 4]."""
    sizes = entries.abs()
    even = [entries.square().mean(-1).sqrt(), sizes.mean(-1), sizes.amax(-1)]
    return torch.stack([entries.mean(-1), *map(logarithm, even)], -1)


def kind_of(name: str, coordinates: Sequence[Coordinate], features: int, sort: str) -> str:
    """What fields share that share parameters.

    Args:
        name: the last part of the tensor's.
        sort: `odd`, `size` (even, of what signs multiply) or `still`.

    >>> kind_of("weight", [Coordinate((0,), None), Coordinate((1,), None)], 9, "odd")
    'weight* a b odd'
    """
    letters: dict[tuple[int, ...], str] = {}
    words = []
    for own in coordinates:
        letter = letters.setdefault(own.path, chr(ord("a") + len(letters)))
        words.append(letter if own.parent is None else f"{letter}.{own.parent}")
    return " ".join([name + ("*" if features > 1 else ""), *words, sort])
