"""Dropout drops its share, keeps the mean, and stops the gradient where it dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.zoo.small_cnn import WIDTH, PopulationDropout, SmallCnn, image_patches, population_logits

RATES = [0.0, 0.3, 0.7]


def make(seed: int = 0, rates: Sequence[float] = RATES) -> PopulationDropout:
    return PopulationDropout(rates, torch.Generator().manual_seed(seed), torch.device("cpu"))


def mask(dropout: PopulationDropout, batch: int, side: int) -> Tensor:
    """Whether each value is kept, [networks, batch, 16, side, side]."""
    ones = torch.ones(batch, len(RATES) * WIDTH, side, side).contiguous(memory_format=torch.channels_last)
    return dropout(ones, "relu").unflatten(1, (len(RATES), WIDTH)).transpose(0, 1)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_kept_activation_is_as_it_was_and_a_dropped_one_zero(activation: str) -> None:
    hidden = torch.randn(4, len(RATES) * WIDTH, 6, 6, generator=torch.Generator().manual_seed(1))
    hidden = hidden.contiguous(memory_format=torch.channels_last)
    plain = {"relu": torch.relu, "tanh": torch.tanh}[activation](hidden)
    dropped = make()(hidden, activation)
    assert torch.equal(dropped, torch.where(dropped != 0, plain, 0.0))
    assert torch.equal(dropped[:, :WIDTH], plain[:, :WIDTH])  # rate 0


def test_each_network_loses_its_own_share() -> None:
    for rate, kept in zip(RATES, mask(make(), 64, 12), strict=True):
        assert set(kept.unique().tolist()) <= {0.0, 1.0}
        count = kept.numel()
        # A rate is rounded to 1/256.
        assert kept.mean().item() == pytest.approx(1 - rate, abs=1 / 512 + 4 * math.sqrt(0.25 / count))


def test_the_scale_makes_up_for_what_is_dropped() -> None:
    dropout = make()
    kept = mask(dropout, 64, 12)
    assert dropout.scale[0] == 1
    torch.testing.assert_close(dropout.scale * kept.flatten(1).mean(1), torch.ones(3), atol=0.02, rtol=0)


def test_masks_have_no_pattern_over_values_networks_or_calls() -> None:
    dropout = make(rates=[0.5, 0.5, 0.5])
    first, second = (mask(dropout, 32, 8).flatten(1) - 0.5 for _ in range(2))
    limit = 4 / math.sqrt(first.shape[1])
    assert abs((first[0] * first[1]).mean().item()) * 4 < limit
    assert abs((first[0] * second[0]).mean().item()) * 4 < limit
    assert abs((first[:, 1:] * first[:, :-1]).mean().item()) * 4 < limit


def test_masks_follow_from_the_generator() -> None:
    assert torch.equal(mask(make(3), 4, 5), mask(make(3), 4, 5))
    assert not torch.equal(mask(make(3), 4, 5), mask(make(4), 4, 5))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_logits_and_gradients_are_those_of_plain_networks_under_the_same_masks(
    activation: str, plain: Callable[[dict[str, Tensor], str], nn.Module]
) -> None:
    network, batch = SmallCnn(), 4
    generator = torch.Generator().manual_seed(2)
    parameters = (0.3 * torch.randn(len(RATES), network.parameter_count, generator=generator)).requires_grad_()
    images = torch.randn(batch, 1, 28, 28, generator=generator)
    labels = torch.arange(batch)

    logits = population_logits(network.split(parameters), image_patches(images)[None], activation, make(7))
    losses = F.cross_entropy(logits.transpose(1, 2), labels.expand(len(RATES), -1), reduction="sum")
    losses.backward()
    assert parameters.grad is not None

    same = make(7)
    scaled = [mask(same, batch, side) * same.scale[:, None, None, None, None] for side in (13, 6, 2)]
    for position in range(len(RATES)):
        one = plain({name: tensor[position] for name, tensor in network.split(parameters.detach()).items()}, activation)
        expected = one(images, [layer[position] for layer in scaled])
        torch.testing.assert_close(logits[position], expected, atol=1e-5, rtol=1e-5)
        F.cross_entropy(expected, labels, reduction="sum").backward()
        gradient = torch.cat([dict(one.named_parameters())[name].grad.flatten() for name in network.shapes])  # type: ignore[union-attr]
        torch.testing.assert_close(parameters.grad[position], gradient, atol=2e-5, rtol=1e-4)
