"""SIRENs of a second trainer: they hold their pictures, and `nfn` reads them as a zoo's test part."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from nfn_cli.architectures import pixel_grid
from nfn_cli.nn.inr.sine_chain import sine_values
from nfn_cli.zoo import load_images, read_inrs
from nfn_cli.zoo.inr.labels import read_inr_rows


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("inr_second_trainer")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    pictures = np.repeat(np.repeat(rng.integers(0, 256, (20, 2, 2), dtype=np.uint8), 3, axis=1), 3, axis=2)
    labels = np.arange(20) % 3
    path = tmp_path / "pictures.npz"
    np.savez(path, x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    return path


def test_networks_hold_their_pictures_by_every_way(trainer: ModuleType, archive: Path, tmp_path: Path) -> None:
    trainer.main([str(archive), str(tmp_path / "zoo"), "--networks", "20", "--share", "0.05"])
    networks, rows = read_inrs(tmp_path / "zoo"), read_inr_rows(tmp_path / "zoo" / "labels.csv")
    assert set(networks.splits) == {"test"} and len(networks) == 20
    images = load_images(str(archive))
    pictures = torch.stack([images.test_images[row.image] for row in rows]).flatten(2)
    assert networks.targets.tolist() == [int(images.test_labels[row.image]) for row in rows]
    values = sine_values(list(networks.point.tensors.values()), pixel_grid(6, 6), 30.0)
    errors = (values - pictures).square().mean((1, 2))
    psnr = torch.tensor([row.psnr for row in rows])
    assert (10 * (4 / errors).log10() - psnr).abs().max() < 1e-2
    assert psnr.min() > 10  # a flat picture of the mean has less


def test_a_way_decides_the_initial_weights(trainer: ModuleType) -> None:
    assert len({way.name for way in trainer.WAYS}) == len(trainer.WAYS) == 10
    torch.manual_seed(0)
    wide = trainer.Sirens(500, 1, trainer.Way("", "Adam", 1e-3, 1, first=2.0, zero_bias=True))
    assert wide.weights[0].abs().max().item() == pytest.approx(1.0, abs=0.01)
    assert all(not bias.any() for bias in wide.biases)
