"""A population in one pass computes what each of its networks computes by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.zoo.small_cnn import (
    SmallCnn,
    grouped_convolution,
    image_patches,
    population_logits,
    product_convolution,
    strided_patches,
)

Plain = Callable[[dict[str, Tensor], str], nn.Module]
NETWORKS, BATCH = 3, 5


def random_population(network: SmallCnn) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.3 * torch.randn(NETWORKS, network.parameter_count, generator=generator)


def random_images(count: int, channels: int = 1, side: int = 28) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def member(network: SmallCnn, parameters: Tensor, position: int) -> dict[str, Tensor]:
    return {name: tensor[position] for name, tensor in network.split(parameters).items()}


def test_the_published_network_has_4970_parameters() -> None:
    assert SmallCnn().parameter_count == 4_970


def test_splitting_gives_views_that_cover_every_parameter_once() -> None:
    network = SmallCnn(3, 7)
    parameters = torch.arange(2.0 * network.parameter_count).view(2, -1)
    pieces = network.split(parameters)
    assert torch.equal(torch.cat([piece.flatten(1) for piece in pieces.values()], dim=1), parameters)
    pieces["fc.bias"][1, 0] = -1
    assert parameters[1].eq(-1).sum() == 1


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (1, 15), (2, 17)])
def test_shared_images_give_every_networks_own_logits(activation: str, channels: int, side: int, plain: Plain) -> None:
    network = SmallCnn(channels, 10)
    parameters, images = random_population(network), random_images(BATCH, channels, side)
    logits = population_logits(network.split(parameters), image_patches(images)[None], activation)
    assert logits.shape == (NETWORKS, BATCH, 10)
    for position in range(NETWORKS):
        expected = plain(member(network, parameters, position), activation)(images)
        torch.testing.assert_close(logits[position], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("width", [5, 16])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_every_network_sees_its_own_images(activation: str, width: int, plain: Plain) -> None:
    network = SmallCnn(width=width)
    parameters, images = random_population(network), random_images(NETWORKS * BATCH)
    patches = image_patches(images).unflatten(0, (NETWORKS, BATCH))
    logits = population_logits(network.split(parameters), patches, activation)
    for position, own in enumerate(images.split(BATCH)):
        expected = plain(member(network, parameters, position), activation)(own)
        torch.testing.assert_close(logits[position], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gradients_are_every_networks_own(activation: str, plain: Plain) -> None:
    network = SmallCnn()
    parameters, images = random_population(network).requires_grad_(), random_images(NETWORKS * BATCH)
    labels = torch.arange(NETWORKS * BATCH) % 10
    patches = image_patches(images).unflatten(0, (NETWORKS, BATCH))
    logits = population_logits(network.split(parameters), patches, activation)
    F.cross_entropy(logits.flatten(0, 1), labels, reduction="sum").backward()
    assert parameters.grad is not None
    for position, (own, classes) in enumerate(zip(images.split(BATCH), labels.split(BATCH), strict=True)):
        one = plain(member(network, parameters.detach(), position), activation)
        F.cross_entropy(one(own), classes, reduction="sum").backward()
        expected = torch.cat([dict(one.named_parameters())[name].grad.flatten() for name in network.shapes])  # type: ignore[union-attr]
        torch.testing.assert_close(parameters.grad[position], expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_bfloat16_is_close_to_float32(activation: str) -> None:
    network = SmallCnn()
    tensors, images = network.split(random_population(network)), random_images(BATCH)
    exact = population_logits(tensors, image_patches(images)[None], activation)
    rough = population_logits(tensors, image_patches(images.bfloat16())[None], activation)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.03 * exact.abs().max().item(), rtol=0)


@pytest.mark.parametrize("side", [3, 6, 15])
def test_convolutions_by_groups_and_by_products_agree_with_their_gradients(side: int) -> None:
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    hidden, weight, bias = leaf(2, NETWORKS * 4, side, side), leaf(NETWORKS, 5, 4, 3, 3), leaf(NETWORKS, 5)
    results = []
    for convolution in (grouped_convolution, product_convolution):
        made = convolution(hidden.contiguous(memory_format=torch.channels_last), weight, bias)
        results.append((made, *torch.autograd.grad(made.sin().sum(), [hidden, weight, bias])))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
    assert results[1][0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 15), (2, 16)])
def test_patches_of_a_step_are_those_of_the_image_set(channels: int, side: int) -> None:
    images = random_images(BATCH, channels, side)
    assert torch.equal(strided_patches(images), image_patches(images))
