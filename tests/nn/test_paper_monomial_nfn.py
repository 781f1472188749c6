"""The authors' Monomial-NFN: its sizes, what no group element changes, and that it learns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.learning import FitSettings
from nfn_cli.learning.fitting import fit_member
from nfn_cli.nn import Layout, read_fields
from nfn_cli.nn.baselines import PaperMonomialNFN
from nfn_cli.symmetry import act, sample_element

RandomPoint = Callable[..., NetworkWeights]
SmallCNN = Callable[..., Architecture]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_logits_are_invariant(activation: str, random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(activation, width=4)
    point = random_point(architecture, 5)
    torch.manual_seed(0)
    member = PaperMonomialNFN(architecture, channels=(4, 3)).double()
    element = sample_element(architecture, torch.Generator().manual_seed(1), batch=(5,), scale_range=(1.0, 100.0))
    layout = Layout.of(architecture)
    with torch.no_grad():
        before, after = (
            member(read_fields(layout, shown, dtype=torch.float64)) for shown in (point, act(element, point))
        )
    assert before.std() > 0
    assert (after - before).abs().max() < 1e-6 * before.std()


def test_averages_keep_kernels_inputs_and_outputs(small_cnn: SmallCNN) -> None:
    member = PaperMonomialNFN(small_cnn())
    # First weight and bias, two inner ones, and the last: 9 + 1, twice 9 + 1, and 10 + 10 numbers of each channel.
    assert member.readout[0].in_features == 5 * (10 + 10 + 10 + 20)
    # One gain for each number that is normalised together: channels times kernel.
    assert sorted({len(gain) for gain in member.gains}) == [5, 45]


def test_every_parameter_has_a_part_in_the_logits(random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=3)
    member = PaperMonomialNFN(architecture, channels=(4, 3), hidden=8)
    member(read_fields(Layout.of(architecture), random_point(architecture, 5))).square().sum().backward()
    assert [name for name, parameter in member.named_parameters() if parameter.grad is None] == []


def test_the_training_loop_fits_it(random_point: RandomPoint) -> None:
    architecture = chain([Layer("0", "linear", 2, 5), Layer("1", "linear", 5, 1)], activation="relu")
    point = random_point(architecture, 60)
    accuracies = torch.linspace(0.1, 0.9, 60)
    inputs = read_fields(
        Layout.of(architecture),
        NetworkWeights(architecture, {**point.tensors, "1.bias": accuracies.double()[:, None]}),
    )
    torch.manual_seed(0)
    member = PaperMonomialNFN(architecture, hidden=16)
    fit_member(member, inputs, accuracies, FitSettings(epochs=30, batch_size=10, learning_rate=1e-2), seed=0)
    assert F.mse_loss(member(inputs).sigmoid(), accuracies) < 0.2 * accuracies.var()
