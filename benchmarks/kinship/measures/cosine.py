"""The cosine of all weights as they lie."""

from __future__ import annotations

from pathlib import Path

import torch

from measures.matrices import paired
from measures.measured import Measure, Measured


def measure(a: Path, b: Path) -> Measured:
    """Over all matrices and kernels of equal name and shape."""
    pairs = paired(a, b)
    if not pairs:
        return Measured(None)
    one, other = (torch.cat([pair[side].flatten() for pair in pairs]) for side in range(2))
    return Measured(torch.cosine_similarity(one, other, 0).item())


MEASURE = Measure("raw cosine", measure)
