"""Statistics of any classifier: the same along the whole orbit, whatever lies between its layers."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.architectures.read_classifier import ReadClassifier
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics, joined_statistics
from nfn_cli.nn.any_classifier.statistics_of import statistics_of
from nfn_cli.symmetry import act, sample_element

PICTURE = (1, 8, 8)


class Residual(nn.Module):
    """A block with BatchNorm between two convolutions, around which the picture goes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        first = self.bn1(self.conv1(pictures)).relu()
        whole: Tensor = self.fc((first + self.bn2(self.conv2(first))).relu().mean((2, 3)))
        return whole


def residual() -> Residual:
    torch.manual_seed(0)
    network = Residual()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for _ in range(3):
            network(torch.randn(16, *PICTURE))
    return network.eval()


def read(network: nn.Module) -> ReadClassifier:
    tensors = {name: own for name, own in network.state_dict().items() if own.is_floating_point()}
    return ReadClassifier(tensors, network, PICTURE, None, "a module")


def assert_alike(found: NetworkStatistics, wanted: NetworkStatistics, tolerance: float) -> None:
    for field in fields(NetworkStatistics):
        ours, theirs = getattr(found, field.name).double(), getattr(wanted, field.name).double()
        torch.testing.assert_close(
            ours, theirs, rtol=tolerance, atol=tolerance, msg=lambda text, n=field.name: n + text
        )


def test_a_residual_networks_statistics_are_those_of_its_orbit() -> None:
    before = residual()
    after = residual()
    generator = torch.Generator().manual_seed(1)
    # The stream's channels carry one scale and one order; BatchNorm takes what its convolution is scaled by.
    stream, order = torch.empty(4).uniform_(0.1, 10, generator=generator), torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        free = torch.empty(4).uniform_(0.1, 10, generator=generator)
        after.conv1.weight.copy_((before.conv1.weight * free[:, None, None, None])[order])
        after.conv1.bias.copy_((before.conv1.bias * free)[order])
        after.bn1.running_mean.copy_((before.bn1.running_mean * free)[order])
        after.bn1.running_var.copy_((before.bn1.running_var * free**2 + 1e-5 * (free**2 - 1))[order])
        for ours, theirs in ((after.bn1, before.bn1), (after.bn2, before.bn2)):
            ours.weight.copy_((theirs.weight * stream)[order])
            ours.bias.copy_((theirs.bias * stream)[order])
        after.conv2.weight.copy_((before.conv2.weight / stream[None, :, None, None])[order][:, order])
        after.conv2.bias.copy_(before.conv2.bias[order])
        after.bn2.running_mean.copy_(before.bn2.running_mean[order])
        after.bn2.running_var.copy_(before.bn2.running_var[order])
        after.fc.weight.copy_((before.fc.weight / stream)[:, order])
    pictures = torch.randn(5, *PICTURE, generator=generator)
    torch.testing.assert_close(after(pictures), before(pictures), rtol=1e-4, atol=1e-4)
    assert_alike(statistics_of(read(after)), statistics_of(read(before)), 2e-3)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_chain_that_is_not_run_has_the_statistics_of_its_orbit(activation: str) -> None:
    architecture = chain(small_layers(), activation=activation)
    generator = torch.Generator().manual_seed(2)
    point = NetworkWeights(
        architecture,
        {spec.name: torch.randn(spec.shape, generator=generator).double() for spec in architecture.tensors},
    )
    element = sample_element(architecture, generator, scale_range=(0.01, 100.0))
    assert_alike(of_chain(act(element, point)), of_chain(point), 1e-5)


def small_layers() -> list[Layer]:
    return [Layer("a", "conv", 1, 5, (3, 3)), Layer("b", "conv", 5, 6, (3, 3)), Layer("c", "linear", 6, 4)]


def of_chain(point: NetworkWeights) -> NetworkStatistics:
    return statistics_of(ReadClassifier(point.tensors, None, None, point, "a chain"))


def test_the_order_of_classes_does_not_matter() -> None:
    before, after = residual(), residual()
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        after.fc.weight.copy_(before.fc.weight[order])
        after.fc.bias.copy_(before.fc.bias[order])
    torch.testing.assert_close(
        statistics_of(read(after)).answers, statistics_of(read(before)).answers, rtol=1e-4, atol=1e-4
    )


def test_networks_join_and_are_selected() -> None:
    one, other = statistics_of(read(residual())), statistics_of(read(residual()))
    both = joined_statistics([one, other])
    assert len(both) == 2 and both.layers.shape == (2, 24, 45)
    assert_alike(both.select([1]), other, 0)


def test_large_pictures_are_not_shown() -> None:
    network = residual()
    tensors = read(network).tensors
    assert not statistics_of(ReadClassifier(tensors, network, (1, 96, 96), None, "a module")).runs.any()
    assert statistics_of(read(network)).runs.all()
