"""Baselines: what their readers see, which symmetries they know, and that the one training loop fits them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.errors import HeadError
from nfn_cli.learning import FitSettings
from nfn_cli.learning.fitting import fit_member
from nfn_cli.learning.member_fit import MemberFit, class_loss
from nfn_cli.nn.baselines import (
    BoostedTrees,
    FourierFeatures,
    PermutationNFN,
    VectorMLP,
    read_statistics,
    read_tensors,
    read_weights,
)
from nfn_cli.symmetry import act, sample_element

RandomPoint = Callable[..., NetworkWeights]
SmallCNN = Callable[..., Architecture]
Read = Callable[[NetworkWeights], list[Tensor]]

READERS: dict[str, Read] = {
    "statistics": read_statistics,
    "weights": read_weights,
    "NP": read_tensors,
    "HNP": read_tensors,
}


def make_member(kind: str, architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    """A small member with weights that do not change from call to call."""
    torch.manual_seed(0)
    if kind == "NP" or kind == "HNP":
        pytest.importorskip("nfn")
        return PermutationNFN(architecture, kind, channels=(4, 4), hidden=16)
    return VectorMLP(inputs[0].shape[1], hidden=16)


def changes(kind: str, architecture: Architecture, point: NetworkWeights, moved: NetworkWeights) -> float:
    """The largest change of a logit, in standard deviations of the logits."""
    before, after = READERS[kind](point), READERS[kind](moved)
    member = make_member(kind, architecture, before)
    member.fit_normalisation(before)
    with torch.no_grad():
        logits = member(before)
        return ((member(after) - logits).abs().max() / logits.std()).item()


def test_statistics_are_seven_of_each_tensor_in_order(random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=4)
    point = random_point(architecture, 3)
    (found,) = read_statistics(point)
    assert found.dtype is torch.float32
    expected = []
    for spec in architecture.tensors:
        rows = point.tensors[spec.name].flatten(1).numpy()
        quartiles = np.percentile(rows, [0, 25, 50, 75, 100], axis=1).T
        expected.append(np.column_stack([rows.mean(1), rows.var(1), quartiles]))
    np.testing.assert_allclose(found.numpy(), np.hstack(expected), rtol=1e-6, atol=1e-7)


def test_statistics_of_a_single_entry_are_finite(random_point: RandomPoint) -> None:
    architecture = chain([Layer("0", "linear", 2, 3), Layer("1", "linear", 3, 1)], activation="relu")
    point = random_point(architecture, 2)
    (found,) = read_statistics(point)
    bias = point.tensors["1.bias"].float()
    torch.testing.assert_close(found[:, -7:], torch.cat([bias, 0 * bias, bias.expand(2, 5)], dim=1))


def test_flat_weights_keep_every_entry_in_order(random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=4)
    point = random_point(architecture, 3)
    (found,) = read_weights(point)
    assert found.shape == (3, architecture.parameter_count)
    first = architecture.tensors[0]
    torch.testing.assert_close(found[:, :36], point.tensors[first.name].flatten(1).float())
    torch.testing.assert_close(found[:, 36:40], point.tensors["conv1.bias"].float())


@pytest.mark.parametrize("kind", ["statistics", "NP", "HNP"])
def test_permutations_change_nothing(kind: str, random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=5)
    point = random_point(architecture, 6)
    element = sample_element(architecture, torch.Generator().manual_seed(1), batch=(6,), scale=False)
    assert changes(kind, architecture, point, act(element, point)) < 1e-4


@pytest.mark.parametrize("kind", READERS)
def test_scales_change_the_prediction(kind: str, random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=5)
    point = random_point(architecture, 6)
    generator = torch.Generator().manual_seed(1)
    element = sample_element(architecture, generator, batch=(6,), scale_range=(1.0, 10.0), permute=False)
    assert changes(kind, architecture, point, act(element, point)) > 0.1


def test_order_changes_what_is_made_of_flat_weights(random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=5)
    point = random_point(architecture, 6)
    element = sample_element(architecture, torch.Generator().manual_seed(1), batch=(6,), scale=False)
    assert changes("weights", architecture, point, act(element, point)) > 0.1


@pytest.mark.parametrize("kind", ["NP", "HNP"])
def test_output_neurons_have_an_order(kind: str, random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=5)
    point = random_point(architecture, 6)
    rolled = {name: tensor.roll(1, 1) if name.startswith("fc.") else tensor for name, tensor in point.tensors.items()}
    assert changes(kind, architecture, point, NetworkWeights(architecture, rolled)) > 1e-2


@pytest.mark.parametrize("kind", READERS)
def test_units_of_the_training_population_are_taken_out(
    kind: str, random_point: RandomPoint, small_cnn: SmallCNN
) -> None:
    architecture = small_cnn(width=4)
    inputs = READERS[kind](random_point(architecture, 20))
    other = [1_000 * tensor + 5_000 for tensor in inputs]
    logits = []
    for population in (inputs, other):
        member = make_member(kind, architecture, population)
        member.fit_normalisation(population)
        logits.append(member(population))
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", READERS)
def test_entries_that_never_change_do_no_harm(kind: str, random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=4)
    point = random_point(architecture, 5)
    point = NetworkWeights(architecture, {**point.tensors, "conv1.bias": torch.zeros(5, 4)})
    inputs = READERS[kind](point)
    member = make_member(kind, architecture, inputs)
    member.fit_normalisation(inputs)
    assert member(inputs).isfinite().all()


@pytest.mark.parametrize("kind", READERS)
def test_the_training_loop_fits_it(kind: str, random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=4)
    point = random_point(architecture, 48)
    # A mean that all of them can see.
    shift = torch.linspace(-1, 1, 48)
    tensors = {**point.tensors, "conv2.weight": point.tensors["conv2.weight"] + shift.view(-1, 1, 1, 1, 1)}
    accuracies = shift.mul(2).sigmoid()
    inputs = READERS[kind](NetworkWeights(architecture, tensors))
    member = make_member(kind, architecture, inputs)
    fit_member(member, inputs, accuracies, FitSettings(epochs=30, batch_size=16, learning_rate=1e-2), seed=0)
    predicted = member(inputs).sigmoid()
    assert F.mse_loss(predicted, accuracies) < 0.2 * accuracies.var()


def make_classifier(kind: str, architecture: Architecture, inputs: Sequence[Tensor], **options: Any) -> nn.Module:
    """A small member with three logits; NP and HNP as for implicit neural representations."""
    torch.manual_seed(0)
    if kind == "NP" or kind == "HNP":
        pytest.importorskip("nfn")
        fourier = FourierFeatures(count=8, scale=0.3)
        return PermutationNFN(architecture, kind, (8, 8), hidden=16, outputs=3, fourier=fourier, **options)
    return VectorMLP(inputs[0].shape[1], hidden=16, outputs=3)


@pytest.mark.parametrize("kind", READERS)
def test_the_training_loop_fits_classes(kind: str, random_point: RandomPoint) -> None:
    architecture = chain([Layer("0", "linear", 2, 5), Layer("1", "linear", 5, 1)], activation="sin")
    point = random_point(architecture, 60)
    classes = torch.arange(60) % 3
    tensors = {**point.tensors, "1.bias": point.tensors["1.bias"] * 0.1 + classes[:, None] - 1}
    inputs = READERS[kind](NetworkWeights(architecture, tensors))
    member = make_classifier(kind, architecture, inputs)
    settings = FitSettings(epochs=30, batch_size=12, learning_rate=1e-2)
    fit = MemberFit(member, inputs, classes, settings, seed=0, loss=class_loss)
    while not fit.finished:
        fit.run_epoch()
    fit.finish()
    logits = member(inputs)
    assert logits.shape == (60, 3)
    assert (logits.argmax(1) == classes).double().mean() > 0.9


@pytest.mark.parametrize("kind", ["NP", "HNP"])
def test_fourier_features_know_permutations_and_not_signs(kind: str, random_point: RandomPoint) -> None:
    layers = [Layer("0", "linear", 2, 5), Layer("1", "linear", 5, 5), Layer("2", "linear", 5, 1)]
    architecture = chain(layers, activation="sin")
    point = random_point(architecture, 6)
    member = make_classifier(kind, architecture, read_tensors(point), dropout=0.5).eval()
    member.fit_normalisation(read_tensors(point))  # type: ignore[operator]
    generator = torch.Generator().manual_seed(1)
    permuted = act(sample_element(architecture, generator, batch=(6,), flip=False), point)
    flipped = act(sample_element(architecture, generator, batch=(6,), permute=False), point)
    with torch.no_grad():
        before, after, other = (member(read_tensors(shown)) for shown in (point, permuted, flipped))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    assert (other - before).abs().max() > 1e-2 * before.std()
    member.train()
    assert not torch.equal(member(read_tensors(point)), member(read_tensors(point)))


def test_boosted_trees_learn(random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    pytest.importorskip("sklearn")
    point = random_point(small_cnn(width=4), 200)
    inputs = read_statistics(point)
    accuracies = inputs[0][:, 2].sigmoid().double()
    trees = BoostedTrees(iterations=50)
    trees.fit([inputs[0][:150]], accuracies[:150])
    predicted = trees([inputs[0][150:]])
    assert predicted.dtype is torch.float64 and predicted.shape == (50,)
    assert F.mse_loss(predicted, accuracies[150:]) < 0.2 * accuracies[150:].var()


@pytest.mark.parametrize(("kind", "parameters"), [("NP", 2_031_390), ("HNP", 2_811_743)])
def test_sizes_are_those_of_the_paper(kind: str, parameters: int, small_cnn: SmallCNN) -> None:
    pytest.importorskip("nfn")
    model = PermutationNFN(small_cnn(), kind)  # type: ignore[arg-type]
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(
    "layers",
    [
        [Layer("a", "conv", 1, 2, (3,)), Layer("b", "linear", 2, 2)],
        [Layer("a", "conv", 1, 2, (3, 3)), Layer("b", "linear", 8, 2, (), 4)],
        [Layer("a", "linear", 2, 2)],
    ],
    ids=["one-dimensional", "flatten", "one layer"],
)
def test_other_layers_are_refused(layers: list[Layer]) -> None:
    pytest.importorskip("nfn")
    with pytest.raises(HeadError, match="HNP reads at least two layers"):
        PermutationNFN(chain(layers, activation="relu"), "HNP")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, small_cnn: SmallCNN) -> None:
    for name in ("nfn", "nfn.layers", "sklearn", "sklearn.ensemble"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(HeadError, match=r"nfn is not installed; pip install 'nfn-cli\[bench\]'"):
        PermutationNFN(small_cnn(), "NP")
    with pytest.raises(HeadError, match=r"scikit-learn is not installed; pip install 'nfn-cli\[bench\]'"):
        BoostedTrees()
