"""Squared weights between groups: sums as by hand, silence that spreads, and as much work as there are layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.symmetry.balance import balance
from nfn_cli.symmetry.links import Link, Links, pair_weights

MakeArchitecture = Callable[..., Architecture]
MakeNetwork = Callable[..., NetworkWeights]
RandomPoint = Callable[..., NetworkWeights]
Change = Callable[[NetworkWeights, Callable[[dict[str, Tensor]], object]], NetworkWeights]


def deep(count: int, width: int = 6) -> list[Layer]:
    return [Layer(f"l{place}", "linear", width, width) for place in range(count)]


@pytest.mark.parametrize("name", ["mlp", "conv1d", "conv2d", "conv3d", "global pooling", "convolutions"])
def test_norms_are_those_of_the_scaled_weights(
    name: str, architecture_of: MakeArchitecture, random_point: RandomPoint
) -> None:
    point = random_point(architecture_of(name, "relu"), dtype=torch.float32)
    architecture, generator = point.architecture, torch.Generator().manual_seed(1)
    logs = [torch.randn(group.size, generator=generator, dtype=torch.float64) for group in architecture.groups]
    links = Links.of(point)
    fed_all, read_all, totals = links.measured(logs)
    for group, layer in enumerate(architecture.layers[:-1]):
        after = architecture.layers[group + 1]
        scale = logs[group].exp()
        weight, reader = (point.tensors[f"{some.name}.weight"].double() for some in (layer, after))
        columns = reader.reshape(after.out_features, len(scale), -1)
        if group:
            before = logs[group - 1].exp()
            weight = weight.reshape(len(scale), len(before), -1) / before[:, None]
        bias = point.tensors[f"{layer.name}.bias"].double()
        fed = (weight.flatten(1).square().sum(1) + bias.square()) * scale.square()
        next_scale = logs[group + 1].exp() if group + 1 < len(logs) else torch.ones(after.out_features).double()
        read = (columns * next_scale[:, None, None]).square().sum((0, 2)) / scale.square()
        for found, expected in zip(links.squared_norms(group, logs), (fed, read), strict=True):
            assert torch.allclose(found, expected, rtol=1e-12)
        assert torch.allclose(fed_all[group], fed, rtol=1e-12)
        assert torch.allclose(read_all[group], read, rtol=1e-12)
        # What feeds a group in all is the totals of the links into it.
        places = [place for place, link in enumerate(links.links) if link.feeds == group]
        assert torch.allclose(totals[places].sum(), fed.sum(), rtol=1e-12)


def test_silence_spreads_forward_and_what_is_unread_backward(network: MakeNetwork, changed: Change) -> None:
    def cut(tensors: dict[str, Tensor]) -> None:
        for name in ("l0", "l1"):  # neuron 0 of every group but the third hangs on neuron 0 before it alone
            tensors[f"{name}.bias"][0] = 0
            tensors[f"{name}.weight"][0] = 0
        tensors["l1.weight"][0, 0] = 1
        tensors["l4.weight"][:, 5] = 0
        tensors["l3.weight"][:, 4] = 0
        tensors["l3.weight"][5, 4] = 1

    links = Links.of(changed(network(deep(5), "relu"), cut))
    assert [int((~fed).sum()) for fed in links.fed] == [1, 1, 0, 0]
    assert [int((~read).sum()) for read in links.read] == [0, 0, 1, 1]
    assert links.alive(2).tolist() == [True, True, True, True, False, True]


def count_squarings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one each time that a link squares its weights."""
    counted: list[int] = []
    squares = Link.squares

    def counting(self: Link) -> Iterator[tuple[slice, Tensor]]:
        counted.append(1)
        return squares(self)

    monkeypatch.setattr(Link, "squares", counting)
    return counted


def test_the_work_grows_with_the_number_of_layers(network: MakeNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    counted, counts = count_squarings(monkeypatch), []
    for layers in (20, 40, 80):
        counted.clear()
        Links.of(network(deep(layers, 3), "relu"))
        counts.append(len(counted))
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])
    assert counts[2] < 80 * 8


def test_a_deep_network_is_balanced_in_few_sweeps(network: MakeNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps: list[int] = []
    measured = Links.measured

    def counting(self: Links, logs: list[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        sweeps.append(1)
        return measured(self, logs)

    monkeypatch.setattr(Links, "measured", counting)
    _, residual = balance(network(deep(60, 16), "relu"))
    assert residual < 1e-12
    assert len(sweeps) < 100  # without common factors of groups, thousands


def test_one_weight_a_pair_is_squared_in_chunks_and_many_are_held_as_sums() -> None:
    layers = [Layer("a", "linear", 4, 700), Layer("b", "linear", 700, 300), Layer("c", "conv", 300, 5, (3, 3))]
    architecture = chain(layers, activation="relu")
    tensors = {spec.name: torch.ones(spec.shape) for spec in architecture.tensors}
    a, _, b, _, c, _ = (Link.of(tensors[spec.name], spec) for spec in architecture.tensors)
    assert (a.squared, b.squared, c.squared) == (True, False, True)
    assert b.weights.data_ptr() == tensors["b.weight"].data_ptr()
    chunks = [part for _, part in b.squares()]
    assert len(chunks) > 1
    assert sum(map(len, chunks)) == 300
    assert torch.equal(c.read(), torch.full((300,), 45.0, dtype=torch.float64))


def test_pairs_of_a_flattened_layer() -> None:
    layers = [Layer("a", "conv", 1, 2, (2, 2)), Layer("b", "linear", 6, 4, spatial=3), Layer("c", "linear", 4, 1)]
    spec = chain(layers, activation="relu").tensors[2]
    weight = torch.arange(24.0).reshape(4, 6)
    feeds, reads, pairs = pair_weights(weight, spec)
    assert (feeds, reads, pairs.flatten(2).shape) == (1, 0, (4, 2, 3))
    assert pairs[1, 1].flatten().tolist() == weight[1, 3:].tolist()


@pytest.mark.parametrize("factor", [1e-300, 1e-100, 1e100, 1e160, 1e300], ids=str)
def test_scales_are_finite_whatever_the_numbers(factor: float, network: MakeNetwork) -> None:
    point = network("mlp", "relu")
    point = NetworkWeights(point.architecture, {name: tensor * factor for name, tensor in point.tensors.items()})
    scales, residual = balance(point)
    assert all(scale.isfinite().all() and (scale > 0).all() for scale in scales)
    assert residual < 1e-12 or (factor > 1e150 and residual == float("inf"))
