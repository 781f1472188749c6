"""Networks sorted into orbits, one at a time: signatures find candidates, alignment decides.

Nothing but signatures, digests and a few networks is kept, so that a folder may hold any number. Each network is
compared with the first of the nearest few orbits alone: the work grows with the number of networks, not of pairs.
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from nfn_cli.checkpoints import TensorMap
from nfn_cli.errors import ArchitectureError
from nfn_cli.symmetry.kinship.contents import content_digest
from nfn_cli.symmetry.kinship.same_orbit import on_one_orbit
from nfn_cli.symmetry.kinship.signature import Signature, signature_of

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

_ROUNDING = 64  # how far apart two signatures of one orbit may be, in units of the coarser dtype's eps
_TRIES = 8  # orbits that a network is compared with, the nearest first
_WINDOW = 4_096  # signatures that are looked at, the nearest in the first value
_KEPT, _MOST_BYTES = 64, 1 << 28  # networks that stay in memory to be compared with
_GROWTH = 256


class Likeness(str, Enum):
    """What a network is to the first of its orbit.

    first: it is that one. copy: the numbers of another network of the orbit, bit for bit. disguised: the same function,
    other numbers. rounded: the same but for a lower precision of one of them.
    """

    first = "first"
    copy = "copy"
    disguised = "disguised"
    rounded = "rounded"


@dataclass(frozen=True)
class Placed:
    """Where a network belongs.

    Attributes:
        orbit: a number, from 0 in the order in which orbits came.
        of: the place among all networks of the one that it was found to be like; its own for the first of an orbit.
        eps: of the coarsest dtype that its numbers are stored in.
    """

    orbit: int
    likeness: Likeness
    of: int
    signature: Signature
    eps: float


class Orbits:
    """Takes networks and says where each belongs.

    Args:
        reopen: reads a network that was taken before, by its place, to compare others with it.
    """

    def __init__(self, reopen: Callable[[int], AnySource]) -> None:
        self.placed: list[Placed] = []
        self.firsts: list[int] = []  # by orbit
        self._digests: dict[tuple[str, str], int] = {}
        self._known: dict[str, _Known] = {}
        self._memory = Memory(reopen)

    def add(self, source: AnySource) -> Placed:
        """Place the next network.

        Raises:
            CheckpointError, UsageError: it cannot be read or compared; then it is not placed.
        """
        signature, digest = signature_of(source), content_digest(source)
        place = len(self.placed)
        same = self._digests.get((signature.architecture, digest))
        if same is not None:
            found = Placed(self.placed[same].orbit, Likeness.copy, same, signature, self.placed[same].eps)
            self.placed.append(found)
            return found
        known = self._known.setdefault(signature.architecture, _Known(len(signature.values)))
        eps = torch.finfo(source.precision).eps
        for orbit in known.near(signature, eps)[:_TRIES]:
            first = self._memory.get(self.firsts[orbit])
            if _on_one_orbit(first, source):
                likeness = Likeness.disguised if first.precision == source.precision else Likeness.rounded
                found = Placed(orbit, likeness, self.firsts[orbit], signature, eps)
                break
        else:
            found = Placed(len(self.firsts), Likeness.first, place, signature, eps)
            self.firsts.append(place)
            self._memory.put(place, source)
        self._digests[signature.architecture, digest] = place
        self.placed.append(found)
        known.add(signature, found.orbit, eps)
        return found


def _on_one_orbit(first: AnySource, source: AnySource) -> bool:
    try:
        return on_one_orbit(first, source)
    except ArchitectureError:  # it cannot be said that they are
        return False


class _Known:
    """Signatures of one architecture, sorted by their first value."""

    def __init__(self, length: int) -> None:
        self._order: list[tuple[float, int]] = []
        self._values: NDArray[np.float64] = np.empty((_GROWTH, length))
        self._orbits: list[int] = []
        self._eps: NDArray[np.float64] = np.empty(_GROWTH)
        self._coarsest = 0.0

    def add(self, signature: Signature, orbit: int, eps: float) -> None:
        place = len(self._orbits)
        if place == len(self._values):
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
            self._eps = np.concatenate([self._eps, np.empty_like(self._eps)])
        self._values[place], self._eps[place] = signature.values, eps
        self._orbits.append(orbit)
        self._coarsest = max(self._coarsest, eps)
        bisect.insort(self._order, (signature.values[0] if signature.values else 0.0, place))

    def near(self, signature: Signature, eps: float) -> list[int]:
        """The orbits with a signature that may be the same, the nearest first."""
        if not self._orbits:
            return []
        widest = _ROUNDING * max(eps, self._coarsest)
        own = np.array(signature.values)
        centre = float(own[0]) if len(own) else 0.0
        middle = bisect.bisect_left(self._order, (centre, -1))
        low = max(bisect.bisect_left(self._order, (centre - widest, -1)), middle - _WINDOW)
        high = min(bisect.bisect_right(self._order, (centre + widest, len(self._orbits))), middle + _WINDOW)
        places = np.array([place for _, place in self._order[low:high]], dtype=np.int64)
        if not len(places):
            return []
        distances = np.abs(self._values[places] - own).max(1, initial=0.0)
        close = distances <= _ROUNDING * np.maximum(eps, self._eps[places])
        order = np.argsort(distances[close], kind="stable")
        return list(dict.fromkeys(self._orbits[place] for place in places[close][order].tolist()))


class Memory:
    """A few networks in memory: those that were used last."""

    def __init__(self, reopen: Callable[[int], AnySource]) -> None:
        self._reopen = reopen
        self._held: OrderedDict[int, tuple[AnySource, int]] = OrderedDict()
        self._bytes = 0

    def get(self, place: int) -> AnySource:
        """A network, read again where it is no longer held.

        Raises:
            CheckpointError, ArchitectureError, UsageError: it can no longer be read.
        """
        if place not in self._held:
            self.put(place, self._reopen(place))
        self._held.move_to_end(place)
        return self._held[place][0]

    def put(self, place: int, source: AnySource) -> None:
        """Hold a network, and let others go."""
        size = _bytes(source)
        self._held[place] = source, size
        self._bytes += size
        while len(self._held) > 1 and (len(self._held) > _KEPT or self._bytes > _MOST_BYTES):
            _, (_, gone) = self._held.popitem(last=False)
            self._bytes -= gone


def _bytes(source: AnySource) -> int:
    """What it keeps in memory: of chains all numbers, twice; most others are read as they are needed."""
    if isinstance(source.checkpoint.tensors, TensorMap):
        return 0
    return 2 * sum(tensor.numel() * tensor.element_size() for tensor in source.checkpoint.tensors.values())
