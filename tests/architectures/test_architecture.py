"""Roles of axes, signatures, and batches of networks."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.architectures import Architecture, AxisRole, Layer, NetworkWeights, Side, chain, stack
from nfn_cli.architectures.weights_and_biases import weights_and_biases

FIXED = AxisRole()


def lenet(activation: str = "relu", prefix: str = "", **others: object) -> Architecture:
    """A convolution, a flatten of four positions, two linear layers."""
    layers = [
        Layer(f"{prefix}conv", "conv", 1, 3, (5, 5)),
        Layer(f"{prefix}fc1", "linear", 12, 6, spatial=4),
        Layer(f"{prefix}fc2", "linear", 6, 2),
    ]
    return chain(layers, activation=activation, **others)  # type: ignore[arg-type]


def test_every_axis_of_a_chain_has_its_role() -> None:
    assert [(spec.name, spec.shape, spec.roles) for spec in lenet().tensors] == [
        ("conv.weight", (3, 1, 5, 5), (AxisRole(Side.OUT, 0), FIXED, FIXED, FIXED)),
        ("conv.bias", (3,), (AxisRole(Side.OUT, 0, bias=True),)),
        ("fc1.weight", (6, 12), (AxisRole(Side.OUT, 1), AxisRole(Side.IN, 0, repeat=4))),
        ("fc1.bias", (6,), (AxisRole(Side.OUT, 1, bias=True),)),
        ("fc2.weight", (2, 6), (FIXED, AxisRole(Side.IN, 1))),
        ("fc2.bias", (2,), (FIXED,)),
    ]


def test_the_groups_are_the_hidden_layers() -> None:
    assert [(group.name, group.size, group.activation) for group in lenet("tanh").groups] == [
        ("conv", 3, "tanh"),
        ("fc1", 6, "tanh"),
    ]


def test_parameters_are_counted() -> None:
    assert lenet().parameter_count == 75 + 3 + 72 + 6 + 12 + 2


def test_an_architecture_is_described_in_one_line() -> None:
    assert lenet().describe() == "conv 1->3 5x5, linear 12->6, linear 6->2 (relu)"


def test_names_do_not_change_the_signature() -> None:
    assert lenet(prefix="net.").signature == lenet().signature


def test_a_frequency_changes_the_signature_of_a_sine_alone() -> None:
    assert lenet("relu", omega_0=1.0).signature == lenet("relu").signature
    assert lenet("sin", omega_0=1.0).signature != lenet("sin").signature


def test_activation_pooling_kernel_and_flatten_change_the_signature() -> None:
    one = [Layer("a", "conv", 1, 4, (2, 2)), Layer("b", "linear", 8, 2, spatial=2)]
    signatures = [
        lenet().signature,
        lenet("tanh").signature,
        lenet(pool="max").signature,
        chain(one, activation="relu").signature,
        chain([Layer("a", "conv", 1, 4, (2, 1)), one[1]], activation="relu").signature,
        chain([Layer("a", "conv", 1, 8, (2, 2)), Layer("b", "linear", 8, 2)], activation="relu").signature,
    ]
    assert len(set(signatures)) == len(signatures)


def test_another_activation_leaves_the_rest() -> None:
    assert lenet("sin", omega_0=3.0, pool="max").with_activation("tanh") == lenet("tanh", omega_0=3.0, pool="max")


def random_point(architecture: Architecture) -> NetworkWeights:
    """Standard normal weights."""
    return NetworkWeights(architecture, {spec.name: torch.randn(spec.shape) for spec in architecture.tensors})


def test_networks_that_differ_in_names_form_a_batch() -> None:
    points = [random_point(lenet()), random_point(lenet(prefix="net."))]
    batch = stack(points)
    assert batch.architecture == points[0].architecture
    for spec in points[0].architecture.tensors:
        assert torch.equal(batch.tensors[spec.name][0], points[0].tensors[spec.name])
        assert torch.equal(batch.tensors[spec.name][1], points[1].tensors[f"net.{spec.name}"])


def test_networks_of_two_signatures_form_no_batch() -> None:
    with pytest.raises(ValueError, match="one signature"):
        stack([random_point(lenet("relu")), random_point(lenet("tanh"))])
    with pytest.raises(ValueError, match="one signature"):
        stack([])


def test_weights_and_biases_are_told_apart() -> None:
    assert weights_and_biases(("W1", "b1", "W2", "b2")) == (("W1", "W2"), ("b1", "b2"))
