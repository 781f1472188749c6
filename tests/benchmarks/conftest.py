"""Files of `benchmarks/wild`, which are programs and no package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from programs import BENCHMARKS, Load, programs_of


@pytest.fixture
def load() -> Iterator[Load]:
    """Import a file of the benchmark."""
    with programs_of(BENCHMARKS / "wild") as found:
        yield found


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """Write an archive of random pictures of ten classes."""

    def write(name: str, *shape: int, train: int = 120, test: int = 40) -> Path:
        rng = np.random.default_rng(0)
        arrays = {}
        for part, count in (("train", train), ("test", test)):
            arrays[f"x_{part}"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
            arrays[f"y_{part}"] = np.arange(count, dtype=np.uint8) % 10
        path = tmp_path / f"{name}.npz"
        np.savez(path, **arrays)
        return path

    return write
