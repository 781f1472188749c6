"""The normal form of a network: one point that stands for its whole orbit.

Going forward through the groups, each is brought to its normal scale, signs, phases and order before the next one is
looked at, so that every group sees the one before it as it will stay.

- Scale: `unit` gives every neuron's incoming weights and bias the norm 1; `balanced` is the orbit's least sum of
  squares (see `balance`).
- Sign (d = ±1): the incoming weight of largest magnitude is positive; without one, the bias.
- Phase (sine): ω₀ b lies in (−π/2, π/2], in (−π, π] where a sign may not change.
- Order: neurons ascend by their incoming weights and bias, entry by entry; equal ones by what reads them.

A neuron that nothing feeds puts out zero whatever its scale, so what reads it counts as zero in all of this; its own
scale, sign and order come last, from the weights that read it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from nfn_cli.architectures import AxisRole, NetworkWeights, Side
from nfn_cli.symmetry.balance import balance
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.kinds import DiagonalKind, group_kind
from nfn_cli.symmetry.neurons import CHUNK, has_index, neuron_rows, unread_neurons
from nfn_cli.symmetry.order import lexicographic_order
from nfn_cli.threads import by_weights

Scale = Literal["unit", "balanced", "none"]

_LEADING = 4  # entries of a row that are compared before whole rows are fetched
# A scale this near to 1 is 1: what is normal already must come out bit for bit.
_SNAP = 1e-12
_MOST_TURNS = 2.0**31  # of phases beyond this, rounding leaves too little to be worth a shift
_SQUARABLE = 1e-140, 1e150  # norms between these have lost nothing to squares that are no numbers of float64
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


@by_weights
def normal_form(
    point: NetworkWeights, settings: NormalFormSettings | None = None, *, precision: torch.dtype | None = None
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
    point: NetworkWeights
    settings: NormalFormSettings
    precision: torch.dtype | None
    element: GroupElement = field(init=False)
    silent: list[Tensor | None] = field(init=False, default_factory=list)
    duplicates: list[list[Tensor]] = field(init=False, default_factory=list)
    scales: list[Tensor] | None = field(init=False, default=None)
    residual: float = field(init=False, default=0.0)
    whole: tuple[Tensor, Tensor | None] | None = field(init=False, default=None)  # rows of a small group, while settled

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
        kind = self._kind(group)
        phased = self.settings.sign and self._has_phase(group)
        signed = self.settings.sign and kind in (DiagonalKind.SIGN, DiagonalKind.NONZERO)
        fed, biases, signs = self._measured(group, signed=signed)
        diagonal = torch.ones_like(fed)
        if kind in (DiagonalKind.POSITIVE, DiagonalKind.NONZERO):
            diagonal = self._scale(group, torch.hypot(fed, biases))
        if signed:
            diagonal = diagonal * signs
        turns = self.element.turns[group]  # none so far
        if phased:
            turns = self._phase(group, kind, diagonal * biases)
            if signed:
                # A neuron without weights has its sign from its bias, once that is in its interval.
                flipped = (fed == 0) & (self._added(group, diagonal, biases, turns) < 0)
                diagonal, turns = (torch.where(flipped, -part, part) for part in (diagonal, turns))
        self._set(group, self.element.permutations[group], diagonal, turns)
        silent = fed == 0
        if bool(silent.any()):
            # Of sin(ω₀ b) = 0, every half-turn is a solution; the normal phase leaves b = 0 but for rounding.
            zero = 1e-9 / self._omega(group) if self._has_phase(group) else 0.0
            silent &= self._added(group, diagonal, biases, turns).abs() <= zero
        none = kind is DiagonalKind.TRIVIAL or not bool(silent.any())
        self.silent.append(None if none else silent)
        self.duplicates.append([])
        if self.settings.permute and not self.point.architecture.groups[group].in_place:
            self._sort(group)

    def _measured(self, group: int, *, signed: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Of each neuron the norm of its incoming weights, its bias (0 without one), its sign (1 if not `signed`)."""
        fed, biases, signs = [], [], []
        small, self.whole = self._is_small(group), None
        # Of entries of one size the first decides the sign, so only there their order matters.
        for neurons, weights, bias in self._rows(group, ordered=signed or small, lasting=small):
            fed.append(_norms(weights))
            biases.append(torch.zeros(len(neurons), dtype=torch.float64) if bias is None else bias.clone())
            if signed:
                signs.append(_sign_of_largest(weights, bias))
            if small:
                self.whole = weights, bias
        norms = _joined(fed)
        return norms, _joined(biases), _joined(signs) if signed else torch.ones_like(norms)

    def _is_small(self, group: int) -> bool:
        """Whether the rows of a group come in one chunk, and so may be kept from their measuring to their sorting."""
        architecture = self.point.architecture
        fed = [spec for spec in architecture.tensors if any(_lists(role, group) for role in spec.roles)]
        return sum(math.prod(spec.shape) for spec in fed) <= CHUNK

    def settle_silent(self) -> None:
        """Give the neurons that nothing feeds the scale, sign and order that make the weights that read them normal.

        Backwards: a silent neuron may be read by another one, whose scale must be known.
        """
        for group in reversed(range(len(self.silent))):
            kind, silent = self._kind(group), self.silent[group]
            if silent is None:
                continue
            neurons = silent.nonzero()[:, 0]
            diagonals, turns, columns = [], [], []
            for some, weights, _ in neuron_rows(self.point, group, Side.IN, self.element, neurons=neurons):
                norms = _norms(weights)
                chosen = torch.ones_like(norms)
                if self.settings.scale != "none" and kind in (DiagonalKind.POSITIVE, DiagonalKind.NONZERO):
                    chosen = _snapped(_scalable(norms))
                if self.settings.sign and kind in (DiagonalKind.SIGN, DiagonalKind.NONZERO):
                    chosen = chosen * _sign_of_largest(weights, None)
                columns.append(weights / chosen[:, None])
                half = torch.zeros(len(some), dtype=torch.int64)
                if self.settings.sign and self._has_phase(group):
                    # sin(ω₀ b) = 0: as many half-turns back as b has, each of which flips the sign.
                    biases = torch.cat([bias for _, _, bias in self._rows(group, some) if bias is not None])
                    half = torch.round(biases * self._omega(group) / math.pi).long()
                    chosen = chosen * (1 - 2 * (half % 2))
                diagonals.append(chosen)
                turns.append(-chosen.sign().long() * half)
            order = torch.arange(len(neurons))
            permute = self.settings.permute and not self.point.architecture.groups[group].in_place
            if permute:  # by what reads them, now that its scales are known
                order = lexicographic_order(_joined(columns), self.tolerance)[0]
            places = self.element.permutations[group].argsort()[neurons]
            places = places.sort().values if permute else places
            parts = (self.element.permutations[group], self.element.diagonals[group], self.element.turns[group])
            found = (neurons, _joined(diagonals), _joined(turns))
            settled = (old.index_copy(0, places, own[order]) for old, own in zip(parts, found, strict=True))
            self._set(group, *settled)

    def result(self) -> NormalForm:
        """What was found."""
        dead = []
        for group, silent in enumerate(self.silent):
            unread = unread_neurons(self.point, group)
            found = unread if silent is None else silent | unread
            dead.append(found[self.element.permutations[group]].nonzero()[:, 0])
        return NormalForm(self.element, tuple(dead), tuple(map(tuple, self.duplicates)), self.residual)

    def _kind(self, group: int) -> DiagonalKind:
        return group_kind(self.point.architecture, group)

    def _has_phase(self, group: int) -> bool:
        architecture = self.point.architecture
        return architecture.groups[group].activation == "sin" and any(
            role.bias and role.group == group for spec in architecture.tensors for role in spec.roles
        )

    def _rows(
        self,
        group: int,
        neurons: Tensor | None = None,
        *,
        ordered: bool = True,
        positions: int | None = None,
        lasting: bool = True,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        return neuron_rows(
            self.point,
            group,
            Side.OUT,
            self.element,
            self.silent,
            neurons,
            ordered=ordered,
            positions=positions,
            lasting=lasting,
        )

    def _chosen(
        self, group: int, neurons: Tensor | None, positions: int | None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Rows of the group that is settled, as `_rows`; all their entries where they are there already."""
        if self.whole is None:
            yield from self._rows(group, neurons, positions=positions)
            return
        weights, bias = self.whole
        if neurons is None:
            yield torch.arange(len(weights)), weights, bias
        else:
            yield neurons, weights[neurons], None if bias is None else bias[neurons]

    def _set(self, group: int, permutation: Tensor, diagonal: Tensor, turns: Tensor) -> None:
        self.element = self.element.replace(group, permutation, diagonal, turns)

    def _scale(self, group: int, norms: Tensor) -> Tensor:
        if self.settings.scale == "none":
            return torch.ones_like(norms)
        if self.scales is not None:
            return self.scales[group]
        return _snapped(1 / _scalable(norms))

    def _omega(self, group: int) -> float:
        return self.point.architecture.groups[group].omega_0

    def _added(self, group: int, diagonal: Tensor, biases: Tensor, turns: Tensor) -> Tensor:
        """The biases under a diagonal and half-turns."""
        return diagonal * biases + turns.double() * (math.pi / self._omega(group))

    def _phase(self, group: int, kind: DiagonalKind, biases: Tensor) -> Tensor:
        """The half-turns that bring ω₀ b into (−π/2, π/2]; whole turns into (−π, π] where no sign may change."""
        step = 1 if kind is DiagonalKind.SIGN else 2
        turns = torch.floor(0.5 - self._omega(group) * biases / (step * math.pi))
        return step * torch.where(turns.abs() <= _MOST_TURNS, turns, 0.0).long()

    def _sort(self, group: int) -> None:
        """Permute a group whose diagonal and turns are settled."""
        diagonal, turns = self.element.diagonals[group], self.element.turns[group]

        def normal_rows(neurons: Tensor | None = None, entries: int | None = None) -> Tensor:
            found = []
            for some, weights, bias in self._chosen(group, neurons, entries):
                columns = [weights[:, :entries] * diagonal[some, None]]
                missing = entries is None or weights.shape[1] < entries
                if missing and bias is not None:  # None, too, without one in the file: a phase has nowhere to go
                    columns.append(self._added(group, diagonal[some], bias, turns[some])[:, None])
                found.append(torch.cat(columns, dim=1))
            return _joined(found)

        def whole_rows(neurons: Tensor) -> Tensor:
            rows = normal_rows(neurons)
            if not has_index(self.point, group):
                return rows
            # What is not scaled with a neuron, such as the weights before a LayerNorm, tells it from others as well.
            parts = neuron_rows(self.point, group, Side.INDEX, self.element, self.silent, neurons)
            return torch.cat([rows, torch.cat([part for _, part, _ in parts])], dim=1)

        order, tied = lexicographic_order(normal_rows(entries=_LEADING), self.tolerance)
        for places in tied:
            neurons = order[places]
            within, same = lexicographic_order(whole_rows(neurons), self.tolerance)
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


def _lists(role: AxisRole, group: int) -> bool:
    return role.group == group and role.side is Side.OUT


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


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


def _norms(rows: Tensor) -> Tensor:
    """Norms [n] of rows, also where squares would leave float64."""
    norms = torch.linalg.vector_norm(rows, dim=1)
    odd = ((norms < _SQUARABLE[0]) | (norms > _SQUARABLE[1])).nonzero()[:, 0]
    if len(odd):
        sizes = rows[odd].abs().amax(1)
        levelled = rows[odd] / torch.where(sizes > 0, sizes, 1.0)[:, None]
        norms[odd] = torch.linalg.vector_norm(levelled, dim=1) * sizes
    return norms


def _scalable(norms: Tensor) -> Tensor:
    """Norms by which can be divided; 1 for the others: zero, and what is subnormal or too large for float64."""
    limits = torch.finfo(torch.float64)
    return torch.where((norms >= limits.tiny) & (norms <= limits.max), norms, 1.0)


def _snapped(diagonal: Tensor) -> Tensor:
    return torch.where((diagonal - 1).abs() <= _SNAP, 1.0, diagonal)
