"""ProbeGen: what its generator makes, what no symmetry changes, and that it learns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain, functional_forward
from nfn_cli.errors import HeadError
from nfn_cli.learning import FitSettings
from nfn_cli.learning.fitting import fit_member
from nfn_cli.nn import ForwardPass
from nfn_cli.nn.baselines import ProbeGen, read_tensors
from nfn_cli.symmetry import act, sample_element

RandomPoint = Callable[..., NetworkWeights]
SmallCNN = Callable[..., Architecture]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_logits_are_invariant(activation: str, random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(activation, width=4)
    point = random_point(architecture, 5)
    torch.manual_seed(0)
    member = ProbeGen(architecture, ForwardPass((8, 8), padding=1), probes=6, hidden=16).double()
    element = sample_element(architecture, torch.Generator().manual_seed(1), batch=(5,), scale_range=(1.0, 100.0))
    moved = act(element, point)
    with torch.no_grad():
        before, after = (
            member([shown.tensors[spec.name] for spec in architecture.tensors]) for shown in (point, moved)
        )
    assert before.std() > 0
    assert (after - before).abs().max() < 1e-6 * before.std()


def test_answers_are_those_of_the_networks(random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=4)
    point = random_point(architecture, 3)
    member = ProbeGen(architecture, ForwardPass((8, 8), padding=1), probes=5, hidden=16).double()
    tensors = [point.tensors[spec.name] for spec in architecture.tensors]
    one = NetworkWeights(architecture, {name: tensor[1] for name, tensor in point.tensors.items()})
    with torch.no_grad():
        answers = member.answers(tensors)
        torch.testing.assert_close(answers[1], functional_forward(one, member.probes(), padding=1))
    assert answers.shape == (3, 5, 10)


def test_no_activation_stands_between_the_layers_of_the_generator(small_cnn: SmallCNN) -> None:
    member = ProbeGen(small_cnn(), ForwardPass((32, 32), stride=2))
    *layers, last = member.generator
    assert isinstance(last, nn.Tanh)
    assert all(isinstance(layer, nn.ConvTranspose2d) for layer in layers)
    probes = member.probes()
    assert probes.shape == (128, 1, 32, 32)
    assert probes.abs().max() <= 1


def test_the_training_loop_fits_it(random_point: RandomPoint) -> None:
    architecture = chain([Layer("0", "linear", 2, 6), Layer("1", "linear", 6, 2)], activation="tanh")
    point = random_point(architecture, 64)
    # What the networks answer to an input that the probes have to find.
    inputs, tensors = torch.tensor([[1.0, -1.0]], dtype=torch.float64), point.tensors
    accuracies = torch.stack(
        [
            functional_forward(NetworkWeights(architecture, {n: t[i] for n, t in tensors.items()}), inputs)[0, 0]
            for i in range(64)
        ]
    ).sigmoid()
    torch.manual_seed(0)
    member = ProbeGen(architecture, ForwardPass(), probes=8, hidden=32, depth=3)
    read = read_tensors(point)
    fit_member(member, read, accuracies, FitSettings(epochs=20, batch_size=16, learning_rate=1e-2), seed=0)
    assert member.codes.grad is not None
    assert F.mse_loss(member(read).sigmoid(), accuracies.float()) < 0.2 * accuracies.var()


def test_other_inputs_are_refused(small_cnn: SmallCNN) -> None:
    with pytest.raises(HeadError, match="ProbeGen makes no inputs of 28x28"):
        ProbeGen(small_cnn(), ForwardPass((28, 28)))
    with pytest.raises(HeadError, match="too small for layer"):
        ProbeGen(small_cnn(), ForwardPass((2, 2)))
