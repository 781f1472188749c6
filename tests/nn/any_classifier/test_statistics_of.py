"""Statistics of any classifier: the same along the whole orbit, whatever lies between its layers."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.architectures.read_classifier import ReadClassifier, read_classifier
from nfn_cli.architectures.stated import Stated
from nfn_cli.checkpoints import checkpoint_of
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


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_chain_with_norms_that_is_not_run_has_the_statistics_of_its_orbit(norm: str) -> None:
    torch.manual_seed(3)
    norms = [nn.BatchNorm1d(6) if norm == "batch" else nn.LayerNorm(6) for _ in range(2)]
    layers = nn.Linear(64, 6), norms[0], nn.ReLU(), nn.Linear(6, 6), norms[1], nn.ReLU(), nn.Linear(6, 3)
    network = nn.Sequential(*layers).double()
    network(torch.randn(32, 64).double())
    before = {name: tensor.clone() for name, tensor in network.eval().state_dict().items()}
    own, free = torch.empty(6).uniform_(0.1, 10).double(), torch.empty(6).uniform_(0.1, 10).double()
    after = dict(before)
    # The next layer undoes what the gain is scaled by; the gain of a BatchNorm undoes what its layer is scaled by.
    after |= {
        "1.weight": before["1.weight"] * own,
        "1.bias": before["1.bias"] * own,
        "3.weight": before["3.weight"] / own,
    }
    if norm == "batch":
        after |= {"0.weight": before["0.weight"] * free[:, None], "0.bias": before["0.bias"] * free}
        after |= {"1.weight": after["1.weight"] / free, "1.running_mean": before["1.running_mean"] * free}
    pictures = torch.randn(5, 64).double()
    logits = network(pictures)
    found = from_file(after)
    network.load_state_dict(after)
    torch.testing.assert_close(network(pictures), logits)
    assert_alike(found, from_file(before), 1e-5)


def from_file(state: dict[str, Tensor]) -> NetworkStatistics:
    return statistics_of(read_classifier(checkpoint_of(state, "net"), Stated(chain=True)))


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
    for picture in ((1, 96, 96), (2_000_000, 8, 8)):
        assert not statistics_of(ReadClassifier(tensors, network, picture, None, "a module")).runs.any()
    assert statistics_of(read(network)).runs.all()


class Wide(nn.Module):
    """More channels than pictures, and the last layer registered first."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.conv = nn.Linear(784, 3), nn.Conv2d(1, 784, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        whole: Tensor = self.fc(self.conv(pictures).relu().mean((2, 3)))
        return whole


def test_channels_of_a_wide_layer_have_no_order() -> None:
    torch.manual_seed(4)
    before, after, order = Wide(), Wide(), torch.randperm(784)
    own = before.state_dict()
    moved = {"fc.weight": own["fc.weight"][:, order], "fc.bias": own["fc.bias"]}
    after.load_state_dict(moved | {name: own[name][order] for name in ("conv.weight", "conv.bias")})
    assert_alike(statistics_of(read(after)), statistics_of(read(before)), 1e-4)


class Grouped(nn.Module):
    """A convolution in groups of several channels, and one of a channel each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 4, 3, groups=2)
        self.conv3, self.fc = nn.Conv2d(4, 4, 3, groups=4), nn.Linear(4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        whole: Tensor = self.fc(self.conv3(self.conv2(self.conv1(pictures).relu()).relu()).mean((2, 3)))
        return whole


def test_channels_of_groups_have_scales_and_an_order_of_their_own() -> None:
    torch.manual_seed(5)
    before, after = Grouped().eval(), Grouped().eval()
    first, second = torch.empty(6).uniform_(0.1, 10), torch.empty(4).uniform_(0.1, 10)
    order = torch.tensor([2, 0, 1, 3, 5, 4])  # within a group
    own = before.state_dict()
    scaled = own["conv2.weight"].unflatten(0, (2, 2)) / first.view(2, 1, 3, 1, 1) * second.view(2, 2, 1, 1, 1)
    moved = torch.stack([scaled[0][:, order[:3]], scaled[1][:, order[3:] - 3]]).flatten(0, 1)
    after.load_state_dict(
        {
            "conv1.weight": (own["conv1.weight"] * first.view(-1, 1, 1, 1))[order],
            "conv1.bias": (own["conv1.bias"] * first)[order],
            "conv2.weight": moved,
            "conv2.bias": own["conv2.bias"] * second,
            "conv3.weight": own["conv3.weight"] / second.view(-1, 1, 1, 1),
            "conv3.bias": own["conv3.bias"],
            "fc.weight": own["fc.weight"],
            "fc.bias": own["fc.bias"],
        }
    )
    pictures = torch.randn(3, *PICTURE)
    torch.testing.assert_close(after(pictures), before(pictures), rtol=1e-4, atol=1e-5)
    assert_alike(statistics_of(read(after)), statistics_of(read(before)), 2e-3)


def test_classes_are_counted_in_the_answers() -> None:
    network = residual()
    tensors = read(network).tensors
    first = {name: tensors[name] for name in sorted(tensors, reverse=True)}  # the last layer stands first
    assert statistics_of(ReadClassifier(first, network, PICTURE, None, "a module")).classes.tolist() == [3]


def test_huge_weights_give_finite_statistics() -> None:
    torch.manual_seed(0)
    state = {
        name: own.double() * 1e200
        for name, own in nn.Sequential(nn.Linear(64, 5), nn.Linear(5, 3)).state_dict().items()
    }
    found = from_file(state)
    assert all(getattr(found, field.name).isfinite().all() for field in fields(NetworkStatistics))
