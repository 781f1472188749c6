"""Tiny heads, with random weights, in the place of the shipped ones; and checkpoints for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import nfn_cli.shipped
from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.nn import Accepted, AccuracyDetails, Head, HeadConfig, MonomialNFNSizes

SIZES = MonomialNFNSizes(channels=4, equivariant_layers=1, invariants=4, hidden=8, dropout=0.0)


def mlp(activation: str, hidden: int = 6) -> Architecture:
    return chain([Layer("0", "linear", 3, hidden), Layer("2", "linear", hidden, 2)], activation=activation)


def cnn(activation: str) -> Architecture:
    layers = [Layer("conv", "conv", 1, 4, (3, 3)), Layer("fc", "linear", 4, 2)]
    return chain(layers, activation=activation)


def random_point(architecture: Architecture, networks: int, seed: int) -> NetworkWeights:
    generator = torch.Generator().manual_seed(seed)
    return NetworkWeights(
        architecture,
        {spec.name: torch.randn(networks, *spec.shape, generator=generator) for spec in architecture.tensors},
    )


def make_head(name: str, architecture: Architecture, seed: int) -> Head:
    """A head that nobody trained, but whose population and interval are set."""
    torch.manual_seed(seed)
    config = HeadConfig(Accepted.of(architecture), SIZES, AccuracyDetails(), members=2)
    head = Head(name, config, config.new_model())
    head.model.eval()
    with torch.no_grad():
        fields = head.model.encode(random_point(architecture, 200, 100))
        for member in head.model.members:
            member.standardise.fit(fields)  # type: ignore[operator, union-attr]
            member.readout[-1].weight.mul_(100)  # type: ignore[index, union-attr]
        logits, invariants = head.model(fields)
        for member in head.model.members:
            # Predictions on both sides of one half, and far apart.
            member.readout[-1].bias.sub_(logits.mean())  # type: ignore[index, union-attr]
        head.model.ood_detector.fit(invariants[:150], invariants[150:])
        head.model.calibration.radii.fill_(0.3)
    return head


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`models/` with heads for two-layer perceptrons of ReLU and tanh, and for a small CNN of tanh."""
    package = tmp_path_factory.mktemp("package")
    for seed, (name, architecture) in enumerate(
        {"a-relu": mlp("relu"), "b-tanh": mlp("tanh"), "c-conv": cnn("tanh")}.items()
    ):
        make_head(name, architecture, seed).save(package / "models" / name, f"# {name}\n")
    return package / "models"


@pytest.fixture
def shipped(models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ship those heads."""
    monkeypatch.setattr(nfn_cli.shipped, "_PACKAGE", models.parent)
    return models


Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save a random network: an MLP with `hidden` neurons, or the CNN."""

    def call(
        name: str,
        *,
        activation: str | None = "relu",
        hidden: int = 6,
        conv: bool = False,
        seed: int = 0,
        change: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda tensors: tensors,
    ) -> Path:
        architecture = cnn("relu") if conv else mlp("relu", hidden)
        tensors = {name: tensor[0] for name, tensor in random_point(architecture, 1, seed).tensors.items()}
        path = tmp_path / name
        save_file(change(tensors), path, {"chain": "true"} | ({"activation": activation} if activation else {}))
        return path

    return call


# What `score` promises of networks in other batches: one in the last digit that is written.
LAST_DIGIT = Decimal("1e-6")


@pytest.fixture(scope="session")
def assert_alike() -> Callable[[Sequence[Mapping[str, str]], Sequence[Mapping[str, str]]], None]:
    """Check that rows of CSV are other ones but for the batches that the head computed them in."""
    figures = ("accuracy", "low", "high")

    def check(rows: Sequence[Mapping[str, str]], expected: Sequence[Mapping[str, str]]) -> None:
        assert [{**row, **dict.fromkeys(figures)} for row in rows] == [
            {**row, **dict.fromkeys(figures)} for row in expected
        ]
        for row, other in zip(rows, expected, strict=True):
            for name in figures:
                assert bool(row[name]) == bool(other[name])
                if row[name]:
                    assert abs(Decimal(row[name]) - Decimal(other[name])) <= LAST_DIGIT, (row, other)

    return check
