"""A few tiny drawn pictures and zoos of them, fitted in this process: starting others takes longer than the fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nfn_cli.zoo.inr.siren_recipe
from nfn_cli.zoo import InrSettings, ZooReport, generate_zoo

TRAIN, TEST, SIDE = 12, 5, 8


def drawn(count: int, channels: int | None = None, side: int = SIDE) -> np.ndarray[Any, Any]:
    """Smooth uint8 pictures [count, side, side], or with channels last: waves, each of its own direction and phase."""
    rows, columns = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    shape = (count, *(1,) * (2 if channels is None else 3))
    numbers = np.arange(count).reshape(shape)
    place = (rows, columns) if channels is None else (rows[..., None], columns[..., None])
    phase = 0 if channels is None else np.arange(channels)
    waves = np.sin(place[0] * (1 + numbers % 3) + place[1] * (2 - numbers % 4) + numbers + phase)
    return np.round(127.5 + 120 * waves).astype(np.uint8)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures to train on and five to test on, 8 × 8, of three classes."""
    path = tmp_path_factory.mktemp("pictures") / "waves.npz"
    np.savez(
        path,
        x_train=drawn(TRAIN),
        y_train=np.arange(TRAIN) % 3,
        x_test=drawn(TRAIN + TEST)[TRAIN:],
        y_test=(np.arange(TEST) + 1) % 3,
    )
    return path


@pytest.fixture
def settings(archive: Path) -> Callable[..., InrSettings]:
    """Settings of a small zoo, with changes."""

    def make(**changes: Any) -> InrSettings:
        chosen = {"data": str(archive), "count": 6, "test_count": 3, "width": 4, "steps": 5}
        return InrSettings(**{**chosen, **changes})

    return make


@pytest.fixture
def generate(in_this_process: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ZooReport]:
    """`generate_zoo` with parts of four networks, in this process."""
    monkeypatch.setattr(nfn_cli.zoo.inr.siren_recipe, "_PART", 4)

    def call(folder: Path, settings: InrSettings, **options: Any) -> ZooReport:
        return generate_zoo(folder, settings, **options)

    return call
