"""How near two networks are, as one number and layer by layer.

>>> from nfn_cli.symmetry.alignment.residuals import Residual
>>> round(overall([Residual("a", 0.3, 0.0), Residual("b", 0.4, 0.0)]), 6)
0.353553
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nfn_cli.symmetry.alignment.residuals import Residual


@dataclass(frozen=True)
class LayerDistance:
    """One layer of B against the same layer of A, over the tensors on which the group acts.

    Attributes:
        before: ‖B − A‖ / ‖A‖; infinite where A's layer is zero and B's is not.
        after: ‖g·B − A‖ / ‖A‖.
    """

    layer: str
    before: float
    after: float


def overall(left: Sequence[Residual]) -> float:
    """The root mean square of the layers' relative distances: what alignment makes small.

    A layer without a finite distance, because A's is zero, is left out; 0 where no layer is left.
    """
    squares = [residual.distance**2 for residual in left if math.isfinite(residual.distance)]
    return math.sqrt(sum(squares) / len(squares)) if squares else 0.0


def by_layer(before: Sequence[Residual], after: Sequence[Residual]) -> tuple[LayerDistance, ...]:
    """Both distances of every layer."""
    return tuple(LayerDistance(b.layer, b.distance, a.distance) for b, a in zip(before, after, strict=True))
