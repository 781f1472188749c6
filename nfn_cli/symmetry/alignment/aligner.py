"""The search for the element that brings one network to another.

First, forward through the groups: each neuron of B is matched with the neuron of A whose incoming weights and bias fit
best after the best scale, sign and phase, by linear assignment. The groups before are matched by then. If A and B lie
on one orbit, this finds the element itself. For other pairs it is a good alignment: weight matching as in arXiv
2209.04836, with scales and signs as well.

Then, backward: what incoming weights do not show is decided by outgoing weights, since the groups behind are known by
now. That is the order of neurons with equal incoming weights, and the scale and order of neurons without any.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side
from nfn_cli.symmetry.alignment.assignment import assign
from nfn_cli.symmetry.alignment.completion import complete
from nfn_cli.symmetry.alignment.copies import Copies, copied_places, merged
from nfn_cli.symmetry.alignment.residuals import largest_deviation, residuals
from nfn_cli.symmetry.alignment.rows import Freedom, Rows, costs, fit, read_rows, silent
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.alignment.without_inputs import without_inputs
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind
from nfn_cli.symmetry.element import GroupElement

_EXACT = 1e-13  # relative; what rounding to float64 leaves of a squared distance


class Aligner:
    """One pass forward and one back; A and B share one architecture."""

    def __init__(
        self, ours: NetworkWeights, theirs: NetworkWeights, freedoms: Sequence[Freedom], tolerance: float
    ) -> None:
        sizes = [group.size for group in theirs.architecture.groups]
        self.whole = (ours, theirs)
        # Both without the neurons that neither incoming nor outgoing weights distinguish.
        self.readers = (ours, theirs)
        self.ours, self.theirs = ours, theirs  # with the copies found so far merged
        self.freedoms = freedoms
        self.tolerance = tolerance
        self.tied = max(tolerance**2, _EXACT)
        self.element = self.identity = GroupElement.identity(sizes)
        # Neurons that put out zero in both networks and were given to each other, in the order of A and of B.
        self.silent: tuple[list[Tensor], list[Tensor]] = ([], [])
        self.copies: list[list[Copies]] = []

    def run(self, watch: Watch = UNWATCHED) -> GroupElement:
        """Search for the element. A step of the watch is one group."""
        groups = range(len(self.freedoms))
        watch.on_stage("matching neurons", len(groups))
        for group in groups:
            self._match(group)
            watch.on_step()
        for group in reversed(groups):
            self._settle(group)
        free = [self._free(group) for group in groups]
        if any(map(len, free)) and largest_deviation(residuals(self.element, *self.whole)) > self.tolerance:
            return complete(self.element, *self.whole, free, self.freedoms, self.tolerance) or self.element
        return self.element

    def _free(self, group: int) -> Tensor:
        """The positions in B of the neurons that their incoming weights alone do not determine."""
        copies = [copies.positions for copies in self.copies[group]]
        return torch.cat([self.silent[1][group].nonzero()[:, 0], *copies])

    def _settle(self, group: int) -> None:
        self._settle_silent(group)
        for copies in self.copies[group]:
            self._settle_copies(group, copies)

    def _match(self, group: int) -> None:
        freedom = self.freedoms[group]
        ours, theirs = self._incoming(group)
        cost, size = costs(ours, theirs, freedom)
        mute, other_mute = silent(ours, freedom, self.tolerance), silent(theirs, freedom, self.tolerance)
        # A silent neuron is never matched with one that has weights, however small they are beside a phase's rounding.
        cost = torch.where(other_mute[:, None] == mute, cost, torch.inf)
        tied = cost <= self.tied * size
        order = self._assigned(group, cost, tied)
        both = other_mute & mute[order]
        self._set(group, order, *fit(ours[order], theirs, freedom))
        mine = torch.zeros_like(both)
        mine[order[both]] = True
        self.silent[0].append(mine)
        self.silent[1].append(both)
        tied = tied[:, order] & ~both & ~both[:, None]
        factors = self.element.factors[group]
        found, at_home = [], []
        for positions in copied_places(tied):
            first = positions[:1].expand(len(positions))
            diagonal, half_turns = fit(theirs[first], theirs[positions], freedom)
            share = diagonal * (1 - 2 * (half_turns % 2))
            found.append(Copies(positions, share))
            # A's copies are B's in A's own order and scale.
            at_home.append(Copies(order[positions], share * factors[first] / factors[positions]))
        self.copies.append(found)
        self.ours, self.theirs = merged(self.ours, group, at_home), merged(self.theirs, group, found)

    def _settle_silent(self, group: int) -> None:
        """Match and scale the neurons without incoming weights by the weights that read them."""
        positions = self.silent[1][group].nonzero()[:, 0]
        if not len(positions):
            return
        freedom, order = self.freedoms[group], self.element.permutations[group].clone()
        ours, theirs = self._outgoing(group, order[positions], positions)
        plain = Freedom(freedom.kind)
        cost = _relative(*costs(ours, theirs, plain))
        chosen = self._assigned(group, cost, cost <= self.tied)
        order[positions] = order[positions][chosen]
        ours = ours[chosen]
        read, _ = fit(ours, theirs, plain)
        diagonal, half_turns = self.element.diagonals[group].clone(), self.element.half_turns[group].clone()
        diagonal[positions] = 1 / read
        unread = ~(ours.weights.any(1) & theirs.weights.any(1))
        trimmed = without_inputs(self.readers[0], group, order[positions][unread])
        self.readers = (trimmed, without_inputs(self.readers[1], group, positions[unread]))
        if freedom.step:
            # The factor on what reads it is d (−1)ᵏ, and k's parity does not depend on d where sin(ω₀ b) = 0.
            mine, other = self._whole_incoming(group, order[positions], positions)
            parity = 1 - 2 * (freedom.turned(other.biases - mine.biases) % 2)
            diagonal[positions] *= parity
            half_turns[positions] = freedom.turned(other.biases - diagonal[positions] * mine.biases).long()
        self._set(group, order, diagonal, half_turns)

    def _settle_copies(self, group: int, copies: Copies) -> None:
        """Match copies of one neuron by the weights that read them, all in the scale of the first copy."""
        positions, order = copies.positions, self.element.permutations[group].clone()
        ours, theirs = self._outgoing(group, order[positions], positions)
        share = copies.factors[:, None]
        mine = Rows(ours.weights * (share / self.element.factors[group][positions][:, None]), ours.biases)
        other = Rows(theirs.weights * share, theirs.biases)
        cost = _relative(*costs(mine, other, Freedom(DiagonalKind.TRIVIAL)))
        order[positions] = order[positions][self._assigned(group, cost, cost <= self.tied)]
        diagonal, half_turns = self.element.diagonals[group].clone(), self.element.half_turns[group].clone()
        incoming = self._incoming(group)
        diagonal[positions], half_turns[positions] = fit(
            incoming[0][order[positions]], incoming[1][positions], self.freedoms[group]
        )
        self._set(group, order, diagonal, half_turns)

    def _assigned(self, group: int, cost: Tensor, tied: Tensor) -> Tensor:
        return torch.arange(len(cost)) if self.freedoms[group].in_place else assign(cost, tied)

    def _incoming(self, group: int) -> tuple[Rows, Rows]:
        return (
            read_rows(self.ours, group, Side.OUT, self.element, self.silent[0]),
            read_rows(self.theirs, group, Side.OUT, self.identity, self.silent[1]),
        )

    def _whole_incoming(self, group: int, mine: Tensor, other: Tensor) -> tuple[Rows, Rows]:
        """What the neurons read, in the networks as they were given."""
        return (
            read_rows(self.whole[0], group, Side.OUT, self.element, neurons=mine),
            read_rows(self.whole[1], group, Side.OUT, self.identity, neurons=other),
        )

    def _outgoing(self, group: int, mine: Tensor, other: Tensor) -> tuple[Rows, Rows]:
        return (
            read_rows(self.readers[0], group, Side.IN, self.element, neurons=mine),
            read_rows(self.readers[1], group, Side.IN, self.identity, neurons=other),
        )

    def _set(self, group: int, order: Tensor, diagonal: Tensor, half_turns: Tensor) -> None:
        self.element = self.element.replace(group, order, diagonal, half_turns)


def _relative(cost: Tensor, size: Tensor) -> Tensor:
    return cost / torch.where(size > 0, size, 1.0)
