"""Are two networks on one orbit? Find the element that brings one to the other, or as near as the group can.

Going forward through the groups, with A's groups before already as B's: each neuron of B gets the neuron of A whose
incoming weights and bias fit best after the best scale, sign and phase, by linear assignment. On one orbit that finds
the element itself; for other pairs it is a good alignment (weight matching in the manner of arXiv 2209.04836, with
scales and signs as well).

What incoming weights cannot tell is settled on the way back, when the groups behind are known: which copy is which of
neurons that read the same, and the scale and order of neurons that nothing feeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, Side, WeightSpace
from nfn_cli.errors import ArchitectureError, UsageError
from nfn_cli.symmetry.alignment_assignment import assign
from nfn_cli.symmetry.alignment_cleared import cleared
from nfn_cli.symmetry.alignment_copies import Copies, copied_places, merged
from nfn_cli.symmetry.alignment_residuals import Residual, residuals
from nfn_cli.symmetry.alignment_rows import Freedom, Rows, costs, fit, silent
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.kinds import DiagonalKind, group_kind
from nfn_cli.symmetry.neurons import neuron_rows

# Three roundings apart, at most: of the entry, of its neuron's scale and of the scale of the neuron that it reads.
_TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
_PASSES = 40  # to and fro, at most; scales come nearer by a factor a pass
_PATIENCE = 4  # passes that need not help
_EXACT = 1e-13  # of float64's own rounding in a squared distance, relative


@dataclass(frozen=True)
class Alignment:
    """The best element found, and how well it does.

    Attributes:
        element: g; g·A is next to B.
        residuals: of g·A − B, by layer.
        permuted: the same with the best permutations and nothing else; None where SciPy is wanted for it and missing.
        tolerance: the deviation that still counts as rounding.
    """

    element: GroupElement
    residuals: tuple[Residual, ...]
    permuted: tuple[Residual, ...] | None
    tolerance: float

    @property
    def deviation(self) -> float:
        """The largest deviation of any layer."""
        return max(residual.deviation for residual in self.residuals)

    @property
    def same_orbit(self) -> bool:
        """Whether g·A is B but for rounding."""
        return self.deviation <= self.tolerance


def orbit_tolerance(*dtypes: torch.dtype) -> float:
    """The deviation that rounding explains in the coarsest of these dtypes."""
    return max(_TOLERANCES.get(dtype, 2e-2) for dtype in dtypes)


def align(ours: WeightSpace, theirs: WeightSpace, precision: torch.dtype | None = None) -> Alignment:
    """Find g such that g·A is next to B.

    Args:
        ours, theirs: A and B, without batch axes; computation is float64 whatever their dtypes.
        precision: the coarsest dtype that the weights were stored in; that of the tensors by default.

    Raises:
        ArchitectureError: the networks differ in more than their weights.
        UsageError: SciPy is needed and missing.
    """
    reason = architecture_difference(ours.architecture, theirs.architecture)
    if reason:
        raise ArchitectureError(theirs.architecture.describe(), reason, "compare networks of one architecture")
    tolerance = orbit_tolerance(
        *[precision] if precision else [t.dtype for point in (ours, theirs) for t in point.tensors.values()]
    )
    freedoms = [
        _freedom(ours.architecture, theirs.architecture, group) for group in range(len(theirs.architecture.groups))
    ]
    # Names may differ; from here on they are B's.
    pairs = zip(ours.architecture.tensors, theirs.architecture.tensors, strict=True)
    ours = WeightSpace(theirs.architecture, {their.name: ours.tensors[our.name] for our, their in pairs})
    element = _Aligner(ours, theirs, freedoms, tolerance).run()
    permuted: tuple[Residual, ...] | None
    try:
        fixed = [Freedom(DiagonalKind.TRIVIAL)] * len(freedoms)
        alone = element if freedoms == fixed else _Aligner(ours, theirs, fixed, tolerance).run()
        permuted = residuals(alone, ours, theirs)
    except UsageError:
        permuted = None
    return Alignment(element, residuals(element, ours, theirs), permuted, tolerance)


def architecture_difference(ours: Architecture, theirs: Architecture) -> str | None:
    """Why no element can lead from one architecture to another: the first thing that differs; None if one can."""
    if ours.activation != theirs.activation:
        return f"its activation is {theirs.activation}, the other's {ours.activation}"
    if ours.activation == "sin" and ours.omega_0 != theirs.omega_0:
        return f"its omega_0 is {theirs.omega_0:g}, the other's {ours.omega_0:g}"
    if len(ours.layers) != len(theirs.layers):
        return f"it has {len(theirs.layers)} layers, the other {len(ours.layers)}"
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        if (mine.kind, mine.weight_shape, mine.spatial) != (other.kind, other.weight_shape, other.spatial):
            return f"its layer {other.name} is {other.describe()}, the other's {mine.describe()}"
    for group, neurons in enumerate(theirs.groups):
        kinds = group_kind(theirs, group).value, group_kind(ours, group).value
        if kinds[0] != kinds[1]:
            return f"layer {neurons.name} allows {kinds[0]} scales here and {kinds[1]} ones in the other"
    return None


def _freedom(ours: Architecture, theirs: Architecture, group: int) -> Freedom:
    kind = group_kind(theirs, group)
    step = 0
    if theirs.groups[group].activation == "sin" and _biased(ours, group) and _biased(theirs, group):
        step = 1 if kind is DiagonalKind.SIGN else 2
    return Freedom(kind, step, math.pi / theirs.omega_0)


def _biased(architecture: Architecture, group: int) -> bool:
    return any(role.bias and role.group == group for spec in architecture.tensors for role in spec.roles)


class _Aligner:
    """One pass forward and one back; A and B share one architecture."""

    def __init__(self, ours: WeightSpace, theirs: WeightSpace, freedoms: Sequence[Freedom], tolerance: float) -> None:
        sizes = [group.size for group in theirs.architecture.groups]
        self.whole = (ours, theirs)
        # Without the neurons that neither their own group nor a later one tells apart.
        self.readers = (ours, theirs)
        self.ours, self.theirs = ours, theirs  # with copies merged, as far as they are known
        self.freedoms = freedoms
        self.tolerance = tolerance
        self.tied = max(tolerance**2, _EXACT)
        self.element = self.identity = GroupElement.identity(sizes)
        # Neurons that put out zero in both networks and were given to each other, in the order of A and of B.
        self.silent: tuple[list[Tensor], list[Tensor]] = ([], [])
        self.copies: list[list[Copies]] = []

    def run(self) -> GroupElement:
        """The element."""
        groups = range(len(self.freedoms))
        for group in groups:
            self._match(group)
        for group in reversed(groups):
            self._settle(group, joint=False)
        if any(bool(places.any()) for places in self.silent[1]) or any(self.copies):
            self._refine()
        return self.element

    def _refine(self) -> None:
        """Settle again what no output depends on, such as what reads silent neurons alone.

        On both of its sides stand neurons that had to be settled without it, so passes to and fro improve on each
        other; the best of a few stays.
        """
        groups = range(len(self.freedoms))
        best, least, idle = self.element, self._deviation(), 0
        for direction in (groups[::-1], groups) * _PASSES:
            if least <= self.tolerance or idle == _PATIENCE:
                break
            for group in direction:
                self._settle(group, joint=True)
            found = self._deviation()
            idle = 0 if found < 0.9 * least else idle + 1
            if found < least:
                best, least = self.element, found
        self.element = best

    def _deviation(self) -> float:
        return max(left.deviation for left in residuals(self.element, *self.whole))

    def _settle(self, group: int, *, joint: bool) -> None:
        self._settle_silent(group, joint=joint)
        for copies in self.copies[group]:
            self._settle_copies(group, copies, joint=joint)

    def _match(self, group: int) -> None:
        freedom = self.freedoms[group]
        ours, theirs = self._incoming(group)
        cost, size = costs(ours, theirs, freedom)
        tied = cost <= self.tied * size
        order = assign(cost, tied)
        both = silent(theirs, freedom, self.tolerance) & silent(ours, freedom, self.tolerance)[order]
        self._set(group, order, *fit(ours[order], theirs, freedom))
        mine = torch.zeros_like(both)
        mine[order[both]] = True
        self.silent[0].append(mine)
        self.silent[1].append(both)
        tied = tied[:, order] & ~both & ~both[:, None]
        factors = self.element.factors[group]
        found, at_home = [], []
        for places in copied_places(tied):
            first = places[:1].expand(len(places))
            diagonal, turns = fit(theirs[first], theirs[places], freedom)
            share = diagonal * (1 - 2 * (turns % 2))
            found.append(Copies(places, share))
            # A's own copies are in A's scale and order: B's, with the element undone.
            at_home.append(Copies(order[places], share * factors[first] / factors[places]))
        self.copies.append(found)
        self.ours, self.theirs = merged(self.ours, group, at_home), merged(self.theirs, group, found)

    def _settle_silent(self, group: int, *, joint: bool) -> None:
        """What nothing feeds is told apart, and scaled, by what reads it; with `joint`, by what it reads as well."""
        places = self.silent[1][group].nonzero()[:, 0]
        if not len(places):
            return
        freedom, order = self.freedoms[group], self.element.permutations[group].clone()
        ours, theirs = self._outgoing(group, order[places], places, self.whole if joint else self.readers)
        plain = Freedom(freedom.kind)
        cost = _relative(*costs(ours, theirs, plain))
        mine, other = self._whole_incoming(group, order[places], places)
        if joint:
            cost = cost + _relative(*costs(mine, other, freedom))
        chosen = assign(cost, cost <= self.tied)
        order[places] = order[places][chosen]
        ours, mine = ours[chosen], mine[chosen]
        read, _ = fit(ours, theirs, plain)
        diagonal, turns = self.element.diagonals[group].clone(), self.element.turns[group].clone()
        diagonal[places] = 1 / read
        unread = ~(ours.weights.any(1) & theirs.weights.any(1))
        if not joint:
            mine_cleared = cleared(self.readers[0], group, order[places][unread])
            self.readers = (mine_cleared, cleared(self.readers[1], group, places[unread]))
        else:
            diagonal[places] = torch.where(unread, fit(mine, other, freedom)[0], diagonal[places])
        if freedom.step:
            # The factor on what reads it is d (−1)ᵏ, and k's parity does not depend on d where sin(ω₀ b) = 0.
            parity = 1 - 2 * (freedom.turned(other.biases - mine.biases) % 2)
            diagonal[places] *= torch.where(unread & joint, 1.0, parity)
            turns[places] = freedom.turned(other.biases - diagonal[places] * mine.biases).long()
        self._set(group, order, diagonal, turns)

    def _settle_copies(self, group: int, copies: Copies, *, joint: bool) -> None:
        """Which copy is which, by what reads them, in the first one's scale; with `joint`, by what they read, too."""
        places, order = copies.places, self.element.permutations[group].clone()
        ours, theirs = self._outgoing(group, order[places], places, self.whole if joint else self.readers)
        share = copies.factors[:, None]
        plain = Freedom(DiagonalKind.TRIVIAL)
        mine = Rows(ours.weights * (share / self.element.factors[group][places][:, None]), ours.biases)
        cost = _relative(*costs(mine, Rows(theirs.weights * share, theirs.biases), plain))
        if joint:
            whole = self._whole_incoming(group, order[places], places)
            cost = cost + _relative(*costs(*whole, self.freedoms[group]))
        order[places] = order[places][assign(cost, cost <= self.tied)]
        diagonal, turns = self.element.diagonals[group].clone(), self.element.turns[group].clone()
        incoming = self._incoming(group)
        diagonal[places], turns[places] = fit(incoming[0][order[places]], incoming[1][places], self.freedoms[group])
        self._set(group, order, diagonal, turns)

    def _incoming(self, group: int) -> tuple[Rows, Rows]:
        return (
            _rows(self.ours, group, Side.OUT, self.element, self.silent[0]),
            _rows(self.theirs, group, Side.OUT, self.identity, self.silent[1]),
        )

    def _whole_incoming(self, group: int, mine: Tensor, other: Tensor) -> tuple[Rows, Rows]:
        """What the neurons read, nothing merged and nothing left out."""
        return (
            _rows(self.whole[0], group, Side.OUT, self.element, neurons=mine),
            _rows(self.whole[1], group, Side.OUT, self.identity, neurons=other),
        )

    def _outgoing(
        self, group: int, mine: Tensor, other: Tensor, points: tuple[WeightSpace, WeightSpace]
    ) -> tuple[Rows, Rows]:
        return (
            _rows(points[0], group, Side.IN, self.element, neurons=mine),
            _rows(points[1], group, Side.IN, self.identity, neurons=other),
        )

    def _set(self, group: int, order: Tensor, diagonal: Tensor, turns: Tensor) -> None:
        self.element = self.element.replace(group, order, diagonal, turns)


def _relative(cost: Tensor, size: Tensor) -> Tensor:
    return cost / torch.where(size > 0, size, 1.0)


def _rows(
    point: WeightSpace,
    group: int,
    side: Side,
    element: GroupElement,
    quiet: Sequence[Tensor] = (),
    neurons: Tensor | None = None,
) -> Rows:
    parts = list(neuron_rows(point, group, side, element, quiet, neurons))
    weights = torch.cat([part for _, part, _ in parts])
    biases = [bias if bias is not None else part.new_zeros(len(part)) for _, part, bias in parts]
    return Rows(weights, torch.cat(biases))
