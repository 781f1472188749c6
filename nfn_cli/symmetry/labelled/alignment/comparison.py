"""Are two networks on labels on one orbit? Find the element that brings one to the other, or as near as the group can."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.errors import UsageError
from nfn_cli.symmetry.alignment import orbit_tolerance
from nfn_cli.symmetry.alignment.residuals import Residual, largest_deviation
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.labelled.action import present
from nfn_cli.symmetry.labelled.alignment.residuals import residuals
from nfn_cli.symmetry.labelled.alignment.search import Search
from nfn_cli.symmetry.labelled.element import Element, identity
from nfn_cli.threads import threads_for

_STEPS = ((1 << 22, 60, 12), (1 << 26, 20, 4), (1 << 40, 6, 1))  # weights up to which: steps of descent, sweeps


@dataclass(frozen=True, eq=False)
class LabelledAlignment:
    """The best element found, and how well it does.

    Attributes:
        element: g; g·A is next to B.
        residuals: of g·A − B, by module.
        permuted: the same with the best permutations and nothing else; None where SciPy is wanted for it and missing.
        tolerance: the deviation that still counts as rounding.
    """

    element: Element
    residuals: tuple[Residual, ...]
    permuted: tuple[Residual, ...] | None
    tolerance: float

    @property
    def deviation(self) -> float:
        """The largest deviation of any module."""
        return largest_deviation(self.residuals) if self.residuals else 0.0

    @property
    def same_orbit(self) -> bool:
        """Whether g·A is B but for rounding."""
        return self.deviation <= self.tolerance


_Found = tuple[Element, tuple[Residual, ...]]


def align(
    architecture: LabelledArchitecture,
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    precision: torch.dtype | None = None,
    *,
    watch: Watch = UNWATCHED,
) -> LabelledAlignment:
    """Find g such that g·A is next to B.

    Args:
        ours, theirs: A and B by name, which may be read as they are asked for; only what the group acts on is.
        precision: the coarsest dtype that the weights were stored in; that of the tensors by default.
        watch: told what is under way.

    Raises:
        ValueError: a tensor is not there, or has another shape.
        UsageError: SciPy is needed and missing.
    """
    count = sum(math.prod(tensor.shape) for tensor in architecture.tensors)
    with threads_for(count):
        return _align(architecture, ours, theirs, precision, watch, count)


def _align(
    architecture: LabelledArchitecture,
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    precision: torch.dtype | None,
    watch: Watch,
    count: int,
) -> LabelledAlignment:
    if precision is None:
        dtypes = [
            own[name].dtype for own in (ours, theirs) for tensor in architecture.tensors for name in present(tensor, own)
        ]
        tolerance = orbit_tolerance(*(dtypes or [torch.float64]))
    else:
        tolerance = orbit_tolerance(precision)
    steps, sweeps = next((steps, sweeps) for most, steps, sweeps in _STEPS if count <= most)
    still = identity(architecture)
    in_place = residuals(still, architecture, ours, theirs, most=tolerance)
    if not in_place or largest_deviation(in_place) <= tolerance:
        return LabelledAlignment(still, in_place, in_place, tolerance)
    in_place = residuals(still, architecture, ours, theirs)

    def found(scaled: bool, starts: list[_Found]) -> _Found:
        search = Search(architecture, ours, theirs, tolerance, scaled=scaled)
        search.forward(watch)

        def measured() -> _Found:
            element = search.element
            return element, residuals(element, architecture, ours, theirs)

        best = measured()
        if largest_deviation(best[1]) <= tolerance:
            return best
        at_rest = (still, in_place)
        if _total(at_rest) < _total(best):
            search.restart()
            best = at_rest
        for sweep in range(sweeps + 1):
            if scaled:
                search.fit.descend(steps)
            now = measured()
            if _total(now) < _total(best):
                best = now
            if largest_deviation(best[1]) <= tolerance or sweep == sweeps or not search.sweep(watch):
                break
        return min([best, *starts], key=_total)

    if not architecture.logs.free and not architecture.signs.free:
        element, left = found(False, [])
        return LabelledAlignment(element, left, left, tolerance)
    alone: list[_Found] = []
    with suppress(UsageError):
        alone.append(found(False, []))
    element, left = found(True, alone)
    return LabelledAlignment(element, left, alone[0][1] if alone else None, tolerance)


def _total(found: _Found) -> float:
    total = sum(residual.distance**2 for residual in found[1])
    return total if math.isfinite(total) else math.inf
