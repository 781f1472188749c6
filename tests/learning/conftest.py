"""A population of small networks whose "accuracy" is a known function of what the symmetry group leaves unchanged."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.learning import AccuracySettings, EvaluationReport, FitSettings, train_head
from nfn_cli.nn import MonomialNFNSizes

RUNS, EPOCHS = 80, 2

# Figures of one head on the same networks, where float32 sums were taken in another order. R² and errors are averages
# over predictions that move by up to 8e-8 each: 2e-9 was measured with MKL's SSE kernels, between tensors at multiples
# of 64 bytes and at others. The drift is the largest of such moves, divided by the predictions' spread.
ROUNDING = 1e-7
DRIFT_ROUNDING = 1e-6


def _network(strength: float, activation: str, generator: torch.Generator) -> tuple[dict[str, Tensor], float]:
    """Linear 3→6→2, and the mean size of its first layer's first column, relative to each row's norm for ReLU.

    Neither a permutation nor a scaling (ReLU) or sign (tanh) of a hidden neuron changes that figure.
    """
    first = torch.randn(6, 3, generator=generator)
    first[:, 0] *= strength
    bias = torch.randn(6, generator=generator)
    share = first[:, 0].abs()
    if activation == "relu":
        share = share / torch.cat([first, bias[:, None]], dim=1).norm(dim=1)
    tensors = {
        "0.weight": first,
        "0.bias": bias,
        "2.weight": torch.randn(2, 6, generator=generator),
        "2.bias": torch.randn(2, generator=generator),
    }
    return tensors, torch.tanh(share.mean()).item()


def write_population(folder: Path, activation: str, runs: int = RUNS, epochs: int = EPOCHS) -> Path:
    """Write checkpoints and labels.csv; the checkpoints of a run resemble each other."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    rows = []
    for run in range(runs):
        strength = 4 * torch.rand(1, generator=generator).item()
        for epoch in range(epochs):
            tensors, accuracy = _network(strength + 0.1 * epoch, activation, generator)
            name = f"run-{run}-{epoch}.safetensors"
            save_file(tensors, folder / name, {"activation": activation})
            rows.append({"file": name, "run": run, "test_accuracy": accuracy, "percent": 100 * accuracy})
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """Write a population into a folder."""
    return write_population


@pytest.fixture(scope="session")
def population(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 runs of two ReLU networks each."""
    return write_population(tmp_path_factory.mktemp("population") / "relu", "relu")


QUICK = AccuracySettings(
    sizes=MonomialNFNSizes(channels=8, equivariant_layers=1, invariants=8, hidden=16, dropout=0.0),
    members=2,
    fit=FitSettings(epochs=40, batch_size=16, learning_rate=1e-2),
)


@pytest.fixture(scope="session")
def quick() -> AccuracySettings:
    """A small head that fits within seconds."""
    return QUICK


@pytest.fixture(scope="session")
def fitted(population: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EvaluationReport]:
    """A head fitted to the population, and what was measured on its test runs."""
    folder = tmp_path_factory.mktemp("heads") / "my-head"
    return folder, train_head(population, None, folder, QUICK)


def _figures(report: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(report, dict):
        for key, value in report.items():
            yield from _figures(value, f"{name}.{key}")
    elif isinstance(report, list | tuple):
        for place, value in enumerate(report):
            yield from _figures(value, f"{name}[{place}]")
    else:
        yield name, report


@pytest.fixture(scope="session")
def assert_repeats() -> Callable[[Any, Any], None]:
    """Check that a report is another one but for the order in which sums were taken."""

    def check(report: Any, other: Any) -> None:
        assert is_dataclass(report) and type(report) is type(other)
        found, expected = dict(_figures(asdict(report))), dict(_figures(asdict(other)))
        tolerances = {".drift": DRIFT_ROUNDING}
        near = {
            name: pytest.approx(value, rel=0, abs=tolerances.get(name, ROUNDING), nan_ok=True)
            if isinstance(value, float)
            else value
            for name, value in expected.items()
        }
        assert found == near

    return check
