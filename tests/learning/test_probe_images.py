"""Probes that start as training images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nfn_cli.architectures import Layer, chain
from nfn_cli.errors import DataError
from nfn_cli.learning import AccuracySettings, FitSettings, train_head
from nfn_cli.learning.probe_images import as_probes, images_by_class
from nfn_cli.nn import ForwardPass, MonomialProbeSizes, read_head
from nfn_cli.nn.probes import Probes
from nfn_cli.zoo import ImageSet


@pytest.fixture
def images() -> ImageSet:
    """Seven images of 4 × 4, whose first pixel is their number and whose class is that modulo 3."""
    own = torch.rand(7, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    own[:, 0, 0, 0] = torch.arange(7.0)
    labels = torch.arange(7) % 3
    return ImageSet("own", own, labels, own, labels)


def test_classes_come_in_turn_and_images_once(images: ImageSet) -> None:
    chosen = images_by_class(images, 6, seed=0)[:, 0, 0, 0].long()
    assert (chosen % 3).tolist() == [0, 1, 2, 0, 1, 2] and len(set(chosen.tolist())) == 6
    assert not torch.equal(images_by_class(images, 6, seed=1)[:, 0, 0, 0].long(), chosen)
    assert len(images_by_class(images, 20, seed=0)) == 20


@pytest.mark.parametrize("space", [(), (7,), (5, 6), (3, 4, 5)], ids=str)
def test_probes_become_what_they_start_at(space: tuple[int, ...]) -> None:
    first = Layer("a", "conv", 2, 4, (3,) * len(space)) if space else Layer("a", "linear", 2, 4)
    probes, wanted = Probes(first, space, 3), torch.randn(3, 2, *space)
    probes.start_at(wanted)
    assert torch.allclose(probes(), wanted, atol=1e-5)


def test_images_take_the_size_at_which_networks_are_run(images: ImageSet) -> None:
    convolution = chain([Layer("a", "conv", 1, 2, (3, 3)), Layer("b", "conv", 2, 3, (1, 1))], activation="relu")
    linear = chain([Layer("a", "linear", 16, 2), Layer("b", "linear", 2, 3)], activation="relu")
    own = images.train_images
    assert torch.equal(as_probes(own, convolution, ForwardPass((4, 4)), "set"), own)
    assert as_probes(own, convolution, ForwardPass((8, 6)), "set").shape == (7, 1, 8, 6)
    assert torch.equal(as_probes(own, linear, ForwardPass(), "set"), own.flatten(1))
    with pytest.raises(DataError, match="set: images of 3x4x4, and the networks read 1 channels"):
        as_probes(own.repeat(1, 3, 1, 1), convolution, ForwardPass((4, 4)), "set")
    with pytest.raises(DataError, match="set: images of 3x4x4, and the networks read 16 numbers"):
        as_probes(own.repeat(1, 3, 1, 1), linear, ForwardPass(), "set")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Images of one row of three pixels, as the networks of the population read them."""
    path, rng = tmp_path / "rows.npz", np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (20, 1, 3)).astype(np.uint8), np.arange(20) % 2
    np.savez(path, x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    return path


def test_a_head_starts_at_them(
    population: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nfn_cli.learning.tasks.accuracy.SMALLEST_IMAGE", 1)
    still = FitSettings(epochs=1, batch_size=64, learning_rate=1e-12)
    settings = AccuracySettings(
        sizes=MonomialProbeSizes(probes=4, hidden=4), members=2, fit=still, probe_images=str(archive)
    )
    train_head(population, None, tmp_path / "head", settings)
    head = read_head(tmp_path / "head")
    with np.load(archive) as file:
        rows = {tuple(pixels): int(label) for pixels, label in zip(file["x_train"][:, 0], file["y_train"], strict=True)}
    first, second = (((own.probes() + 1) * 127.5).round().int() for own in head.model.members)
    assert [rows[tuple(own)] for own in first.tolist()] == [0, 1, 0, 1] and not torch.equal(first, second)
    assert head.config.fitted["probe_images"] == "rows.npz"
    assert "--probe-images rows.npz" in (tmp_path / "head" / "README.md").read_text()


def test_a_head_without_probes_refuses_them(
    population: Path, quick: AccuracySettings, archive: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="a monomial-nfn head has no probes"):
        train_head(population, None, tmp_path / "head", replace(quick, kind="monomial-nfn", probe_images=str(archive)))
