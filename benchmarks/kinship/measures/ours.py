"""`nfn compare`: the score against the null of the family, the verdict, and the layer that changed most."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from measures.measured import Measure, Measured
from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.errors import NfnError
from nfn_cli.symmetry.kinship import Comparison, Verdict, compare_networks
from nfn_cli.symmetry.sources import read_any

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

_TRACER = NetworkTracer(gauges=True)  # it keeps what it has traced


@lru_cache(4)
def _read(path: Path) -> AnySource:
    return read_any(path, Stated(), _TRACER)


@lru_cache(2)
def compared(a: Path, b: Path, basis: str = "aligned") -> Comparison | None:
    """What the tool says; None where it refuses to compare."""
    try:
        return compare_networks(_read(a), _read(b), basis=basis, tracer=_TRACER)
    except NfnError:
        return None


def measure(a: Path, b: Path) -> Measured:
    """The score after alignment. Of copies none is computed, and it counts as theirs, 1."""
    found = compared(a, b)
    if found is None:
        return Measured(None)
    score = 1.0 if found.score is None and found.verdict in (Verdict.same, Verdict.rounded) else found.score
    layer = max(found.layers, key=lambda own: own.changed).name if found.layers else None
    return Measured(score, found.verdict.value, layer, found.false_positive_rate)


MEASURE = Measure("nfn", measure)
