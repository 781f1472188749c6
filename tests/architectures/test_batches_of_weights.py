"""Batches of networks: their axes, what is done to every tensor, and several as one."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.architectures import Layer, NetworkWeights, chain, joined, stack


def networks(count: int, prefix: str = "", width: int = 5) -> NetworkWeights:
    layers = [Layer(f"{prefix}0", "linear", 2, width), Layer(f"{prefix}1", "linear", width, 3)]
    architecture = chain(layers, activation="relu")
    generator = torch.Generator().manual_seed(count)
    tensors = {spec.name: torch.randn(count, *spec.shape, generator=generator) for spec in architecture.tensors}
    return NetworkWeights(architecture, tensors)


def test_the_batch_axes_are_those_before_the_shape() -> None:
    several = networks(4)
    assert several.batch == (4,)
    assert several.mapped(lambda tensor: tensor[0]).batch == ()
    assert several.mapped(lambda tensor: tensor.unflatten(0, (2, 2))).batch == (2, 2)


def test_every_tensor_is_mapped_under_its_name() -> None:
    several = networks(4)
    some = several.mapped(lambda tensor: tensor[1:3])
    assert some.architecture is several.architecture
    assert all(torch.equal(some.tensors[name], tensor[1:3]) for name, tensor in several.tensors.items())


def test_batches_are_joined_in_their_order_under_the_first_names() -> None:
    first, second = networks(2), networks(3, "net.")
    both = joined([first, second])
    assert both.architecture is first.architecture and both.batch == (5,)
    parts = zip(first.tensors, second.tensors.values(), strict=True)
    assert all(torch.equal(both.tensors[name][2:], tensor) for name, tensor in parts)
    alone = [both.mapped(lambda tensor, number=number: tensor[number]) for number in range(5)]  # type: ignore[misc]
    assert all(torch.equal(stack(alone).tensors[name], tensor) for name, tensor in both.tensors.items())


def test_networks_of_two_shapes_are_not_joined() -> None:
    with pytest.raises(ValueError, match="one signature"):
        joined([networks(2), networks(2, width=6)])
