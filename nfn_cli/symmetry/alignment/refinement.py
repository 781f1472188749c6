"""The element that leaves two networks nearest to each other, where none brings one to the other.

Weight matching (Ainsworth et al. 2023, *Git Re-Basin*, arXiv 2209.04836, algorithm 1), with scales, signs and phases as
well as permutations: each neuron group in turn gets the permutation and factors that are best for the weights that
feed it and those that read it, while all other groups keep theirs, until nothing is gained. The sum of the squared
distances of all layers, each relative to its layer of B, never grows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side
from nfn_cli.errors import UsageError
from nfn_cli.symmetry.alignment.assignment import assign
from nfn_cli.symmetry.alignment.residuals import by_layer, norms
from nfn_cli.symmetry.alignment.rows import Freedom, Rows, read_rows
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.element import GroupElement

_SWEEPS = 10
_MOST_WORK = 2e12  # multiplications in all: about a minute
_WORTH = 1e-3  # share of the distance; a sweep that gains less is the last
_BETTER = 1e-9  # relative; a smaller difference is rounding
_REAL = 1e-6  # relative; the imaginary part of a real root after rounding


def refine(
    element: GroupElement,
    ours: NetworkWeights,
    theirs: NetworkWeights,
    freedoms: Sequence[Freedom],
    watch: Watch = UNWATCHED,
) -> GroupElement:
    """An element whose g·A is at least as near to B as the given one's.

    Where a permutation needs SciPy and it is missing, permutations stay. If one pass over all groups would take more
    than a minute, as for fifteen layers of 4,096 neurons, the given element is returned.

    Args:
        element: where to start.
        ours, theirs: A and B, of one architecture and with the same names.
        freedoms: per group, what the element may do to a neuron.
        watch: called after each group.
    """
    sweeps = min(_SWEEPS, int(_MOST_WORK // _work(theirs)))
    if not sweeps:
        return element
    ours, theirs, freedoms = _leveled(ours, theirs, freedoms)
    identity = GroupElement.identity([group.size for group in theirs.architecture.groups])
    for sweep in range(sweeps):
        gained = left = 0.0
        watch.on_stage(f"bringing them nearer, round {sweep + 1}", len(freedoms))
        for group, freedom in enumerate(freedoms):
            fed, read = (
                (read_rows(ours, group, side, element), read_rows(theirs, group, side, identity))
                for side in (Side.OUT, Side.IN)
            )
            pairs = _Pairs.of(fed, read, freedom)
            own = element.permutations[group], element.diagonals[group], element.half_turns[group]
            better = pairs.matched(*own[:2])
            before, after = pairs.distance(*own), pairs.distance(*better)
            if after < before * (1 - _BETTER):
                element = element.replace(group, *better)
                gained += before - after
            left += min(before, after)
            watch.on_step()
        if gained <= _WORTH * left:
            break
    return element


def _work(point: NetworkWeights) -> int:
    """The multiplications of one pass over all groups: each weight meets every neuron of the groups that it joins."""
    groups = point.architecture.groups
    joined = [
        math.prod(spec.shape) * sum(groups[role.group].size for role in spec.roles if role.group is not None)
        for spec in point.architecture.tensors
    ]
    return max(1, sum(joined))


def _leveled(
    ours: NetworkWeights, theirs: NetworkWeights, freedoms: Sequence[Freedom]
) -> tuple[NetworkWeights, NetworkWeights, list[Freedom]]:
    """Both networks with each layer divided by the norm of B's layer, the freedoms with half-turns in that scale."""
    mine, other, turned = {}, {}, list(freedoms)
    for _, specs in by_layer(theirs):
        norm = norms(torch.cat([theirs.tensors[spec.name].double().flatten() for spec in specs])[None]).item()
        level = norm if 0 < norm < math.inf else 1.0
        for spec in specs:
            # Half precision would lose small layers, and double precision takes twice the memory.
            dtype = torch.promote_types(torch.float32, ours.tensors[spec.name].dtype)
            mine[spec.name] = (ours.tensors[spec.name].double() / level).to(dtype)
            other[spec.name] = (theirs.tensors[spec.name].double() / level).to(dtype)
            for role in spec.roles:
                if role.bias and role.group is not None:
                    turned[role.group] = replace(freedoms[role.group], half_turn=freedoms[role.group].half_turn / level)
    return NetworkWeights(theirs.architecture, mine), NetworkWeights(theirs.architecture, other), turned


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a neuron of B and one of A, as arrays: inner products of what they read, and of what reads them.

    With a factor d, and f = ±d by which the weights that read the neuron are divided, the squared distance is
    |b|² − 2 d a·b + d² |a|² + (what is left of the bias) + |e|² − 2 c·e / f + |c|² / f².
    """

    freedom: Freedom
    fed: tuple[Tensor, Tensor, Tensor]  # |a|², a·b, |b|²; with the biases, but where there are phases
    read: tuple[Tensor, Tensor, Tensor]  # |c|², c·e, |e|²
    biases: tuple[Tensor, Tensor]  # of A and B
    index: Tensor  # the squared distances of what no factor changes; zeros where there is nothing

    @classmethod
    def of(cls, fed: tuple[Rows, Rows], read: tuple[Rows, Rows], freedom: Freedom) -> _Pairs:
        """All pairs, [n of B, n of A]."""
        a, b = (rows.weights if freedom.step else rows.joined for rows in fed)
        c, e = (rows.weights for rows in read)
        index = torch.zeros((), dtype=torch.float64)
        if fed[0].index is not None and fed[1].index is not None:
            index = _distance(_products(fed[0].index, fed[1].index), torch.ones((), dtype=torch.float64))
        return cls(freedom, _products(a, b), _products(c, e), (fed[0].biases[None], fed[1].biases[:, None]), index)

    def at(self, order: Tensor) -> _Pairs:
        """The pairs that a permutation makes, [n]."""
        positions = torch.arange(len(order))

        def pick(values: Tensor) -> Tensor:
            return values.expand(len(order), len(order))[positions, order]

        def those(products: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
            return pick(products[0]), pick(products[1]), pick(products[2])

        return _Pairs(
            self.freedom,
            those(self.fed),
            those(self.read),
            (pick(self.biases[0]), pick(self.biases[1])),
            pick(self.index),
        )

    def distance(self, order: Tensor, diagonal: Tensor, half_turns: Tensor) -> float:
        """The sum of the squared distances of the pairs that a permutation makes."""
        return self.at(order).cost(diagonal, half_turns).sum().item()

    def matched(self, order: Tensor, diagonal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best permutation, diagonal and half-turns; the present permutation where SciPy is needed and missing.

        The present factor of each neuron is among those that are tried.
        """
        own = diagonal[order.argsort()]  # in the order of A
        cost = torch.stack([self.cost(*guess) for guess in self._guesses()]).amin(0)
        with suppress(UsageError):
            order = order if self.freedom.in_place else assign(cost, torch.zeros_like(cost, dtype=torch.bool))
        chosen = self.at(order)
        tried = [(d.expand(len(order)), k.expand(len(order))) for d, k in chosen._guesses()]
        if self.freedom.scaled:
            tried += [(d, torch.zeros_like(d)) for d in (own[order], *chosen._stationary())]
        costs = torch.stack([chosen.cost(*guess) for guess in tried]).nan_to_num(torch.inf, torch.inf)
        best = costs.argmin(0, keepdim=True)
        diagonal, half_turns = (torch.stack(parts).gather(0, best)[0] for parts in zip(*tried, strict=True))
        return order, diagonal, half_turns.long()

    def cost(self, diagonal: Tensor, half_turns: Tensor) -> Tensor:
        """The squared distances."""
        factor = diagonal * (1 - 2 * (half_turns % 2))
        found = _distance(self.fed, diagonal) + _distance(self.read, 1 / factor) + self.index
        if self.freedom.step:
            left = self.biases[1] - diagonal * self.biases[0] - half_turns * self.freedom.half_turn
            found = found + left.square()
        return found

    def _guesses(self) -> list[tuple[Tensor, Tensor]]:
        """Diagonals and half-turns to try: one of them is the best, or for a free scale near to the best."""
        one, none = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        if self.freedom.scaled:
            by_fed = _usable((self.fed[2] / self.fed[0]).sqrt())
            by_read = _usable((self.read[0] / self.read[2]).sqrt())
            guesses = [by_fed, by_read, (by_fed * by_read).sqrt()]
            if self.freedom.signed:
                signs = [torch.where(d * self.fed[1] + self.read[1] / d < 0, -1.0, 1.0) for d in guesses]
                guesses = [sign * d for sign, d in zip(signs, guesses, strict=True)]
            return [(d, none) for d in guesses]
        signs = [one, -one] if self.freedom.signed else [one]
        if not self.freedom.step:
            return [(sign, none) for sign in signs]
        # An odd number of half-turns flips the signs of what reads the neuron; that may gain more than the bias loses.
        parities = (0, 1) if self.freedom.step == 1 else (0,)
        wanted = [(sign, (self.biases[1] - sign * self.biases[0]) / self.freedom.half_turn) for sign in signs]
        return [(sign, 2 * ((exact - odd) / 2).round() + odd) for sign, exact in wanted for odd in parities]

    def _stationary(self) -> list[Tensor]:
        """The free factors s at which the squared distance is stationary, each [n].

        They are s = (|c|² / |a|²)^¼ u for the real roots u of u⁴ − q u³ + t u − 1.
        """
        a, c = self.fed[0], self.read[0]
        unit = _usable((c / a) ** 0.25)
        q = (self.fed[1] / (a**0.75 * c**0.25)).nan_to_num(0.0, 0.0, 0.0)
        t = (self.read[1] / (a**0.25 * c**0.75)).nan_to_num(0.0, 0.0, 0.0)
        companion = torch.zeros(len(a), 4, 4, dtype=torch.float64)
        companion[:, 1:, :3] = torch.eye(3, dtype=torch.float64)
        companion[:, 0, 3], companion[:, 1, 3], companion[:, 3, 3] = 1.0, -t, q
        roots = torch.linalg.eigvals(companion)
        real = roots.imag.abs() <= _REAL * roots.abs()
        allowed = real & ((roots.real > 0) | self.freedom.signed)
        found = [torch.where(allowed[:, i], roots.real[:, i] * unit, 1.0) for i in range(4)]
        # The roots where nothing feeds the neuron, or nothing reads it.
        found += [self.fed[1] / a, c / self.read[1]]
        return [_usable(s, signed=self.freedom.signed) for s in found]


def _usable(factors: Tensor, *, signed: bool = False) -> Tensor:
    """The factors, with 1 in place of those that the group does not have."""
    return torch.where(factors.isfinite() & ((factors != 0) if signed else (factors > 0)), factors, 1.0)


def _products(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return ours.square().sum(1)[None], theirs @ ours.T, theirs.square().sum(1)[:, None]


def _distance(products: tuple[Tensor, Tensor, Tensor], factor: Tensor) -> Tensor:
    ours, inner, theirs = products
    return (theirs - 2 * factor * inner + factor.square() * ours).clamp_min(0)
