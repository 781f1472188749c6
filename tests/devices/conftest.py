"""The device that a test compares with the CPU: a GPU with `pytest -m gpu`, else the CPU itself, so that the tests'
code runs everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from on_devices import GPU, POPULATION, part_of

_GPU = pytest.param("gpu", marks=[pytest.mark.gpu, pytest.mark.skipif(GPU is None, reason="needs a GPU")])
FEW = 12  # networks, where the CPU stands in


@pytest.fixture(params=["cpu", _GPU])
def device(request: pytest.FixtureRequest) -> str:
    """Where to compute what the CPU computes as well."""
    return str(GPU) if request.param == "gpu" else "cpu"


@pytest.fixture
def is_gpu(device: str) -> bool:
    """Whether the device is a GPU, which takes more networks in less time."""
    return device != "cpu"


@pytest.fixture
def population(is_gpu: bool, tmp_path: Path) -> Callable[[str], Path]:
    """A folder of labelled networks of the tests, by its name: all on a GPU, else a few."""

    def folder(name: str, count: int = FEW) -> Path:
        return POPULATION / name if is_gpu else part_of(POPULATION / name, tmp_path / f"population-{name}", count)

    return folder


@pytest.fixture
def inr_zoo(is_gpu: bool, tmp_path: Path) -> Path:
    """INRs of the tests as a zoo with a training part."""

    def rename(row: dict[str, str]) -> None:
        row["split"] = "test" if int(row["index"]) % 6 == 0 else "train"

    return part_of(POPULATION / "inr-mnist", tmp_path / "inrs", 500 if is_gpu else 60, rename)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Small pictures of four classes, which a brightened pixel tells apart."""
    rng, labels = np.random.default_rng(0), np.arange(240) % 4
    pictures = rng.integers(0, 100, (240, 15, 15)).astype(np.uint8)
    pictures[np.arange(240), labels] += 100
    np.savez(tmp_path / "images.npz", x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    return tmp_path / "images.npz"


@pytest.fixture
def no_processes(is_gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the CPU stands in, zoos are made in this process, as they are on a GPU."""

    def here(work: Callable[..., Any], shared: Any, jobs: Iterable[Any], workers: int, on_steps: Any) -> Iterator[Any]:
        return ((job, work(shared, job, on_steps)) for job in jobs)

    if not is_gpu:
        monkeypatch.setattr("nfn_cli.zoo.generate.in_processes", here)
