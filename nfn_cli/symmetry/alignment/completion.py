"""Which neuron becomes which where their inputs do not determine it: a search through the weights between them.

Neurons that put out zero, and copies of one another, may be joined to others of their kind alone, so that each could be
settled if only the others were. Here they are given partners one after the other, each with the factor that follows
from those before it; where none fits, the search goes back. A partner is taken only if all weights between the two and
the neurons before them agree, so what is found is the element, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side
from nfn_cli.symmetry.alignment.residuals import FLOOR
from nfn_cli.symmetry.alignment.rows import Freedom, Rows, fit
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.links import pair_weights

_MOST_TRIALS = 2_000  # neurons of A held against a few of B, about half a millisecond each where groups are small
_MOST_NUMBERS = 1 << 28  # compared in all
_TOGETHER = 32  # candidates that are compared at once
_SLACK = 4  # times the tolerance, since a factor comes from weights that are rounded themselves


def complete(
    element: GroupElement,
    ours: NetworkWeights,
    theirs: NetworkWeights,
    free: Sequence[Tensor],
    freedoms: Sequence[Freedom],
    tolerance: float,
) -> GroupElement | None:
    """An element that brings A to B and is given but for some neurons.

    Args:
        element: right for the neurons that are not free; the partners that it gives to the others are tried first.
        ours, theirs: A and B, of one architecture and with the same names.
        free: per group, the positions in B of the other neurons, int64.
        tolerance: the deviation that counts as rounding.

    Returns:
        The element; None where there is none, or the search would take too long.
    """
    for spec in theirs.architecture.tensors:
        if len(spec.roles) > 1 and any(role.side is Side.INDEX for role in spec.roles):
            return None  # weights before a norm join neurons too, and the search does not follow them
    return _Search(element, ours, theirs, free, freedoms, tolerance).run()


@dataclass(frozen=True)
class _Pairs:
    """One tensor of A and of B, [neurons fed or 1, neurons read or 1, weights of a pair], and the groups it joins."""

    feeds: int | None
    reads: int | None
    ours: Tensor
    theirs: Tensor
    phase: bool  # whether it is a bias that half-turns are added to


@dataclass(frozen=True)
class _Partner:
    """A neuron's partner: its place in B, the diagonal and the half-turns."""

    place: int
    diagonal: float
    half_turns: int


@dataclass(frozen=True)
class _Group:
    """One neuron group: what its neurons in A have been given so far. Its tensors [n] are written to.

    Attributes:
        freedom: what the group may do to a neuron.
        positions: of each neuron of A the place of its partner in B, -1 without one.
        preferred: the partner in B that is tried first.
        diagonals, half_turns: what each neuron of A is multiplied and shifted by.
        factors: what the weights that read it are divided by.
        is_open: of each place in B, whether it waits for a partner.
        norms: of what feeds each of B's neurons.
    """

    freedom: Freedom
    positions: Tensor
    preferred: Tensor
    diagonals: Tensor
    half_turns: Tensor
    factors: Tensor
    is_open: Tensor
    norms: Tensor

    @classmethod
    def of(cls, element: GroupElement, group: int, free: Tensor, freedom: Freedom, norms: Tensor) -> _Group:
        """The part of an element on one group, without what it says of the free positions of B."""
        order = element.permutations[group]
        place = order.argsort()
        own = cls(
            freedom=freedom,
            positions=place,
            preferred=place.clone(),
            diagonals=element.diagonals[group][place],
            half_turns=element.half_turns[group][place],
            factors=element.factors[group][place],
            is_open=torch.zeros(len(place), dtype=torch.bool),
            norms=norms,
        )
        own.is_open[free] = True
        own.positions[order[free]] = -1
        return own

    def settled(self) -> tuple[Tensor, Tensor]:
        """The neurons of A that have a partner, and the positions of these in B."""
        some = (self.positions >= 0).nonzero()[:, 0]
        return some, self.positions[some]

    def give(self, neuron: int, partner: _Partner) -> None:
        """Let a neuron of A be a partner's."""
        self.positions[neuron] = partner.place
        self.is_open[partner.place] = False
        self.diagonals[neuron] = partner.diagonal
        self.half_turns[neuron] = partner.half_turns
        self.factors[neuron] = partner.diagonal * (1 - 2 * (partner.half_turns % 2))

    def take_back(self, neuron: int) -> None:
        """Let a neuron have no partner."""
        place = int(self.positions[neuron])
        if place >= 0:
            self.is_open[place] = True
            self.positions[neuron] = -1


class _Search:
    """Depth first through the free neurons; A's are numbered as in A, B's as in B."""

    def __init__(
        self,
        element: GroupElement,
        ours: NetworkWeights,
        theirs: NetworkWeights,
        free: Sequence[Tensor],
        freedoms: Sequence[Freedom],
        tolerance: float,
    ) -> None:
        self.allowed = _SLACK * tolerance
        self.pairs = []
        for spec in theirs.architecture.tensors:
            feeds, reads, mine = pair_weights(ours.tensors[spec.name], spec)
            other = pair_weights(theirs.tensors[spec.name], spec)[2]
            phase = feeds is not None and bool(freedoms[feeds].step) and any(role.bias for role in spec.roles)
            self.pairs.append(_Pairs(feeds, reads, mine.flatten(2), other.flatten(2), phase))
        self.groups = [
            _Group.of(element, group, own, freedom, self._norms(group))
            for group, (own, freedom) in enumerate(zip(free, freedoms, strict=True))
        ]
        self.output_norms = self._norms(None)
        self.count = sum(map(len, free))
        self.trials, self.numbers = _MOST_TRIALS, _MOST_NUMBERS

    def run(self) -> GroupElement | None:
        """The element."""
        neurons = self._order()
        partners: list[Iterator[_Partner]] = []
        while len(partners) < len(neurons):
            partners.append(self._partners(*neurons[len(partners)]))
            while not self._advance(*neurons[len(partners) - 1], partners[-1]):
                partners.pop()
                if not partners or min(self.trials, self.numbers) < 0:
                    return None
        return self._result()

    def _advance(self, group: int, neuron: int, partners: Iterator[_Partner]) -> bool:
        """Give a neuron its next partner in place of the one that it has, if there is another one."""
        self.groups[group].take_back(neuron)
        partner = next(partners, None)
        if partner is None:
            return False
        self.groups[group].give(neuron, partner)
        return True

    def _order(self) -> list[tuple[int, int]]:
        """The free neurons, each joined to as many as possible of those before it, so that few partners fit."""
        joined = [torch.zeros(len(own.positions), dtype=torch.int64) for own in self.groups]
        waiting = [own.positions < 0 for own in self.groups]
        for group, own in enumerate(self.groups):
            mine = waiting[group].nonzero()[:, 0]
            joined[group] += own.freedom.kind is DiagonalKind.TRIVIAL  # its factor is known beforehand
            for pair in self.pairs:
                if pair.feeds == group and not pair.phase:
                    joined[group][mine] += (pair.ours[mine][:, self._settled(pair.reads)[0]] != 0).sum((1, 2))
                if pair.reads == group:
                    joined[group][mine] += (pair.ours[self._settled(pair.feeds)[0]][:, mine] != 0).sum((0, 2))
        found = []
        for _ in range(self.count):
            best = [torch.where(own, counts, -1).max(0) for own, counts in zip(waiting, joined, strict=True)]
            group = max(range(len(best)), key=lambda g: int(best[g].values))
            neuron = int(best[group].indices)
            waiting[group][neuron] = False
            found.append((group, neuron))
            for pair in self.pairs:
                if pair.reads == group and pair.feeds is not None:
                    joined[pair.feeds] += (pair.ours[:, neuron] != 0).sum(1)
                if pair.feeds == group and pair.reads is not None:
                    joined[pair.reads] += (pair.ours[neuron] != 0).sum(1)
        return found

    def _partners(self, group: int, neuron: int) -> Iterator[_Partner]:
        """The partners that fit, as long as those before keep theirs."""
        own = self.groups[group]
        positions = own.is_open.nonzero()[:, 0]
        if own.freedom.in_place:
            positions = positions[positions == neuron]
        positions = positions[(positions != own.preferred[neuron]).int().argsort(stable=True)]
        for some in positions.split(_TOGETHER):
            for place, diagonal, half_turns in self._fitting(group, neuron, some):
                yield _Partner(int(place), float(diagonal), int(half_turns))

    def _fitting(self, group: int, neuron: int, positions: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The neuron compared with those at these positions of B: those that fit, with diagonal and half-turns."""
        freedom, norms = self.groups[group].freedom, self.groups[group].norms[positions]
        mine, other = self._fed(group, neuron, positions)
        read, wanted, bounds = self._read(group, neuron, positions)
        self.trials -= 1
        self.numbers -= mine.weights.numel() + read.weights.numel()
        sizes = torch.maximum(other.weights.abs(), FLOOR * norms[:, None])
        for diagonal in _diagonals((mine, other), (read, wanted), freedom):
            shifts = other.biases - diagonal * mine.biases
            half_turns = freedom.turned(shifts)
            factor = diagonal * (1 - 2 * (half_turns % 2))
            fits = freedom.wrapped(shifts).abs() <= self.allowed * (norms + half_turns.abs() * freedom.half_turn)
            fits &= ((other.weights - diagonal[:, None] * mine.weights).abs() <= self.allowed * sizes).all(1)
            fits &= ((wanted.weights - read.weights / factor[:, None]).abs() <= self.allowed * bounds).all(1)
            yield from zip(positions[fits], diagonal[fits], half_turns[fits], strict=True)

    def _fed(self, group: int, neuron: int, positions: Tensor) -> tuple[Rows, Rows]:
        """What the neuron reads of settled ones, as B has those, once for each place; and what B's neurons read."""
        mine, other = [], []
        biases = torch.zeros(2, len(positions), dtype=torch.float64)
        for pair in self.pairs:
            if pair.feeds != group:
                continue
            if pair.phase:
                biases += torch.stack(
                    [pair.ours[neuron].sum().expand(len(positions)), pair.theirs[positions].sum((1, 2))]
                )
                continue
            some, partners = self._settled(pair.reads)
            weights = pair.ours[neuron, some].double()
            if pair.reads is not None:
                weights = weights / self.groups[pair.reads].factors[some][:, None]
            mine.append(weights.reshape(1, -1).expand(len(positions), -1))
            other.append(pair.theirs[positions][:, partners].double().flatten(1))
        return Rows(torch.cat(mine, 1), biases[0]), Rows(torch.cat(other, 1), biases[1])

    def _read(self, group: int, neuron: int, positions: Tensor) -> tuple[Rows, Rows, Tensor]:
        """The same for what reads the neuron, but for the neuron's own factor; and what counts as the weights' size."""
        mine, other, sizes = [], [], []
        for pair in self.pairs:
            if pair.reads != group:
                continue
            some, partners = self._settled(pair.feeds)
            weights = pair.ours[some, neuron].double()
            if pair.feeds is not None:
                weights = weights * self.groups[pair.feeds].diagonals[some][:, None]
            columns = pair.theirs[partners][:, positions].double().movedim(1, 0)
            norms = self.output_norms if pair.feeds is None else self.groups[pair.feeds].norms
            mine.append(weights.reshape(1, -1).expand(len(positions), -1))
            other.append(columns.flatten(1))
            sizes.append(torch.maximum(columns.abs(), FLOOR * norms[partners][:, None]).flatten(1))
        none = torch.zeros(len(positions), dtype=torch.float64)
        return Rows(torch.cat(mine, 1), none), Rows(torch.cat(other, 1), none), torch.cat(sizes, 1)

    def _settled(self, group: int | None) -> tuple[Tensor, Tensor]:
        """The neurons of A that have a partner, and their partners; inputs and outputs are one, and settled."""
        if group is None:
            return torch.tensor([0]), torch.tensor([0])
        return self.groups[group].settled()

    def _norms(self, group: int | None) -> Tensor:
        """Of what feeds each of B's neurons, [n]; of the outputs, one that stands for all."""
        parts = [pair.theirs.double().flatten(1) for pair in self.pairs if pair.feeds == group and not pair.phase]
        return torch.linalg.vector_norm(torch.cat(parts, 1), dim=1)

    def _result(self) -> GroupElement:
        orders = [own.positions.argsort() for own in self.groups]
        return GroupElement(
            tuple(orders),
            tuple(own.diagonals[order] for own, order in zip(self.groups, orders, strict=True)),
            tuple(own.half_turns[order] for own, order in zip(self.groups, orders, strict=True)),
        )


def _diagonals(fed: tuple[Rows, Rows], outgoing: tuple[Rows, Rows], freedom: Freedom) -> list[Tensor]:
    """What each pair of neurons may be multiplied by, [pairs]."""
    ones = torch.ones(len(fed[0].biases), dtype=torch.float64)
    if not freedom.scaled:
        return [ones, -ones] if freedom.signed else [ones]
    by_fed = fit(*fed, freedom)[0]
    by_read = 1 / fit(*outgoing, freedom)[0]
    return [torch.where(fed[0].joined.any(1) & fed[1].joined.any(1), by_fed, by_read)]
