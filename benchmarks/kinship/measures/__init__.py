"""Statistics of kinship. A statistic more is one file and one entry of `NAMES`."""

from __future__ import annotations

from importlib import import_module

from measures.measured import Measure, Measured

NAMES = ("cosine", "deviations", "invariants", "kept", "spectra", "ours")


def measure_of(name: str) -> Measure:
    """A statistic by its name; each is imported when it is asked for."""
    found = import_module(f"measures.{name}").MEASURE
    assert isinstance(found, Measure)
    return found


__all__ = ["NAMES", "Measure", "Measured", "measure_of"]
