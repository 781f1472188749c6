"""A tiny image set and a zoo of it, trained in this process: starting others takes longer than the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nfn_cli.zoo.generate
from nfn_cli.zoo import Hyperparameters, ZooReport, ZooSettings, draw_hyperparameters, generate_zoo

CLASSES = 4


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 15 × 15 pixels whose class is the quadrant that is bright: 80 to train on, 40 to test on."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % CLASSES
        images = rng.integers(0, 120, (count, 15, 15))
        for image, label in zip(images, labels, strict=True):
            rows, columns = divmod(int(label), 2)
            image[rows * 7 : rows * 7 + 8, columns * 7 : columns * 7 + 8] += 120
        return images.astype(np.uint8), labels

    path = tmp_path_factory.mktemp("images") / "quadrants.npz"
    (x_train, y_train), (x_test, y_test) = draw(80), draw(40)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture
def settings(archive: Path) -> Callable[..., ZooSettings]:
    """Settings of a small zoo, with changes."""

    def make(**changes: object) -> ZooSettings:
        chosen = {"data": str(archive), "activation": "relu", "count": 8, "epochs": (1, 3), "batch_size": 8}
        return ZooSettings(**{**chosen, "precision": "float32", **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the work here, one job after the other. What processes add is the matter of test_workers.py."""

    def work_here(
        work: Callable[..., Any], shared: Any, jobs: Sequence[Any], workers: int, on_steps: Callable[[int], None]
    ) -> Iterator[tuple[Any, Any]]:
        for job in jobs:
            yield job, work(shared, job, on_steps)

    monkeypatch.setattr(nfn_cli.zoo.generate, "in_processes", work_here)


@pytest.fixture
def generate(in_this_process: None) -> Callable[..., ZooReport]:
    """`generate_zoo` with groups of two, in this process."""

    def call(folder: Path, settings: ZooSettings, **options: object) -> ZooReport:
        return generate_zoo(folder, settings, **{"group_size": 2, **options})  # type: ignore[arg-type]

    return call


@pytest.fixture
def runs() -> Callable[..., list[Hyperparameters]]:
    """Hyperparameters of `count` runs of equal length."""

    def draw(count: int, activation: str = "relu", batch_size: int = 8) -> list[Hyperparameters]:
        return [
            draw_hyperparameters(seed=0, run=4 * number + 2, activation=activation, batch_size=batch_size)
            for number in range(count)
        ]

    return draw


class PlainNetwork(nn.Module):
    """The recipe's network as anyone would write it."""

    def __init__(self, tensors: dict[str, Tensor], activation: str) -> None:
        super().__init__()
        in_channels, (classes, width) = tensors["conv1.weight"].shape[1], tensors["fc.weight"].shape
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=2)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2)
        self.conv3 = nn.Conv2d(width, width, 3, stride=2)
        self.fc = nn.Linear(width, classes)
        self.activation = {"relu": torch.relu, "tanh": torch.tanh}[activation]
        self.load_state_dict(tensors)

    def forward(self, images: Tensor, masks: Sequence[Tensor | float] = (1.0, 1.0, 1.0)) -> Tensor:
        """Logits of images [batch, channels, height, width]; `masks` multiply the hidden activations."""
        hidden = images
        for conv, mask in zip((self.conv1, self.conv2, self.conv3), masks, strict=True):
            hidden = self.activation(conv(hidden)) * mask
        return self.fc(F.adaptive_avg_pool2d(hidden, 1).flatten(1))  # type: ignore[no-any-return]


@pytest.fixture
def plain() -> Callable[[dict[str, Tensor], str], PlainNetwork]:
    """Make a plain network from named tensors."""
    return PlainNetwork
