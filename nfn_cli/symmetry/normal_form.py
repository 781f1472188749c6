"""The normal form of a network: one point that stands for its whole orbit.

Going forward through the groups, each is brought to its normal scale, signs, phases and order before the next one is
looked at, so that every group sees the one before it as it will stay.

- Scale: `unit` gives every neuron's incoming weights and bias the norm 1; `balanced` is the orbit's least sum of
  squares (see `balance`).
- Sign (d = ±1): the incoming weight of largest magnitude is positive; without one, the bias.
- Phase (sine): ω₀ b lies in (−π/2, π/2], in (−π, π] where a sign may not change.
- Order: neurons ascend by their incoming weights and bias, entry by entry; equal ones by what reads them.

A neuron that nothing feeds puts out zero whatever its scale, so what reads it counts as zero in all of this; its own
scale and sign come last, from the weights that read it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from nfn_cli.architectures import Side, WeightSpace
from nfn_cli.symmetry.balance import balance
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.kinds import DiagonalKind, group_kind
from nfn_cli.symmetry.neurons import neuron_rows, unread_neurons
from nfn_cli.symmetry.order import lexicographic_order

Scale = Literal["unit", "balanced", "none"]

_LEADING = 4  # entries of a row that are compared before whole rows are fetched
# A scale this near to 1 is 1: what is normal already must come out bit for bit.
_SNAP = 1e-12
_TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 0.02, torch.float16: 2e-3}


@dataclass(frozen=True)
class NormalFormSettings:
    """Which parts of the group to use up."""

    scale: Scale = "unit"
    sign: bool = True
    permute: bool = True


@dataclass(frozen=True)
class NormalForm:
    """The element that brings a network to its normal form, and what is special about its neurons.

    Attributes:
        element: g, so that g·U is normal.
        dead: per group, places in the normal form of neurons that nothing feeds or nothing reads.
        duplicates: per group, sets of places in the normal form whose neurons read the same; their order is settled by
            what reads them, where that differs.
        residual: of the balanced scale, the largest |incoming norm / outgoing norm − 1|; 0 for other scales.
    """

    element: GroupElement
    dead: tuple[Tensor, ...]
    duplicates: tuple[tuple[Tensor, ...], ...]
    residual: float = 0.0


def normal_form(
    point: WeightSpace, settings: NormalFormSettings | None = None, *, precision: torch.dtype | None = None
) -> NormalForm:
    """Find the normal form of one network.

    Args:
        point: without batch axes; computation is float64 whatever its dtype.
        precision: the dtype that the weights were stored in, which decides what counts as equal.
    """
    builder = _Builder(point, settings or NormalFormSettings(), precision)
    for group in range(len(point.architecture.groups)):
        builder.settle(group)
    builder.settle_silent()
    return builder.result()


@dataclass
class _Builder:
    point: WeightSpace
    settings: NormalFormSettings
    precision: torch.dtype | None
    element: GroupElement = field(init=False)
    silent: list[Tensor] = field(init=False, default_factory=list)
    duplicates: list[list[Tensor]] = field(init=False, default_factory=list)
    scales: list[Tensor] | None = field(init=False, default=None)
    residual: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        architecture = self.point.architecture
        self.element = GroupElement.identity([group.size for group in architecture.groups])
        first = self.point.tensors[architecture.tensors[0].name].dtype
        self.tolerance = _TOLERANCE.get(self.precision or first, 2e-6)
        kinds = {self._kind(group) for group in range(len(architecture.groups))}
        if self.settings.scale == "balanced" and kinds & {DiagonalKind.POSITIVE, DiagonalKind.NONZERO}:
            self.scales, self.residual = balance(self.point)

    def settle(self, group: int) -> None:
        """Bring one group to its normal form; those before it are."""
        kind, size = self._kind(group), self.point.architecture.groups[group].size
        fed, signs = torch.zeros(size, dtype=torch.float64), torch.ones(size, dtype=torch.float64)
        biases = torch.zeros(size, dtype=torch.float64)
        signed = self.settings.sign and kind in (DiagonalKind.SIGN, DiagonalKind.NONZERO)
        # Of entries of one size the first decides the sign, so only there their order matters.
        for neurons, weights, bias in self._rows(group, ordered=signed):
            fed[neurons] = torch.linalg.vector_norm(weights, dim=1)
            if signed:
                signs[neurons] = _sign_of_largest(weights, bias)
            if bias is not None:
                biases[neurons] = bias
        norms = torch.hypot(fed, biases)
        diagonal = torch.ones_like(norms)
        if kind in (DiagonalKind.POSITIVE, DiagonalKind.NONZERO):
            diagonal = self._scale(group, norms)
        if signed:
            diagonal = diagonal * signs
        turns = torch.zeros(size, dtype=torch.int64)
        if self.settings.sign and self._has_phase(group):
            turns = self._phase(kind, diagonal * biases)
            if signed:
                # A neuron without weights has its sign from its bias, once that is in its interval.
                flipped = (fed == 0) & (self._added(diagonal, biases, turns) < 0)
                diagonal, turns = (torch.where(flipped, -part, part) for part in (diagonal, turns))
        self._set(group, torch.arange(size), diagonal, turns)
        # Of sin(ω₀ b) = 0, every half-turn is a solution; the normal phase leaves b = 0 but for rounding.
        zero = 1e-9 / self.point.architecture.omega_0 if self._has_phase(group) else 0.0
        silent = (fed == 0) & (self._added(diagonal, biases, turns).abs() <= zero)
        self.silent.append(silent & (kind is not DiagonalKind.TRIVIAL))
        self.duplicates.append([])
        if self.settings.permute:
            self._sort(group)

    def settle_silent(self) -> None:
        """Give the neurons that nothing feeds the scale and sign that make the weights that read them normal.

        Backwards: a silent neuron may be read by another one, whose scale must be known.
        """
        for group in reversed(range(len(self.silent))):
            kind, silent = self._kind(group), self.silent[group]
            neurons = silent.nonzero()[:, 0]
            if not len(neurons) or kind is DiagonalKind.TRIVIAL:
                continue
            permutation, diagonal = self.element.permutations[group], self.element.diagonals[group].clone()
            turns, place = self.element.turns[group].clone(), permutation.argsort()
            for some, weights, _ in neuron_rows(self.point, group, Side.IN, self.element, neurons=neurons):
                norms = torch.linalg.vector_norm(weights, dim=1)
                chosen = torch.ones_like(norms)
                if self.settings.scale != "none" and kind in (DiagonalKind.POSITIVE, DiagonalKind.NONZERO):
                    chosen = _snapped(torch.where(norms > 0, norms, 1.0))
                if self.settings.sign and kind in (DiagonalKind.SIGN, DiagonalKind.NONZERO):
                    chosen = chosen * _sign_of_largest(weights, None)
                if self.settings.sign and self._has_phase(group):
                    # sin(ω₀ b) = 0: as many half-turns back as b has, each of which flips the sign.
                    half = torch.cat([bias for _, _, bias in self._rows(group, some) if bias is not None])
                    half = torch.round(half * self.point.architecture.omega_0 / math.pi).long()
                    chosen = chosen * (1 - 2 * (half % 2))
                    turns[place[some]] = -chosen.long() * half
                diagonal[place[some]] = chosen
            self._set(group, permutation, diagonal, turns)

    def result(self) -> NormalForm:
        """What was found."""
        dead = []
        for group, silent in enumerate(self.silent):
            unread = unread_neurons(self.point, group)
            dead.append((silent | unread)[self.element.permutations[group]].nonzero()[:, 0])
        return NormalForm(self.element, tuple(dead), tuple(map(tuple, self.duplicates)), self.residual)

    def _kind(self, group: int) -> DiagonalKind:
        return group_kind(self.point.architecture, group)

    def _has_phase(self, group: int) -> bool:
        architecture = self.point.architecture
        return architecture.groups[group].activation == "sin" and any(
            role.bias and role.group == group for spec in architecture.tensors for role in spec.roles
        )

    def _rows(
        self, group: int, neurons: Tensor | None = None, *, ordered: bool = True, positions: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        return neuron_rows(
            self.point, group, Side.OUT, self.element, self.silent, neurons, ordered=ordered, positions=positions
        )

    def _set(self, group: int, permutation: Tensor, diagonal: Tensor, turns: Tensor) -> None:
        self.element = self.element.replace(group, permutation, diagonal, turns)

    def _scale(self, group: int, norms: Tensor) -> Tensor:
        if self.settings.scale == "none":
            return torch.ones_like(norms)
        if self.scales is not None:
            return self.scales[group]
        return _snapped(torch.where(norms > 0, 1 / torch.where(norms > 0, norms, 1.0), 1.0))

    def _added(self, diagonal: Tensor, biases: Tensor, turns: Tensor) -> Tensor:
        """The biases under a diagonal and half-turns."""
        return diagonal * biases + turns.double() * (math.pi / self.point.architecture.omega_0)

    def _phase(self, kind: DiagonalKind, biases: Tensor) -> Tensor:
        """The half-turns that bring ω₀ b into (−π/2, π/2]; whole turns into (−π, π] where no sign may change."""
        step = 1 if kind is DiagonalKind.SIGN else 2
        return step * torch.floor(0.5 - self.point.architecture.omega_0 * biases / (step * math.pi)).long()

    def _sort(self, group: int) -> None:
        """Permute a group whose diagonal and turns are settled."""
        diagonal, turns = self.element.diagonals[group], self.element.turns[group]

        def normal_rows(neurons: Tensor, entries: int | None = None) -> Tensor:
            found = []
            for some, weights, bias in self._rows(group, neurons, positions=entries):
                columns = [weights * diagonal[some, None]]
                if bias is not None:  # None, too, where the file has none: a phase then has nowhere to go
                    columns.append(self._added(diagonal[some], bias, turns[some])[:, None])
                found.append(torch.cat(columns, dim=1)[:, :entries])
            return torch.cat(found)

        order, tied = lexicographic_order(normal_rows(torch.arange(len(diagonal)), _LEADING), self.tolerance)
        for places in tied:
            neurons = order[places]
            within, same = lexicographic_order(normal_rows(neurons), self.tolerance)
            neurons = neurons[within]
            for equal in same:
                neurons[equal] = neurons[equal][self._order_of_duplicates(group, neurons[equal])]
                self.duplicates[group].append(places[equal])
            order[places] = neurons
        self._set(group, order, diagonal[order], turns[order])

    def _order_of_duplicates(self, group: int, neurons: Tensor) -> Tensor:
        """Neurons that read the same, by the sizes of what reads them.

        The next group is not settled, so only what it cannot change is compared: the sizes of a neuron's weights beside
        those of the others in the set, in descending order.
        """
        columns = torch.cat(
            [weights for _, weights, _ in neuron_rows(self.point, group, Side.IN, self.element, neurons=neurons)]
        )
        columns = columns * (1 / self.element.diagonals[group][neurons])[:, None]
        sizes = columns.abs()
        sizes = sizes / sizes.amax(0).clamp_min(torch.finfo(torch.float64).tiny)
        return lexicographic_order(sizes.sort(dim=1, descending=True).values, self.tolerance)[0]


def _sign_of_largest(weights: Tensor, bias: Tensor | None) -> Tensor:
    """The sign [n] of each row's entry of largest magnitude; of the bias where all are zero; 1 where that is, too.

    Of entries that are equal but for rounding the first counts.
    """
    sizes = weights.abs()
    largest = sizes.amax(1, keepdim=True)
    first = (sizes >= largest * (1 - 1e-6)).int().argmax(1)
    signs = weights.gather(1, first[:, None])[:, 0].sign()
    if bias is not None:
        signs = torch.where(largest[:, 0] > 0, signs, bias.sign())
    return torch.where(signs == 0, 1.0, signs)


def _snapped(diagonal: Tensor) -> Tensor:
    return torch.where((diagonal - 1).abs() <= _SNAP, 1.0, diagonal)
