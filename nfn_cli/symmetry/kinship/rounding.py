"""Is one of two networks the other one, rounded to a lower precision?

Two cases can be decided, each in the coordinates of one network X, to which the other one is brought as g·Y:

- Y is the rounded one. Then g·Y is what rounding X gives, up to the rounding of Y's dtype: no scale is left open.
- X is the rounded one. Then X lies on the grid, and each of g·Y's numbers is nearer to X's than to others. In a
  large network, where scales are only fitted to be nearest, a few may lie a little beyond the middle.

In both, scales that alignment has fitted are fitted anew: to the rounded numbers, or to lie between their bounds. If
both networks are disguised by scales, each by its own, no coordinates are known in which one was rounded, and nothing
is found.

That numbers lie near to a grid is no proof: fine-tuning by little may leave each next to where it was. So the finer
network's numbers must be spread over the cells of the grid, as numbers are that know nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.errors import ArchitectureError
from nfn_cli.symmetry.alignment import orbit_tolerance
from nfn_cli.symmetry.alignment.residuals import FLOOR
from nfn_cli.symmetry.kinship.brought import Brought
from nfn_cli.symmetry.kinship.cells import Cell, fit_cells
from nfn_cli.symmetry.kinship.grids import KINDS, Grid, grid_of
from nfn_cli.symmetry.sources import inverted

if TYPE_CHECKING:
    from nfn_cli.architectures.labels import LabelledArchitecture
    from nfn_cli.symmetry.sources import AnyElement, AnySource

_NOISE = 1e-6  # relative: of float32's numbers after an element has acted
_LEFT = 0.35  # share of a squared distance that may be left when the scales are not yet fitted to the grid
_MORE = 3.0  # times the squared distance that rounding explains; where it is more, nothing else is asked
_BINS = 20
_BEYOND = 0.01  # of half a step: how far a number may lie beyond the edge of its cell
_BEYOND_LARGE = 0.3  # the same in a large network
_LEFT_BEYOND = 3e-4  # share of a squared distance that may lie beyond the edges
_NUMBERS = 4  # that are changed, for each free scale
_LEAST = 8  # numbers that rounding has changed
_CROWDED = 0.1  # largest distance from an even spread over the cells
_CROWDED_HALF = 0.3  # of numbers that were rounded before, which have few places in a cell
_UNFITTED = 0.2  # what is allowed in addition before scales are fitted
_SIGNIFICANT = 1.95  # Kolmogorov and Smirnov's distance times √n, of level 0.001
_MOST_CELLS = 1 << 22  # numbers for which scales are looked for within bounds
_INSIDE = 0.999  # of a cell: numbers at the very edge are rounded beyond
# Up to so many numbers: steps of each fit.
_STEPS = ((1 << 22, 60), (1 << 26, 20), (1 << 40, 6))


@dataclass(frozen=True)
class Rounded:
    """What was found.

    Attributes:
        kind: one of `KINDS`, such as bfloat16 or int8 per row.
        which: the network that is the other one rounded.
        deviation: the largest difference of an entry from what rounding gives, relative as in `Residual`; 0 where it is
            met to the bit.
    """

    kind: str
    which: Literal["A", "B"]
    deviation: float


def rounded_to(reference: AnySource, source: AnySource, element: AnyElement) -> Rounded | None:
    """Whether one network is the other one after rounding.

    Norms, biases and whole layers may be left as they are; then they have to be equal.

    Args:
        reference, source: A and B, of one architecture.
        element: g, with g·B near to A.
    """
    there = Brought(reference, source, element)
    back = Brought(source, reference, inverted(source, element))
    try:
        if not there.pairs or not back.pairs:
            return None
    except ArchitectureError:  # stored in other tensors
        return None
    for brought, names in ((there, ("A", "B")), (back, ("B", "A"))):
        if found := _decided(brought):
            case, deviation = found
            return Rounded(case.kind, names[1 if case.fixed_is_finer else 0], deviation)  # type: ignore[arg-type]
    return None


@dataclass(frozen=True)
class _Case:
    """What may be so.

    Attributes:
        fixed_is_finer: whether Y is X rounded; otherwise X is Y rounded.
    """

    kind: str
    fixed_is_finer: bool


_CASES = tuple(_Case(kind, finer) for kind in KINDS for finer in (True, False))


@dataclass
class _Sums:
    """One tensor, or all of them, in one case.

    Attributes:
        whole: ‖g·Y − X‖².
        left: the same of what rounding does not explain.
        explained: the squared distance that rounding explains.
        noise: that of rounding to Y's dtype.
        deviation: the largest of one entry.
        beyond: where X is rounded, the farthest that a number lies beyond the edge of X's cell, in half steps; where a
            tensor is equal, beyond the tolerance, as a share of it.
        changed: how many numbers rounding has changed.
        spread: float64 [bins]; where in their cells these lie, from their middle to the edge.
        on_grid: whether all of X lies on the grid.
    """

    whole: float = 0.0
    left: float = 0.0
    explained: float = 0.0
    noise: float = 0.0
    deviation: float = 0.0
    beyond: float = 0.0
    changed: int = 0
    spread: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_BINS))
    on_grid: bool = True

    def add(self, other: _Sums) -> None:
        """Add those of one more tensor."""
        self.whole += other.whole
        self.left += other.left
        self.deviation = max(self.deviation, other.deviation)
        self.beyond = max(self.beyond, other.beyond)
        self.changed += other.changed
        self.spread = self.spread + other.spread

    @property
    def crowding(self) -> float:
        """How far the numbers are from an even spread over their cells, by Kolmogorov and Smirnov: 0 to 1."""
        shares = np.cumsum(self.spread) / max(1.0, self.spread.sum())
        return float(np.abs(shares - np.arange(1, _BINS + 1) / _BINS).max())


@dataclass
class _Measured:
    """All tensors in one case.

    Attributes:
        rounded: Y's names of the tensors that are rounded; the others are equal.
    """

    sums: _Sums = field(default_factory=_Sums)
    rounded: set[str] = field(default_factory=set)


def _decided(brought: Brought) -> tuple[_Case, float] | None:
    """The first case that holds, and the deviation that is left."""
    exact = brought.settled()
    if exact is not None:
        for case, found in _measured(exact, _CASES).items():
            if _holds(exact, case, found):
                return case, found.sums.deviation
    # Numbers of half precision, times any scale, are too coarse to tell where in a cell they were.
    coarse = brought.moving.precision not in (torch.float32, torch.float64)
    cases = [case for case in _CASES if case.fixed_is_finer or not coarse]
    for case, found in _measured(brought, cases).items():
        if found.sums.left <= _LEFT * found.sums.whole and (deviation := _fitted(brought, case, found)) is not None:
            return case, deviation
    return None


def _holds(brought: Brought, case: _Case, found: _Measured) -> bool:
    sums = found.sums
    if case.fixed_is_finer:
        near = sums.deviation <= orbit_tolerance(brought.moving.precision) and sums.left <= _LEFT * sums.whole
    else:
        # So few numbers as to be met by scales alone say nothing.
        many = sums.changed >= _NUMBERS * brought.labels.logs.free
        most = _BEYOND if _count(brought.labels) <= _MOST_CELLS else _BEYOND_LARGE
        near = many and sums.beyond <= most and sums.left <= _LEFT_BEYOND * sums.whole
    return near and _is_spread(brought, case, found)


def _is_spread(brought: Brought, case: _Case, found: _Measured, more: float = 0.0) -> bool:
    """Whether the finer network's numbers are spread over their cells, as those are that know nothing of the grid."""
    sums, finer = found.sums, brought.fixed if case.fixed_is_finer else brought.moving
    crowded = _CROWDED if finer.precision in (torch.float32, torch.float64) else _CROWDED_HALF
    return sums.changed >= _LEAST and sums.crowding <= crowded + more + _SIGNIFICANT / math.sqrt(sums.changed)


def _fitted(brought: Brought, case: _Case, found: _Measured) -> float | None:
    """The deviation after the scales are fitted to the rounded numbers; None where the case does not hold."""
    if not _is_spread(brought, case, found, 0.0 if case.fixed_is_finer else _UNFITTED):
        return None
    if not _holds(brought, case, found):
        again = _measured(brought := _refitted(brought, case, found), [case]).get(case)
        if again is None:
            return None
        found = again
    return found.sums.deviation if _holds(brought, case, found) else None


def _measured(brought: Brought, cases: tuple[_Case, ...] | list[_Case]) -> dict[_Case, _Measured]:
    """What each case leaves, without those that are far from what rounding explains."""
    found = {case: _Measured() for case in cases}
    precision = brought.moving.precision
    noise = orbit_tolerance(precision) ** 2
    for mine, other in brought.pairs.items():
        fixed = brought.fixed.checkpoint.tensors[other]
        if not fixed.is_floating_point():
            if not torch.equal(fixed, brought.moving.checkpoint.tensors[mine]):
                return {}
            continue
        for case, (rounded, equal) in _of_tensor(brought, mine, fixed, list(found)).items():
            takes = rounded.on_grid and rounded.left < equal.left
            best = rounded if takes else equal
            most = _MORE * (rounded.explained if rounded.on_grid else 0.0) + noise * best.noise
            if fixed.ndim > 1 and best.whole > most:
                del found[case]
                continue
            found[case].sums.add(best)
            if takes:
                found[case].rounded.add(mine)
        if not found:
            break
    return found


def _of_tensor(brought: Brought, name: str, fixed: Tensor, cases: list[_Case]) -> dict[_Case, tuple[_Sums, _Sums]]:
    """What one tensor leaves if it is rounded, and if it is equal."""
    found = {case: (_Sums(), _Sums()) for case in cases}
    grids = {kind: grid_of(kind, fixed) for kind in {case.kind for case in cases}}
    added, level = brought.added(name), 0.0
    if fixed.ndim < 2:
        level = fixed.double().square().mean().sqrt().item() if fixed.numel() else 0.0
    for own, moved, rows in _chunks(brought, name, fixed):
        if fixed.ndim < 2:
            floor = torch.full_like(own, FLOOR * level)
        else:
            norms = [torch.linalg.vector_norm(part.flatten(1), dim=1) for part in (own, moved)]
            floor = (FLOOR * torch.maximum(*norms)).view(-1, *[1] * (own.ndim - 1)).expand_as(own)
        floor = floor + added
        for case, (rounded, equal) in found.items():
            grid = grids[case.kind].rows(*rows)
            wanted = _wanted(case, grid, own, moved)
            base = wanted if case.fixed_is_finer else own
            _add(rounded, moved, own, wanted, floor)
            _add(equal, moved, own, own, floor)
            if not case.fixed_is_finer:
                equal.beyond = equal.deviation / orbit_tolerance(brought.moving.precision) - 1
            if not case.fixed_is_finer:
                rounded.on_grid &= bool(((grid.nearest(own) - own).abs() <= _NOISE * own.abs()).all())
            halves = grid.half_steps(base)
            if not case.fixed_is_finer and own.numel():
                far = torch.where(moved == own, 0.0, (moved - own).abs() / halves - 1)
                rounded.beyond = max(rounded.beyond, far.max().item())
            away = ((own if case.fixed_is_finer else moved) - base).abs()
            rounded.explained += away.square().sum().item() if case.fixed_is_finer else halves.square().sum().item() / 3
            some = (base != 0) & (away > _NOISE * base.abs())
            rounded.changed += int(some.sum())
            places = (away[some] / halves[some]).clamp(0, 1)
            rounded.spread += torch.histc(places, _BINS, 0, 1).numpy()
    return found


def _add(sums: _Sums, moved: Tensor, own: Tensor, wanted: Tensor, floor: Tensor) -> None:
    left = (moved - wanted).abs()
    # 0/0 counts as no deviation, and NaN as the largest.
    relative = torch.where(left == 0, 0.0, left / torch.maximum(wanted.abs(), floor)).nan_to_num(math.inf)
    sums.deviation = max(sums.deviation, relative.max().item() if relative.numel() else 0.0)
    sums.left += left.square().sum().nan_to_num(math.inf).item()
    sums.whole += (moved - own).square().sum().item()
    sums.noise += torch.maximum(wanted.abs(), floor).square().sum().item()


def _wanted(case: _Case, grid: Grid, own: Tensor, moved: Tensor) -> Tensor:
    """What g·Y would be: X rounded; or what it is, and at the edge of X's cell where it is beyond."""
    if case.fixed_is_finer:
        return grid.taken(own, moved, _NOISE)
    edge = own + (moved - own).sign() * grid.half_steps(own)
    return torch.where((moved - own).abs() > (edge - own).abs(), edge, moved)


def _chunks(brought: Brought, name: str, fixed: Tensor) -> Iterator[tuple[Tensor, Tensor, tuple[int, int]]]:
    """X's rows and g·Y's, float64, and which they are."""
    whole, start = torch.atleast_1d(fixed), 0
    for part in brought.rows(name):
        stop = start + len(part)
        yield whole[start:stop].double(), part, (start, stop)
        start = stop


class _Moved(Mapping[str, Tensor]):
    """g·Y by Y's names; float64, made when it is asked for."""

    def __init__(self, brought: Brought) -> None:
        self._brought = brought

    def __getitem__(self, name: str) -> Tensor:
        shape = self._brought.moving.checkpoint.tensors[name].shape
        return torch.cat(list(self._brought.rows(name))).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._brought.pairs)

    def __len__(self) -> int:
        return len(self._brought.pairs)

    def __contains__(self, name: object) -> bool:
        return name in self._brought.pairs


class _Fixed(_Moved):
    """X by Y's names; rounded where Y is."""

    def __init__(self, brought: Brought, case: _Case, rounded: set[str]) -> None:
        super().__init__(brought)
        self._case, self._rounded = case, rounded

    def __getitem__(self, name: str) -> Tensor:
        fixed = self._brought.fixed.checkpoint.tensors[self._brought.pairs[name]]
        if not self._case.fixed_is_finer or name not in self._rounded:
            return fixed
        grid = grid_of(self._case.kind, fixed)
        parts = [
            _wanted(self._case, grid.rows(*rows), own, moved)
            for own, moved, rows in _chunks(self._brought, name, fixed)
        ]
        return torch.cat(parts).reshape(fixed.shape)


def _refitted(brought: Brought, case: _Case, found: _Measured) -> Brought:
    """The same with the scales under which Y is X rounded, or all of Y lies in the cells of X. For those of a large
    network, which has many numbers to a scale, the scales that bring Y nearest to X."""
    labels = brought.labels
    if not case.fixed_is_finer and _count(labels) <= _MOST_CELLS:
        return brought.scaled(fit_cells(labels, _cells(brought, case, found)))
    from nfn_cli.symmetry.labelled.alignment.search import Search

    ours, theirs = _Moved(brought), _Fixed(brought, case, found.rounded)
    search = Search(labels, ours, theirs, orbit_tolerance(torch.float64), scaled=True)
    search.restart()
    search.fit.descend(next(steps for most, steps in _STEPS if _count(labels) <= most))
    return brought.scaled(search.element.logs)


def _cells(brought: Brought, case: _Case, found: _Measured) -> Iterator[Cell]:
    """Where Y's numbers have to be: in X's cells, or, in tensors that are not rounded, at X's numbers."""
    moved, tolerance = _Moved(brought), orbit_tolerance(brought.moving.precision)
    for tensor in brought.labels.tensors:
        name = next((name for name in tensor.names if name in brought.pairs), None)
        if name is None:
            continue
        fixed = brought.fixed.checkpoint.tensors[brought.pairs[name]]
        middles = fixed.double()
        if name in found.rounded:
            halves = grid_of(case.kind, fixed).half_steps(middles) * _INSIDE
        else:
            halves = tolerance * middles.abs().clamp_min(FLOOR * middles.square().mean().sqrt().item() or 1.0)
        yield Cell(tensor, moved[name], middles, halves)


def _count(labels: LabelledArchitecture) -> int:
    return sum(math.prod(tensor.shape) for tensor in labels.tensors)


__all__ = ["KINDS", "Rounded", "rounded_to"]
