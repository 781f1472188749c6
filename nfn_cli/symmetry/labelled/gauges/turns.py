"""Elements of gauges, and how they act on tensors.

A turn has one matrix for each space of its gauge. What makes a coordinate x gives Mx in its place, what reads x reads
it by M⁻ᵀ: as for scales, which are diagonal matrices. Before a rotation of a stream the gains of its norms go into the
weights that read them; behind it the norms get other gains, of which the same weights are rid again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import AbsorbedGain, Gauge, GaugeAction, LabelledArchitecture
from nfn_cli.symmetry.labelled.action import backward, forward
from nfn_cli.symmetry.labelled.gauges.lines import (
    Coordinates,
    Lines,
    UnclearError,
    coordinates_of,
    lines_of,
)

_CHUNK = 1 << 24  # numbers that are multiplied at once


@dataclass(frozen=True, eq=False)
class KnownGauge:
    """A gauge that nfn can act by.

    Attributes:
        number: its place among the architecture's.
        lines: by the place of a tensor; gains and biases of norms that are absorbed are not among them.
        vectors: those, by the place of the tensor.
    """

    architecture: LabelledArchitecture
    number: int
    gauge: Gauge
    action: GaugeAction
    coordinates: Coordinates
    lines: Mapping[int, tuple[Lines, ...]]
    vectors: Mapping[int, Lines]

    @property
    def n(self) -> int:
        """Coordinates of a space."""
        return self.coordinates.n

    @property
    def spaces(self) -> int:
        """How many spaces there are."""
        return self.coordinates.spaces

    @cached_property
    def gain_of(self) -> Mapping[int, int]:
        """By the place of a weight, the number of the gains that it takes in."""
        return {place: number for number, own in enumerate(self.action.gains) for place in own.weights}


@dataclass(frozen=True, eq=False)
class Turn:
    """An element of a gauge.

    Attributes:
        known: the gauge.
        matrices: float64 [spaces, n, n].
        gains: float64 [spaces · n] each, one for each of the action's gains: what stands there afterwards, as the
            function uses it. Ones by default.
    """

    known: KnownGauge
    matrices: Tensor
    gains: tuple[Tensor, ...] = field(default=())

    def gains_after(self) -> tuple[Tensor, ...]:
        """The gains behind the turn."""
        size = self.known.n * self.known.spaces
        return self.gains or tuple(torch.ones(size, dtype=torch.float64) for _ in self.known.action.gains)


def known_gauges(architecture: LabelledArchitecture) -> tuple[KnownGauge, ...]:
    """The gauges that nfn can act by, streams first: those of which the trace says how."""
    found = []
    for number, gauge in enumerate(architecture.gauges):
        if gauge.action is None:
            continue
        try:
            found.append(_known(architecture, number, gauge, gauge.action))
        except UnclearError:
            continue
    return tuple(sorted(found, key=lambda own: own.action.group not in ("orthogonal", "levelled")))


def _known(architecture: LabelledArchitecture, number: int, gauge: Gauge, action: GaugeAction) -> KnownGauge:
    coordinates = coordinates_of(architecture, action)
    lines = dict(lines_of(architecture, action, coordinates))
    vectors = {}
    for own in action.gains:
        for place in (own.gain, own.bias):
            if place is None:
                continue
            there = lines.pop(place, ())
            if len(there) != 1 or len(there[0].index) != coordinates.spaces:
                raise UnclearError("gains of other sizes")
            vectors[place] = there[0]
        if any(place not in lines for place in own.weights):
            raise UnclearError("a weight that takes in gains has no line")
    return KnownGauge(architecture, number, gauge, action, coordinates, lines, vectors)


def touched(turn: Turn) -> frozenset[int]:
    """Places of the tensors that a turn changes."""
    return frozenset(turn.known.lines) | frozenset(turn.known.vectors)


def read_gain(known: KnownGauge, own: AbsorbedGain, tensor: Tensor) -> Tensor:
    """The gains of a norm as the function uses them, float64 [spaces · n]."""
    lines = known.vectors[own.gain]
    return forward(_vector(lines, tensor), lines.use.stored)


def acted(turn: Turn, place: int, tensor: Tensor, gains: Sequence[Tensor]) -> Tensor:
    """A tensor after a turn, in its dtype; the tensor is not changed.

    Args:
        gains: of the action's norms as they were, as `read_gain` gives them.
    """
    known = turn.known
    after = turn.gains_after()
    if place in known.vectors:
        return _acted_vector(turn, place, tensor, gains, after)
    if place not in known.lines:
        return tensor
    new = tensor.detach().clone(memory_format=torch.contiguous_format)
    number = known.gain_of.get(place)
    matrices = turn.matrices.to(new.dtype)
    transposed = torch.linalg.inv(turn.matrices).mT
    inverse = (turn.matrices if known.action.group in ("orthogonal", "levelled") else transposed).to(new.dtype)
    for lines in known.lines[place]:
        before = None if number is None else gains[number].to(new.dtype).view(known.spaces, known.n, 1)
        behind = None if number is None else (1 / after[number]).to(new.dtype).view(known.spaces, known.n, 1)
        moved, flat = lines.flat(new)
        for row in range(len(lines.index)):
            space, odd = int(lines.space[row]), bool(lines.inverse[row])
            matrix = (inverse if odd else matrices)[space]
            index = _index(lines.index[row])
            wide = max(1, _CHUNK // known.n)
            for start in range(0, flat.shape[1], wide):
                part = flat[index, start : start + wide]
                if odd and before is not None and behind is not None:
                    part = (matrix @ (part * before[space])) * behind[space]
                else:
                    part = matrix @ part
                flat[index, start : start + wide] = part
        if flat.data_ptr() != moved.data_ptr():
            moved.copy_(flat.view(moved.shape))
    return new


def _index(positions: NDArray[np.int64]) -> Tensor | slice:
    """Positions one after the other need not be copied."""
    start = int(positions[0])
    if np.array_equal(positions, np.arange(start, start + len(positions))):
        return slice(start, start + len(positions))
    return torch.from_numpy(positions)


def _vector(lines: Lines, tensor: Tensor) -> Tensor:
    _, flat = lines.flat(tensor.detach().contiguous())
    found = torch.empty(lines.index.shape, dtype=torch.float64)
    found[torch.from_numpy(lines.space)] = flat.reshape(-1).double()[torch.from_numpy(lines.index)]
    return found.reshape(-1)


def _acted_vector(turn: Turn, place: int, tensor: Tensor, gains: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    known = turn.known
    lines = known.vectors[place]
    number = next(at for at, own in enumerate(known.action.gains) if place in (own.gain, own.bias))
    if place == known.action.gains[number].gain:
        values = backward(after[number], lines.use.stored)
    else:
        old = _vector(lines, tensor)
        # What a norm adds is read by the same weights: where its gain is 0, only 0 can be taken along.
        ratio = torch.where(old == 0, 0.0, old / gains[number])
        turned = turn.matrices @ ratio.view(known.spaces, known.n, 1)
        values = after[number] * turned.reshape(-1)
    new = tensor.detach().clone(memory_format=torch.contiguous_format)
    moved, flat = lines.flat(new)
    index = torch.from_numpy(lines.index)
    rows = values.view(known.spaces, known.n)[torch.from_numpy(lines.space)]
    flat[index.reshape(-1), 0] = rows.reshape(-1).to(new.dtype)
    if flat.data_ptr() != moved.data_ptr():
        moved.copy_(flat.view(moved.shape))
    return new


def identity_of(known: KnownGauge) -> Tensor:
    """Identity matrices, float64 [spaces, n, n]."""
    return torch.eye(known.n, dtype=torch.float64).expand(known.spaces, -1, -1).clone()


def pair_matrices(numbers: Tensor) -> Tensor:
    """Complex numbers as matrices on pairs, float64 [spaces, 2, 2]."""
    real, imaginary = numbers.real, numbers.imag
    return torch.stack([torch.stack([real, -imaginary], -1), torch.stack([imaginary, real], -1)], -2)
