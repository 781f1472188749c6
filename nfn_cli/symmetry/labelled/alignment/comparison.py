"""Are two networks on labels on one orbit? The element that brings one to the other, or as near as the group allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.errors import UsageError
from nfn_cli.symmetry.alignment import Alignment, orbit_tolerance
from nfn_cli.symmetry.alignment.residuals import Residual, largest_deviation
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.labelled.action import present
from nfn_cli.symmetry.labelled.alignment.residuals import residuals
from nfn_cli.symmetry.labelled.alignment.search import Search
from nfn_cli.symmetry.labelled.element import Element, identity
from nfn_cli.threads import threads_for

_SMALL = 1 << 22  # largest number of weights for which the best permutations without scales are searched for as well
_LEAST = 1e-4  # relative gain of a squared distance; a sweep that gains less is the last
# Up to so many weights: steps of descent, sweeps. What is measured is enough for a large network's relatives.
_STEPS = ((1 << 22, 60, 12), (1 << 26, 20, 4), (1 << 28, 6, 1), (1 << 40, 3, 0))
_MEASURED_ALONE = 1 << 28  # up to so many weights permutations alone are measured, too, where nothing brings A to B


LabelledAlignment = Alignment[Element]

_Found = tuple[Element, tuple[Residual, ...]]


def align(
    architecture: LabelledArchitecture,
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    precision: torch.dtype | None = None,
    *,
    scaled: bool = True,
    search: bool = True,
    watch: Watch = UNWATCHED,
) -> LabelledAlignment:
    """Find g such that g·A is next to B.

    Args:
        ours, theirs: A and B by name; a mapping may read a tensor when it is asked for. Only tensors on which the group
            acts are read.
        precision: the coarsest dtype that the weights were stored in; that of the tensors by default.
        scaled: whether scales and signs may be used beside permutations.
        search: whether anything is searched for; without it both are compared where they lie, by the identity.
        watch: called with the progress.

    Raises:
        ValueError: a tensor is not there, or has another shape.
        UsageError: SciPy is needed and missing.
    """
    count = sum(math.prod(tensor.shape) for tensor in architecture.tensors)
    with threads_for(count):
        return _align(architecture, ours, theirs, precision, watch, count, scaled=scaled, search=search)


def _align(
    architecture: LabelledArchitecture,
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    precision: torch.dtype | None,
    watch: Watch,
    count: int,
    *,
    scaled: bool,
    search: bool,
) -> LabelledAlignment:
    if precision is None:
        dtypes = [
            own[name].dtype
            for own in (ours, theirs)
            for tensor in architecture.tensors
            for name in present(tensor, own)
        ]
        tolerance = orbit_tolerance(*(dtypes or [torch.float64]))
    else:
        tolerance = orbit_tolerance(precision)
    still = identity(architecture)
    in_place = residuals(still, architecture, ours, theirs, most=tolerance if search else math.inf)
    if not search or not in_place or largest_deviation(in_place) <= tolerance:
        return LabelledAlignment(still, in_place, in_place, tolerance, in_place)
    rounds = _Rounds(architecture, ours, theirs, tolerance, count, watch)
    forward = rounds.search(scaled=scaled)
    forward.forward(watch)
    found = rounds.nearest(forward)
    if found[0].is_permutation:
        return LabelledAlignment(*found, found[1], tolerance, rounds.in_place)
    same = largest_deviation(found[1]) <= tolerance
    if not same and count > _MEASURED_ALONE:
        return LabelledAlignment(*found, None, tolerance, rounds.in_place)
    alone = rounds.permuted(forward, same=same)
    if not same and alone is not None:
        found = min(found, alone, key=_total)
    return LabelledAlignment(*found, None if alone is None else alone[1], tolerance, rounds.in_place)


@dataclass(eq=False)
class _Rounds:
    """Rounds of sweeps that improve what a search has found.

    Attributes:
        count: how many weights there are.
    """

    architecture: LabelledArchitecture
    ours: Mapping[str, Tensor]
    theirs: Mapping[str, Tensor]
    tolerance: float
    count: int
    watch: Watch

    @cached_property
    def at_rest(self) -> _Found:
        """The identity as a start: a fine-tuned network is near to where it was."""
        element = identity(self.architecture)
        return element, residuals(element, self.architecture, self.ours, self.theirs)

    @property
    def in_place(self) -> tuple[Residual, ...] | None:
        """What the identity leaves, where it was measured."""
        return self.at_rest[1] if "at_rest" in self.__dict__ else None

    def search(self, *, scaled: bool) -> Search:
        return Search(self.architecture, self.ours, self.theirs, self.tolerance, scaled=scaled)

    def measured(self, search: Search) -> _Found:
        element = search.element
        return element, residuals(element, self.architecture, self.ours, self.theirs)

    def nearest(self, search: Search) -> _Found:
        """What a search has found, if it brings A to B. Otherwise the nearest element that sweeps reach from there, or
        from the identity."""
        best = self.measured(search)
        if largest_deviation(best[1]) <= self.tolerance:
            return best
        if _total(self.at_rest) < _total(best):
            search.restart()
            best = self.at_rest
        steps, sweeps = next((steps, sweeps) for most, steps, sweeps in _STEPS if self.count <= most)
        for sweep in range(sweeps + 1):
            before = _total(best)
            if search.scaled:
                search.fit.flip(steps)
                search.fit.descend(steps)
            best = min(best, self.measured(search), key=_total)
            if largest_deviation(best[1]) <= self.tolerance or (sweep and _total(best) > before * (1 - _LEAST)):
                break
            if sweep == sweeps or not search.sweep(self.watch):
                break
        return best

    def permuted(self, found: Search, *, same: bool) -> _Found | None:
        """The best permutations without scales, starting from those of another search. If that search has brought A to
        B, its permutations are the best. None where SciPy is missing."""
        search = self.search(scaled=False)
        search.start_from(found)
        best = self.measured(search)
        if same:
            return best
        best = min(best, self.at_rest, key=_total)
        if self.count > _SMALL:
            return best
        with suppress(UsageError):
            best = min(best, self.nearest(search), key=_total)
            search = self.search(scaled=False)
            search.forward(self.watch)
            return min(best, self.nearest(search), key=_total)
        return None


def _total(found: _Found) -> float:
    total = sum(residual.distance**2 for residual in found[1])
    return total if math.isfinite(total) else math.inf
