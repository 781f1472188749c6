"""An element of the group on labels: where every label goes, and the value of every scale variable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.labelled.positions import moved_variables, used_variables


@dataclass(frozen=True, eq=False)
class Element:
    """g = (σ, d): entry e of a tensor U goes to entry σ(e) of g·U, multiplied by the factor that stands at e.

    Logarithms have the base 2, so that a whole number stands for a factor that rounds no weight.

    Attributes:
        goes: int32 [labels]: label a goes to goes[a].
        logs: float64 [scales]: log₂|d| of each scale variable. 0 for variables that occur in no tensor.
        signs: bool [scales]: whether it is negative; False for variables that occur in no tensor.
    """

    goes: NDArray[np.int32]
    logs: NDArray[np.float64]
    signs: NDArray[np.bool_]

    @property
    def is_permutation(self) -> bool:
        """Whether nothing is scaled and no sign changes."""
        return not self.logs.any() and not self.signs.any()


def identity(architecture: LabelledArchitecture) -> Element:
    """The element that does nothing."""
    return element_of(architecture)


def element_of(
    architecture: LabelledArchitecture,
    *,
    goes: NDArray[np.int32] | None = None,
    free_logs: NDArray[np.float64] | None = None,
    free_signs: NDArray[np.bool_] | None = None,
) -> Element:
    """An element from its free parts.

    Args:
        goes: int32 [labels], a permutation of the group (see `goes_of`); all stay by default.
        free_logs: float64 [logs.free], log₂|d| of the free variables; 0 by default.
        free_signs: bool [signs.free]; False by default.
    """
    used = used_variables(architecture)
    logs = np.zeros(architecture.scale_count)
    signs = np.zeros(architecture.scale_count, dtype=np.bool_)
    if free_logs is not None:
        logs = np.where(used, architecture.logs.values(free_logs), 0.0)
    if free_signs is not None:
        sums = architecture.signs.values(free_signs.astype(np.float64))
        signs = used & (np.rint(sums).astype(np.int64) % 2 == 1)
    return Element(np.arange(architecture.label_count, dtype=np.int32) if goes is None else goes, logs, signs)


def compose(architecture: LabelledArchitecture, g: Element, h: Element) -> Element:
    """g∘h, so that (g∘h)·U = g·(h·U).

    Raises:
        ValueError: one of them is of another architecture, or h's permutation takes scales of one variable to several.
    """
    require_of(architecture, g)
    require_of(architecture, h)
    moved = moved_variables(architecture, h.goes)
    return Element(g.goes[h.goes], h.logs + g.logs[moved], h.signs ^ g.signs[moved])


def inverse(architecture: LabelledArchitecture, g: Element) -> Element:
    """g⁻¹, so that g⁻¹·(g·U) = U.

    Raises:
        ValueError: as `compose`.
    """
    require_of(architecture, g)
    moved = moved_variables(architecture, g.goes)
    goes = np.empty_like(g.goes)
    goes[g.goes] = np.arange(len(goes), dtype=goes.dtype)
    logs, signs = np.empty_like(g.logs), np.empty_like(g.signs)
    logs[moved], signs[moved] = 0.0 - g.logs, g.signs  # no −0.0
    return Element(goes, logs, signs)


def require_of(architecture: LabelledArchitecture, element: Element) -> None:
    """Check that an element has as many labels and scales as an architecture.

    Raises:
        ValueError: it has not.
    """
    own = (element.goes.shape, element.logs.shape, element.signs.shape)
    scales = (architecture.scale_count,)
    if own != ((architecture.label_count,), scales, scales):
        raise ValueError(
            f"an element of {len(element.goes)} labels and {len(element.logs)} scales cannot act on "
            f"{architecture.label_count} labels and {architecture.scale_count} scales"
        )
