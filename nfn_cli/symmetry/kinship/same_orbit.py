"""Whether two networks lie on one orbit, as `verify` decides it, and fast where they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nfn_cli.errors import DifferentError
from nfn_cli.symmetry.alignment import architecture_difference, orbit_tolerance, renamed
from nfn_cli.symmetry.alignment.residuals import largest_deviation, residuals
from nfn_cli.symmetry.comparing import compare_sources
from nfn_cli.symmetry.normal_form import normal_form
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource


def on_one_orbit(reference: AnySource, source: AnySource) -> bool:
    """Whether an element brings one network to the other but for rounding; the same function, then.

    Two chains are brought to their normal forms first. If the element that leads from one to the other that way leaves
    no more than rounding, they are on one orbit. Else alignment decides, since normal forms are not continuous.

    Raises:
        ArchitectureError: their files do not say enough to compare them.
        UsageError: SciPy is needed and missing.
    """
    if isinstance(reference, Source) and isinstance(source, Source) and _by_normal_forms(reference, source):
        return True
    try:
        return compare_sources(source, reference).same_orbit
    except DifferentError:
        return False


def _by_normal_forms(reference: Source, source: Source) -> bool:
    ours, theirs = source.network.weights, reference.network.weights
    if architecture_difference(ours.architecture, theirs.architecture) is not None:
        return False
    mine, other = source.beside, reference.beside  # what the group does not act on
    if mine.keys() != other.keys() or not all(torch.equal(mine[name], other[name]) for name in mine):
        return False
    tolerance = orbit_tolerance(source.precision, reference.precision)
    back = normal_form(theirs, precision=reference.precision).element.inverse()
    element = back.compose(normal_form(ours, precision=source.precision).element)
    left = residuals(element, renamed(ours, theirs.architecture), theirs)
    return largest_deviation(left) <= tolerance
