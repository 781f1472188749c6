"""The exact permutation test of coordinates that were kept (Zhu et al., https://arxiv.org/abs/2502.12292).

`nfn compare --basis exact` computes it. The score is −log₁₀ p.
"""

from __future__ import annotations

from pathlib import Path

from measures.measured import Measure, Measured
from measures.ours import compared


def measure(a: Path, b: Path) -> Measured:
    """Without alignment. What was compared with alignment says the same, but of copies, which need no test there."""
    found = compared(a, b)
    if found is None or found.log10_p is None:
        found = compared(a, b, "exact")
    return Measured(None if found is None or found.log10_p is None else -found.log10_p)


MEASURE = Measure("kept coordinates", measure)
