"""Which neuron becomes which where its own inputs do not tell: a search through the weights that join such neurons.

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
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.kinds import DiagonalKind
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
        free: per group, the places in B of the other neurons, int64.
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
class _Option:
    """A partner in B, the diagonal and the half-turns."""

    place: int
    diagonal: float
    turns: int


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
        self.freedoms, self.allowed = freedoms, _SLACK * tolerance
        self.pairs = []
        for spec in theirs.architecture.tensors:
            feeds, reads, mine = pair_weights(ours.tensors[spec.name], spec)
            other = pair_weights(theirs.tensors[spec.name], spec)[2]
            phase = feeds is not None and bool(freedoms[feeds].step) and any(role.bias for role in spec.roles)
            self.pairs.append(_Pairs(feeds, reads, mine.flatten(2), other.flatten(2), phase))
        self.norms = [self._norms(group) for group in (*range(len(freedoms)), None)]
        # Per group, in A's order: each neuron's place in B, or -1; its diagonal, and its factor in what reads it.
        self.places = [order.argsort() for order in element.permutations]
        self.diagonals = [d[place] for d, place in zip(element.diagonals, self.places, strict=True)]
        self.factors = [f[place] for f, place in zip(element.factors, self.places, strict=True)]
        self.turns = [k[place] for k, place in zip(element.turns, self.places, strict=True)]
        self.first = [place.clone() for place in self.places]  # partners to be tried first
        self.open = [torch.zeros(len(place), dtype=torch.bool) for place in self.places]  # in B's order
        self.count = sum(map(len, free))
        for group, own in enumerate(free):
            self.open[group][own] = True
            self.places[group][element.permutations[group][own]] = -1
        self.trials, self.numbers = _MOST_TRIALS, _MOST_NUMBERS

    def run(self) -> GroupElement | None:
        """The element."""
        neurons = self._order()
        options: list[Iterator[_Option]] = []
        while len(options) < len(neurons):
            options.append(self._options(*neurons[len(options)]))
            while not self._advance(*neurons[len(options) - 1], options[-1]):
                options.pop()
                if not options or min(self.trials, self.numbers) < 0:
                    return None
        return self._result()

    def _advance(self, group: int, neuron: int, options: Iterator[_Option]) -> bool:
        """Give a neuron its next partner in place of the one that it has, if there is another one."""
        place = int(self.places[group][neuron])
        if place >= 0:
            self.open[group][place] = True
            self.places[group][neuron] = -1
        option = next(options, None)
        if option is None:
            return False
        self.places[group][neuron] = option.place
        self.open[group][option.place] = False
        self.diagonals[group][neuron] = option.diagonal
        self.turns[group][neuron] = option.turns
        self.factors[group][neuron] = option.diagonal * (1 - 2 * (option.turns % 2))
        return True

    def _order(self) -> list[tuple[int, int]]:
        """The free neurons, each joined to as many as possible of those before it, so that few partners fit."""
        joined = [torch.zeros(len(place), dtype=torch.int64) for place in self.places]
        for group, place in enumerate(self.places):
            mine = (place < 0).nonzero()[:, 0]
            joined[group] += self.freedoms[group].kind is DiagonalKind.TRIVIAL  # its factor is known beforehand
            for pair in self.pairs:
                if pair.feeds == group and not pair.phase:
                    joined[group][mine] += (pair.ours[mine][:, self._settled(pair.reads)[0]] != 0).sum((1, 2))
                if pair.reads == group:
                    joined[group][mine] += (pair.ours[self._settled(pair.feeds)[0]][:, mine] != 0).sum((0, 2))
        waiting = [place < 0 for place in self.places]
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

    def _options(self, group: int, neuron: int) -> Iterator[_Option]:
        """The partners that fit, as long as those before keep theirs."""
        places = self.open[group].nonzero()[:, 0]
        if self.freedoms[group].in_place:
            places = places[places == neuron]
        places = places[(places != self.first[group][neuron]).int().argsort(stable=True)]
        for some in places.split(_TOGETHER):
            for place, diagonal, turns in self._held(group, neuron, some):
                yield _Option(int(place), float(diagonal), int(turns))

    def _held(self, group: int, neuron: int, places: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The neuron held against these places of B: those that fit, with diagonal and half-turns."""
        freedom, norms = self.freedoms[group], self.norms[group][places]
        mine, other = self._fed(group, neuron, places)
        read, wanted, bounds = self._read(group, neuron, places)
        self.trials -= 1
        self.numbers -= mine.weights.numel() + read.weights.numel()
        sizes = torch.maximum(other.weights.abs(), FLOOR * norms[:, None])
        for diagonal in _diagonals((mine, other), (read, wanted), freedom):
            shifts = other.biases - diagonal * mine.biases
            turns = freedom.turned(shifts)
            factor = diagonal * (1 - 2 * (turns % 2))
            fits = freedom.wrapped(shifts).abs() <= self.allowed * (norms + turns.abs() * freedom.half_turn)
            fits &= ((other.weights - diagonal[:, None] * mine.weights).abs() <= self.allowed * sizes).all(1)
            fits &= ((wanted.weights - read.weights / factor[:, None]).abs() <= self.allowed * bounds).all(1)
            yield from zip(places[fits], diagonal[fits], turns[fits], strict=True)

    def _fed(self, group: int, neuron: int, places: Tensor) -> tuple[Rows, Rows]:
        """What the neuron reads of settled ones, as B has those, once for each place; and what B's neurons read."""
        mine, other = [], []
        biases = torch.zeros(2, len(places), dtype=torch.float64)
        for pair in self.pairs:
            if pair.feeds != group:
                continue
            if pair.phase:
                biases += torch.stack([pair.ours[neuron].sum().expand(len(places)), pair.theirs[places].sum((1, 2))])
                continue
            some, partners = self._settled(pair.reads)
            weights = pair.ours[neuron, some].double()
            if pair.reads is not None:
                weights = weights / self.factors[pair.reads][some][:, None]
            mine.append(weights.reshape(1, -1).expand(len(places), -1))
            other.append(pair.theirs[places][:, partners].double().flatten(1))
        return Rows(torch.cat(mine, 1), biases[0]), Rows(torch.cat(other, 1), biases[1])

    def _read(self, group: int, neuron: int, places: Tensor) -> tuple[Rows, Rows, Tensor]:
        """The same for what reads the neuron, but for the neuron's own factor; and what counts as the weights' size."""
        mine, other, sizes = [], [], []
        for pair in self.pairs:
            if pair.reads != group:
                continue
            some, partners = self._settled(pair.feeds)
            weights = pair.ours[some, neuron].double()
            if pair.feeds is not None:
                weights = weights * self.diagonals[pair.feeds][some][:, None]
            columns = pair.theirs[partners][:, places].double().movedim(1, 0)
            norms = self.norms[-1 if pair.feeds is None else pair.feeds][partners]
            mine.append(weights.reshape(1, -1).expand(len(places), -1))
            other.append(columns.flatten(1))
            sizes.append(torch.maximum(columns.abs(), FLOOR * norms[:, None]).flatten(1))
        none = torch.zeros(len(places), dtype=torch.float64)
        return Rows(torch.cat(mine, 1), none), Rows(torch.cat(other, 1), none), torch.cat(sizes, 1)

    def _settled(self, group: int | None) -> tuple[Tensor, Tensor]:
        """The neurons of A that have a partner, and their partners; inputs and outputs are one, and settled."""
        if group is None:
            return torch.tensor([0]), torch.tensor([0])
        some = (self.places[group] >= 0).nonzero()[:, 0]
        return some, self.places[group][some]

    def _norms(self, group: int | None) -> Tensor:
        """Of what feeds each of B's neurons, [n]; of the outputs, one that stands for all."""
        parts = [pair.theirs.double().flatten(1) for pair in self.pairs if pair.feeds == group and not pair.phase]
        return torch.linalg.vector_norm(torch.cat(parts, 1), dim=1)

    def _result(self) -> GroupElement:
        orders = [place.argsort() for place in self.places]
        parts = [(d[order], k[order]) for d, k, order in zip(self.diagonals, self.turns, orders, strict=True)]
        return GroupElement(tuple(orders), tuple(d for d, _ in parts), tuple(k for _, k in parts))


def _diagonals(fed: tuple[Rows, Rows], outgoing: tuple[Rows, Rows], freedom: Freedom) -> list[Tensor]:
    """What each pair of neurons may be multiplied by, [pairs]."""
    ones = torch.ones(len(fed[0].biases), dtype=torch.float64)
    if not freedom.scaled:
        return [ones, -ones] if freedom.signed else [ones]
    by_fed = fit(*fed, freedom)[0]
    by_read = 1 / fit(*outgoing, freedom)[0]
    return [torch.where(fed[0].joined.any(1) & fed[1].joined.any(1), by_fed, by_read)]
