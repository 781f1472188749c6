"""A zoo of INRs of tiny drawn pictures, bars across, bars down and discs, and a head that was fitted to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nfn_cli.zoo.inr.generate
from nfn_cli.learning import ClassifierSettings, ClassReport, FitSettings, train_head
from nfn_cli.nn.inr.coordinate_probe import CoordinateProbeSizes
from nfn_cli.zoo import InrSettings, generate_inrs

SIDE, TRAIN, TEST = 8, 120, 36


def draw(count: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Pictures uint8 [count, 8, 8] and their classes, each shape somewhere of some size."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    rows, columns = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    pictures = np.zeros((count, SIDE, SIDE), dtype=np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        centre, half = rng.uniform(2.5, 4.5, 2), rng.uniform(0.7, 1.2)
        distances = [
            abs(rows - centre[0]),
            abs(columns - centre[1]),
            np.hypot(rows - centre[0], columns - centre[1]) / 2,
        ]
        picture[distances[label] <= half] = rng.integers(180, 256)
    return pictures, labels


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive."""
    path = tmp_path_factory.mktemp("drawn") / "shapes.npz"
    (x_train, y_train), (x_test, y_test) = draw(TRAIN, 0), draw(TEST, 1)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def zoo(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fits to each of 120 training pictures, and of 36 test pictures, packed."""

    def here(work: Any, shared: Any, jobs: Sequence[Any], workers: int, on_steps: Any) -> Iterator[Any]:
        for job in jobs:
            yield job, work(shared, job, on_steps)

    folder = tmp_path_factory.mktemp("zoos") / "shapes-zoo"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(nfn_cli.zoo.inr.generate, "in_processes", here)
        settings = InrSettings(str(pictures), TRAIN, TEST, fits=2, width=16, steps=80, learning_rate=1e-2, packed=True)
        generate_inrs(folder, settings, group_size=64)
    return folder


QUICK = ClassifierSettings(
    sizes=CoordinateProbeSizes(side=8, channels=8, dropout=0.0),
    fit=FitSettings(epochs=15, batch_size=32, learning_rate=1e-2),
)


@pytest.fixture(scope="session")
def quick() -> ClassifierSettings:
    """A small head that fits within seconds."""
    return QUICK


@pytest.fixture(scope="session")
def fitted(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClassReport]:
    """A head fitted to the zoo, and what was measured on its test pictures."""
    folder = tmp_path_factory.mktemp("heads") / "shapes"
    return folder, train_head(zoo, None, folder, QUICK)
