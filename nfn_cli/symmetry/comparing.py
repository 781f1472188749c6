"""Are two checkpoints the same network up to the group? Both are chains, or both are traced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nfn_cli.precision import coarsest
from nfn_cli.symmetry.alignment import Alignment, Watch, align, architecture_difference, beside_residuals
from nfn_cli.symmetry.alignment.watch import UNWATCHED
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    # Chains, which are read by the thousand, need none of these.
    from nfn_cli.symmetry.labelled.alignment import LabelledAlignment
    from nfn_cli.symmetry.sources import AnySource


def compare_sources(
    source: AnySource, target: AnySource, watch: Watch = UNWATCHED, *, scaled: bool = True, search: bool = True
) -> Alignment[GroupElement] | LabelledAlignment:
    """Find the element that brings one checkpoint's network to the other's, by the coarser of their dtypes.

    Tensors on which the group does not act must be equal; each has a residual of its own.

    Args:
        scaled: whether scales, signs and phases may be used beside permutations.
        search: without it both are compared where they lie.

    Raises:
        DifferentError: no element can.
        ArchitectureError: they differ in something that the files do not state.
        UsageError: SciPy is needed and missing.
    """
    if isinstance(source, Source) and isinstance(target, Source):
        return _compare_chains(source, target, watch, scaled=scaled, search=search)
    from nfn_cli.symmetry.labelled.compared import align_sources
    from nfn_cli.symmetry.sources import difference

    different = difference(source, target)
    if different is not None:
        raise different
    assert not isinstance(source, Source) and not isinstance(target, Source)
    return align_sources(source, target, scaled=scaled, search=search, watch=watch)


def _compare_chains(
    source: Source, target: Source, watch: Watch, *, scaled: bool, search: bool
) -> Alignment[GroupElement]:
    ours, theirs = source.network.weights, target.network.weights
    difference = architecture_difference(ours.architecture, theirs.architecture)
    if difference is not None:
        remedy = f"compare it with a checkpoint of its own kind, not {source.checkpoint.path}"
        raise difference.error(target.checkpoint.path, remedy)
    beside = beside_residuals(target.checkpoint.path, source.beside, target.beside)
    precision = coarsest((source.precision, target.precision))
    found = align(ours, theirs, precision, scaled=scaled, search=search, watch=watch)
    permuted = None if found.permuted is None else (*found.permuted, *beside)
    return replace(found, residuals=(*found.residuals, *beside), permuted=permuted)
