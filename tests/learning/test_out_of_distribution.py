"""Networks out of distribution: what is made, what is read, and what a head says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights, chain, population_forward
from nfn_cli.errors import DataError
from nfn_cli.learning import EvaluateSettings, EvaluationReport, evaluate_head
from nfn_cli.learning.out_of_distribution import (
    MADE,
    gaussian,
    made_out_of_distribution,
    read_out_of_distribution,
    scaled_layer,
    shuffled,
    thinned,
)
from nfn_cli.nn import Accepted
from nfn_cli.zoo import read_networks

Fitted = tuple[Path, EvaluationReport]
NETWORKS = 40


@pytest.fixture
def point() -> NetworkWeights:
    """Convolution, a flatten of four positions, two linear layers."""
    layers = [
        Layer("0", "conv", 2, 5, (3,)),
        Layer("1", "linear", 20, 6, (), 4),
        Layer("2", "linear", 6, 3),
    ]
    architecture = chain(layers, activation="relu")
    generator = torch.Generator().manual_seed(0)
    return NetworkWeights(
        architecture,
        {spec.name: torch.randn(NETWORKS, *spec.shape, generator=generator) for spec in architecture.tensors},
    )


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outputs(point: NetworkWeights) -> Tensor:
    images = torch.randn(7, 2, 6, generator=generator())
    return population_forward(point, images, stride=1, padding=0)


def test_shuffling_keeps_every_tensors_entries_and_moves_them_differently_in_each_network(
    point: NetworkWeights,
) -> None:
    same = {name: tensor[:1].expand_as(tensor) for name, tensor in point.tensors.items()}
    mixed = shuffled(replace(point, tensors=same), generator()).tensors
    for name, tensor in mixed.items():
        assert torch.equal(tensor.flatten(1).sort(1).values, same[name].flatten(1).sort(1).values)
    assert len({tuple(row.tolist()) for row in mixed["1.weight"].flatten(1)}) == NETWORKS


def test_gaussian_weights_have_the_variances_of_the_tensors_they_stand_for(point: NetworkWeights) -> None:
    sizes = torch.logspace(-3, 3, NETWORKS)
    scaled = {name: tensor * sizes.view(-1, *[1] * (tensor.ndim - 1)) + 1 for name, tensor in point.tensors.items()}
    drawn = gaussian(replace(point, tensors=scaled), generator()).tensors
    ratios = drawn["1.weight"].flatten(1).std(1) / scaled["1.weight"].flatten(1).std(1)
    assert ((ratios > 0.7) & (ratios < 1.4)).all()
    assert (drawn["1.weight"].flatten(1).mean(1).abs() < 0.5 * sizes).all()
    assert not torch.allclose(drawn["1.weight"], scaled["1.weight"])


def test_one_layer_of_each_network_is_scaled_any_of_them_and_the_function_changes(point: NetworkWeights) -> None:
    scaled = scaled_layer(point, generator())
    times = torch.stack(
        [
            (scaled.tensors[f"{name}.{part}"] / point.tensors[f"{name}.{part}"]).flatten(1).mean(1).round()
            for name in "012"
            for part in ("weight", "bias")
        ],
        dim=1,
    ).view(NETWORKS, 3, 2)
    assert torch.equal(times[..., 0], times[..., 1])
    assert torch.equal(times[..., 0].sort(1).values, torch.tensor([1.0, 1.0, 10.0]).expand(NETWORKS, 3))
    assert (times[..., 0] == 10).any(0).all()
    assert ((outputs(scaled) - outputs(point)).abs().amax((1, 2)) > 0.1).all()


def test_thinned_networks_are_those_with_half_of_the_neurons_silent(point: NetworkWeights) -> None:
    thin = thinned(point, generator())
    assert [layer.weight_shape for layer in thin.architecture.layers] == [(3, 2, 3), (3, 12), (3, 3)]
    # Which neurons were kept is known from their biases, which all differ.
    kept = [
        (point.tensors[f"{name}.bias"][:, :, None] == thin.tensors[f"{name}.bias"][:, None]).any(2) for name in "01"
    ]
    assert all((own.sum(1) == 3).all() for own in kept)
    silent = {**point.tensors}
    silent["1.weight"] = point.tensors["1.weight"] * kept[0].repeat_interleave(4, dim=1)[:, None]
    silent["2.weight"] = point.tensors["2.weight"] * kept[1][:, None]
    torch.testing.assert_close(outputs(thin), outputs(replace(point, tensors=silent)), atol=1e-4, rtol=1e-4)


def test_what_is_made_follows_from_the_seed(point: NetworkWeights) -> None:
    first, again, other = (made_out_of_distribution(point, seed) for seed in (0, 0, 1))
    assert list(first) == list(MADE)
    for kind in MADE:
        assert torch.equal(first[kind].tensors["1.weight"], again[kind].tensors["1.weight"])
        assert not torch.equal(first[kind].tensors["1.weight"], other[kind].tensors["1.weight"])


def widened(source: Path, folder: Path) -> Path:
    """Every network of a population with each hidden neuron twice, and no table of labels."""
    folder.mkdir()
    for file in source.glob("*.safetensors"):
        tensors = load_file(file)
        wide = {name: torch.cat([tensor, tensor]) for name, tensor in tensors.items() if name.startswith("0.")}
        wide |= {"2.weight": torch.cat([tensors["2.weight"]] * 2, dim=1), "2.bias": tensors["2.bias"]}
        save_file(wide, folder / file.name, {"activation": "relu"})
    return folder


def test_every_kind_is_in_the_report(fitted: Fitted, population: Path, tmp_path: Path) -> None:
    wide = widened(population, tmp_path / "wide")
    settings = EvaluateSettings(out_of_distribution={"wide": wide, "own": population})
    report = evaluate_head(str(fitted[0]), population, settings=settings)
    assert [own.kind for own in report.out_of_distribution] == [*MADE, "wide", "own"]
    made, (wide_report, own) = report.out_of_distribution[:3], report.out_of_distribution[3:]
    assert all((kind.networks, kind.runs) == (report.networks, report.runs) for kind in made)
    assert all(kind.flagged.low <= kind.flagged.value <= kind.flagged.high for kind in report.out_of_distribution)
    assert (wide_report.networks, wide_report.runs, wide_report.trained) == (160, 160, 0)
    assert wide_report.trained_flagged is None
    assert (own.networks, own.runs) == (160, 80)
    assert own.flagged.value < 0.1
    assert 0 < made[0].trained < own.trained
    assert made[2].flagged.value > own.flagged.value + 0.2


def test_the_trained_are_those_whose_accuracy_is_well_above_chance(
    fitted: Fitted, write: Callable[..., Path], tmp_path: Path
) -> None:
    folder = write(tmp_path / "data", "relu", runs=4, epochs=1)
    rows = [f"run-{run}-0.safetensors,{run},{accuracy}" for run, accuracy in enumerate((0.4, 0.55, 0.65, 0.9))]
    (folder / "labels.csv").write_text("\n".join(["file,run,test_accuracy", *rows]) + "\n")
    report = evaluate_head(
        str(fitted[0]), folder, settings=EvaluateSettings(split="all", out_of_distribution={"itself": folder})
    )
    assert [(own.networks, own.trained) for own in report.out_of_distribution] == [(4, 2)] * 4


def test_networks_that_the_head_cannot_read_are_refused(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write(tmp_path / "tanh", "tanh", runs=1)
    accepted = Accepted.of(chain([Layer("0", "linear", 3, 6), Layer("2", "linear", 6, 2)], activation="relu"))
    with pytest.raises(DataError) as refused:
        read_out_of_distribution({"other": folder}, accepted, read_networks)
    assert str(refused.value) == (
        f"{folder}: the activation is tanh, the head reads relu; give networks that the head reads"
    )
