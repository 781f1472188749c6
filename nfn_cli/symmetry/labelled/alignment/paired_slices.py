"""Corresponding numbers of both networks, in B's order and, as far as they are known, in B's scales."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import LabelledTensor
from nfn_cli.symmetry.labelled.action import forward, present
from nfn_cli.symmetry.labelled.alignment.known_scales import Knowledge, Part
from nfn_cli.symmetry.labelled.alignment.views import Flags, Ints, View

_HELD = 1 << 28  # bytes of tensors that are kept in memory


class Kept:
    """A network's tensors; those read last are kept."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors, self._held, self._bytes = tensors, OrderedDict[str, Tensor](), 0

    def flat(self, tensor: LabelledTensor) -> Tensor:
        """The numbers of a tensor [numbers] as they are stored.

        Raises:
            ValueError: it is not there, or has another shape.
        """
        name = present(tensor, self._tensors)[0]
        if name in self._held:
            self._held.move_to_end(name)
            return self._held[name]
        whole = self._tensors[name]
        if tuple(whole.shape) != tensor.shape:
            raise ValueError(f"tensor {name!r}: a shape of {tuple(whole.shape)}, not {tensor.shape}")
        flat = whole.detach().contiguous().reshape(-1)
        self._held[name] = flat
        self._bytes += flat.nbytes
        while self._bytes > _HELD and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].nbytes
        return flat


class Slices:
    """Corresponding entries of A and B.

    Attributes:
        goes: int32 [labels]: where A's labels go.
    """

    def __init__(
        self, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], views: Sequence[View], dtype: torch.dtype
    ) -> None:
        self.ours, self.theirs = Kept(ours), Kept(theirs)
        self.views, self.dtype = views, dtype
        self._offsets: dict[int, list[Ints]] = {}
        self.goes: NDArray[np.int32] = np.zeros(0, dtype=np.int32)

    def follow(self, goes: NDArray[np.int32]) -> None:
        """Change where A's labels go."""
        self.goes = goes
        self._offsets.clear()

    def pair(self, number: int, places: Sequence[Ints | None], parts: Sequence[Part]) -> tuple[Tensor, Tensor]:
        """A's and B's numbers at some positions of a view, one axis a dimension, as the function uses them.

        Args:
            places: along each dimension, which positions; None for all.
            parts: what multiplies them, as `Knowledge.parts`.
        """
        view = self.views[number]
        moved = self._offsets.get(number)
        if moved is None:
            moved = self._offsets[number] = view.offsets(self.goes)
        at_home = [own.offsets for own in view.dimensions]
        ours = self._taken(self.ours.flat(view.tensor), view, moved, places)
        theirs = self._taken(self.theirs.flat(view.tensor), view, at_home, places)
        for factor in factors(parts, places):
            ours = ours * factor.to(self.dtype)
        return ours, theirs

    def _taken(self, flat: Tensor, view: View, offsets: Sequence[Ints], places: Sequence[Ints | None]) -> Tensor:
        chosen = [own if some is None else own[some] for own, some in zip(offsets, places, strict=True)]
        if not chosen:
            return forward(flat[view.use.offset].to(self.dtype).reshape(()), view.use.stored)
        if (picked_out := _rows_and_columns(flat, view, chosen)) is not None:
            return forward(picked_out.to(self.dtype), view.use.stored)
        total = torch.full((1,) * len(chosen), view.use.offset, dtype=torch.int64)
        for dimension, own in enumerate(chosen):
            shape = [-1 if other == dimension else 1 for other in range(len(chosen))]
            total = total + torch.from_numpy(own).reshape(shape)
        return forward(flat[total].to(self.dtype), view.use.stored)


def _rows_and_columns(flat: Tensor, view: View, chosen: Sequence[Ints]) -> Tensor | None:
    """Entries of a matrix that are some rows of some columns: taken so, no place of an entry is computed."""
    shape = view.tensor.shape
    if len(chosen) != 2 or len(shape) != 2 or view.use.offset or min(map(len, chosen)) < 2:
        return None
    width = shape[1]
    for turned in (False, True):
        one, other = chosen[turned], chosen[not turned]
        if not (one % width).any() and int(other.max()) < width:
            rows = flat.view(shape).index_select(0, torch.from_numpy(one // width))
            if len(other) != width or not np.array_equal(other, np.arange(width)):
                rows = rows.index_select(1, torch.from_numpy(other))
            return rows.T if turned else rows
    return None


def factors(parts: Sequence[Part], places: Sequence[Ints | None]) -> list[Tensor]:
    """What multiplies A's entries at some positions, float64, as far as it is known and not 1."""
    found = []
    for part in parts:
        logs, signs = (picked(own, part.along, places) for own in (part.logs, part.signs))
        if logs.any() or signs.any():
            factor = torch.from_numpy(np.where(signs, -1.0, 1.0) * np.exp2(logs))
            found.append(factor.reshape(factor.shape or (1,) * len(places)))
    return found


def picked(values: NDArray, along: frozenset[int], places: Sequence[Ints | None]) -> NDArray:  # type: ignore[type-arg]
    """Values at some positions of a view, of those that vary along some of its dimensions."""
    for dimension in along:
        own = places[dimension]
        if own is not None:
            values = np.take(values, own, axis=dimension)
    return values


def others(view: View, dimension: int | None, parts: Sequence[Part], settled: Flags) -> list[Ints] | None:
    """Positions along all dimensions but one whose entries can be compared: where labels are settled and, but for what
    varies along that one alone, scales are known.

    Args:
        settled: bool [labels + 1], the last for NONE.

    Returns:
        One a dimension, empty for `dimension`; None where there are none.
    """
    masks = [
        np.ones(len(own), dtype=np.bool_) if own.labels is None else settled[own.labels] for own in view.dimensions
    ]
    for part in parts:
        beside = part.along - {dimension}
        if not beside:
            continue
        unknown = part.unknown
        if not unknown.any():
            continue
        if len(part.along) > 1:
            return None
        (own,) = part.along
        masks[own] &= ~unknown.reshape(-1)
    found = []
    for place, mask in enumerate(masks):
        if place == dimension:
            found.append(np.zeros(0, dtype=np.int64))
            continue
        some = np.flatnonzero(mask)
        if not len(some):
            return None
        found.append(some)
    return found


def thinned(places: list[Ints], most: int) -> list[Ints]:
    """Some of these positions, evenly spread, so that their product is no more than `most`, or about."""
    places = list(places)
    sizes = [max(len(own), 1) for own in places]
    for place in sorted(range(len(places)), key=lambda own: -sizes[own]):
        total = math.prod(sizes)
        if total <= most:
            break
        wanted = max(1, min(sizes[place], sizes[place] * most // total))
        places[place] = places[place][np.linspace(0, sizes[place] - 1, wanted).astype(np.int64)]
        sizes[place] = wanted
    return places


def marks(parts: Sequence[Part], dimension: int | None) -> tuple[NDArray[np.float64], Ints]:
    """What is unknown along one dimension alone: numbers for logarithms and signs, [positions] or [1]."""
    logs: NDArray[np.float64] = np.zeros(1)
    signs: Ints = np.zeros(1, dtype=np.int64)
    for part in parts:
        if not part.along - {dimension}:
            logs = logs + part.log_marks.reshape(-1)
            signs = signs ^ part.sign_marks.reshape(-1)
    return np.round(logs, 9) + 0.0, signs


__all__ = ["Kept", "Knowledge", "Slices", "factors", "marks", "others", "picked", "thinned"]
