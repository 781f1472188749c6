"""Are two networks on one orbit? Find the element that brings one to the other, or as near as the group allows."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from nfn_cli.architectures import Architecture, Layer, NetworkWeights
from nfn_cli.errors import ArchitectureError, DifferentError, UsageError
from nfn_cli.symmetry.alignment.aligner import Aligner
from nfn_cli.symmetry.alignment.refinement import refine
from nfn_cli.symmetry.alignment.residuals import Residual, largest_deviation, residuals
from nfn_cli.symmetry.alignment.rows import Freedom
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind, group_kind, phase_step
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.threads import by_weights

# Up to three roundings: of the entry, of its neuron's scale, and of the scale of the neuron that it reads.
_TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}


ElementT = TypeVar("ElementT")


@dataclass(frozen=True)
class Alignment(Generic[ElementT]):
    """The best element found, and how well it does.

    Attributes:
        element: g; g·A is next to B.
        residuals: of g·A − B, by layer or module; empty where the group acts on no tensor.
        permuted: the same for the best permutations without scales and signs; None where that needs SciPy, which is
            missing.
        tolerance: the deviation that still counts as rounding.
        in_place: of A − B by layers on which the group acts, where that was measured.
    """

    element: ElementT
    residuals: tuple[Residual, ...]
    permuted: tuple[Residual, ...] | None
    tolerance: float
    in_place: tuple[Residual, ...] | None = None

    @property
    def deviation(self) -> float:
        """The largest deviation of any layer."""
        return largest_deviation(self.residuals) if self.residuals else 0.0

    @property
    def same_orbit(self) -> bool:
        """Whether g·A is B but for rounding."""
        return self.deviation <= self.tolerance


@dataclass(frozen=True)
class Difference:
    """Why no element can lead from one architecture to another.

    Attributes:
        cause: the first thing that differs.
        option: the option that would say what the files do not say, so that the networks may still be equal; None where
            the files say it, so that the networks are certainly different.
    """

    cause: str
    option: str | None = None

    def error(self, subject: str | os.PathLike[str], remedy: str) -> ArchitectureError:
        """The error to raise: the networks are different, or they cannot be compared.

        Args:
            remedy: what to do about networks that are different.
        """
        if self.option is None:
            return DifferentError(subject, self.cause, remedy)
        remedy = f"the files say too little to compare them: say what holds for both ({self.option})"
        return ArchitectureError(subject, self.cause, remedy)


def orbit_tolerance(*dtypes: torch.dtype) -> float:
    """The deviation that rounding explains in the coarsest of these dtypes."""
    return max(_TOLERANCES.get(dtype, 2e-2) for dtype in dtypes)


@by_weights
def align(
    ours: NetworkWeights,
    theirs: NetworkWeights,
    precision: torch.dtype | None = None,
    *,
    scaled: bool = True,
    search: bool = True,
    watch: Watch = UNWATCHED,
) -> Alignment[GroupElement]:
    """Find g such that g·A is next to B.

    Args:
        ours, theirs: A and B, without batch axes; computation is float64 whatever their dtypes.
        precision: the coarsest dtype that the weights were stored in; that of the tensors by default.
        scaled: whether scales, signs and phases may be used beside permutations.
        search: whether anything is searched for; without it both are compared where they lie, by the identity.
        watch: called with the progress.

    Raises:
        DifferentError: the networks differ in more than their weights.
        ArchitectureError: they may differ in more, and their files do not say enough to know.
        UsageError: SciPy is needed and missing.
    """
    difference = architecture_difference(ours.architecture, theirs.architecture)
    if difference is not None:
        raise difference.error(theirs.architecture.describe(), "compare networks of one architecture")
    tolerance = orbit_tolerance(
        *[precision] if precision else [t.dtype for point in (ours, theirs) for t in point.tensors.values()]
    )
    freedoms = [
        _freedom(ours.architecture, theirs.architecture, group) for group in range(len(theirs.architecture.groups))
    ]
    ours = renamed(ours, theirs.architecture)
    if not search:
        still, left = _measured(
            GroupElement.identity([group.size for group in theirs.architecture.groups]), ours, theirs
        )
        return Alignment(still, left, left, tolerance)
    fixed = [Freedom(DiagonalKind.TRIVIAL, in_place=freedom.in_place) for freedom in freedoms]
    freedoms = freedoms if scaled else fixed
    forward = _measured(Aligner(ours, theirs, freedoms, tolerance).run(watch), ours, theirs)
    if freedoms == fixed:
        element, left = _nearest([forward], ours, theirs, fixed, tolerance, watch)
        return Alignment(element, left, left, tolerance)
    alone: list[_Found] = []
    with suppress(UsageError):
        permuted = _measured(Aligner(ours, theirs, fixed, tolerance).run(watch), ours, theirs)
        alone.append(_nearest([permuted], ours, theirs, fixed, tolerance, watch))
    element, left = _nearest([forward, *alone], ours, theirs, freedoms, tolerance, watch)
    return Alignment(element, left, alone[0][1] if alone else None, tolerance)


def renamed(point: NetworkWeights, architecture: Architecture) -> NetworkWeights:
    """A network's weights by the names of another one, of the same architecture but for names."""
    pairs = zip(point.architecture.tensors, architecture.tensors, strict=True)
    return NetworkWeights(architecture, {their.name: point.tensors[our.name] for our, their in pairs})


_Found = tuple[GroupElement, tuple[Residual, ...]]


def _measured(element: GroupElement, ours: NetworkWeights, theirs: NetworkWeights) -> _Found:
    return element, residuals(element, ours, theirs)


def _nearest(
    starts: Sequence[_Found],
    ours: NetworkWeights,
    theirs: NetworkWeights,
    freedoms: Sequence[Freedom],
    tolerance: float,
    watch: Watch,
) -> _Found:
    """The first of these if it brings A to B. Otherwise the nearest element that can be reached from the best of them
    or from the identity: a fine-tuned network is near to where it was."""
    if largest_deviation(starts[0][1]) <= tolerance:
        return starts[0]
    identity = GroupElement.identity([group.size for group in theirs.architecture.groups])
    best = min(*starts, _measured(identity, ours, theirs), key=_total)
    return min(best, _measured(refine(best[0], ours, theirs, freedoms, watch), ours, theirs), key=_total)


def _total(found: _Found) -> float:
    return sum(residual.distance**2 for residual in found[1])


def architecture_difference(ours: Architecture, theirs: Architecture) -> Difference | None:
    """Why no element can lead from one architecture to another; None if one can."""
    if ours.activation != theirs.activation:
        return Difference(f"its activation is {theirs.activation}, the other's {ours.activation}")
    if len(ours.layers) != len(theirs.layers):
        return Difference(f"it has {len(theirs.layers)} layers, the other {len(ours.layers)}")
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        if (mine.kind, mine.weight_shape, mine.spatial) != (other.kind, other.weight_shape, other.spatial):
            return Difference(f"its layer {other.name} is {other.describe()}, the other's {mine.describe()}")
        if _stages(mine) != _stages(other):
            stands = _stages(other) or "nothing", _stages(mine) or "nothing"
            return Difference(f"behind its layer {other.name} stands {stands[0]}, in the other {stands[1]}")
    if ours.activation == "sin" and (ours.omega_0, ours.omegas) != (theirs.omega_0, theirs.omegas):
        omegas = [_listed(own.omegas or (own.omega_0,)) for own in (theirs, ours)]
        # Phases may be shifted where the frequencies are known, and nowhere else.
        known = bool(ours.biased_groups and theirs.biased_groups)
        return Difference(f"its omega_0 is {omegas[0]}, the other's {omegas[1]}", None if known else "--omega-0")
    if ours.starts != theirs.starts:
        names = [" ".join(own.layers[start].name for start in own.starts) for own in (theirs, ours)]
        return Difference(f"its chains begin at {names[0]}, the other's at {names[1]}", "--chain")
    for group, neurons in enumerate(theirs.groups):
        kinds = group_kind(theirs, group).value, group_kind(ours, group).value
        if kinds[0] != kinds[1]:
            cause = f"layer {neurons.name} allows {kinds[0]} scales here and {kinds[1]} ones in the other"
            return Difference(cause, "--pool")
    return None


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _stages(layer: Layer) -> str:
    return ", ".join(f"{stage.kind.value.replace('_', ' ')} of {stage.size}" for stage in layer.stages)


def _freedom(ours: Architecture, theirs: Architecture, group: int) -> Freedom:
    neurons = theirs.groups[group]
    step = phase_step(theirs, group) if group in ours.biased_groups else 0
    return Freedom(group_kind(theirs, group), step, math.pi / neurons.omega_0, neurons.in_place)
