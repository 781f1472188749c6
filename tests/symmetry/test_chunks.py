"""Results do not hang on how many rows are held at once, nor on who asks for a tensor whole or in parts."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights, Side
from nfn_cli.symmetry import GroupElement, act, normal_form, read_source, sample_element, transformed
from nfn_cli.symmetry.neurons import neuron_rows, unread_neurons

SMALL = 11  # numbers: a row or two of the test networks


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("neurons", "normal_form", "transform"):
        monkeypatch.setattr(importlib.import_module(f"nfn_cli.symmetry.{module}"), "CHUNK", SMALL)


@pytest.fixture(params=["mlp", "conv2d", "convolutions"])
def relu(
    request: pytest.FixtureRequest,
    architecture_of: Callable[..., Architecture],
    random_point: Callable[..., NetworkWeights],
) -> NetworkWeights:
    return random_point(architecture_of(request.param, "relu"))


def parts(element: GroupElement) -> list[Tensor]:
    return [*element.permutations, *element.diagonals, *element.half_turns]


@pytest.mark.parametrize("activation", ["relu", "tanh", "sin"])
def test_the_normal_form_is_the_same_in_small_chunks(
    activation: str,
    architecture_of: Callable[..., Architecture],
    random_point: Callable[..., NetworkWeights],
    request: pytest.FixtureRequest,
) -> None:
    point = random_point(architecture_of("conv2d", activation, pool="avg"))
    first = point.tensors["a.weight"]
    first[1] = first[3]  # duplicates, whose whole rows are compared
    point.tensors["a.bias"][1] = point.tensors["a.bias"][3]
    point.tensors["b.weight"][2] = 0  # silent
    point.tensors["b.bias"][2] = 0
    point.tensors["c.weight"][:, 4] = 0  # not read
    expected = normal_form(point)
    request.getfixturevalue("small_chunks")
    found = normal_form(point)
    for mine, other in zip(parts(found.element), parts(expected.element), strict=True):
        assert torch.allclose(mine.double(), other.double(), rtol=1e-14, atol=0)
    assert [places.tolist() for places in found.dead] == [places.tolist() for places in expected.dead]
    assert [[s.tolist() for s in sets] for sets in found.duplicates] == [
        [s.tolist() for s in sets] for sets in expected.duplicates
    ]
    assert [len(sets) for sets in found.duplicates] == [1, 0] and len(found.dead[1]) == 2


def test_rows_stay_good_unless_they_need_not(relu: NetworkWeights, small_chunks: None) -> None:
    sizes = [group.size for group in relu.architecture.groups]
    element = sample_element(relu.architecture, torch.Generator().manual_seed(1))
    for group in range(len(sizes)):
        kept = list(neuron_rows(relu, group, Side.OUT, element))
        assert len(kept) > 1
        passing = neuron_rows(relu, group, Side.OUT, element, lasting=False)
        for (neurons, weights, bias), (others, same, same_bias) in zip(kept, passing, strict=True):
            assert torch.equal(neurons, others) and torch.equal(weights, same)
            assert bias is not None and same_bias is not None and torch.equal(bias, same_bias)
        again = next(iter(neuron_rows(relu, group, Side.OUT, element)))
        assert torch.equal(kept[0][1], again[1])


def test_rows_are_no_view_of_the_network(relu: NetworkWeights) -> None:
    before = {name: tensor.clone() for name, tensor in relu.tensors.items()}
    normal_form(relu)
    element = sample_element(relu.architecture, torch.Generator().manual_seed(2))
    act(element, relu)
    assert all(torch.equal(relu.tensors[name], tensor) for name, tensor in before.items())


def test_a_neuron_that_one_late_row_reads_is_read(small_chunks: None, relu: NetworkWeights) -> None:
    group = len(relu.architecture.groups) - 1
    last = relu.tensors[relu.architecture.tensors[-2].name]
    repeat = last.shape[1] // relu.architecture.groups[group].size
    last[:, :repeat] = 0
    assert unread_neurons(relu, group).nonzero().tolist() == [[0]]
    last[-1, repeat - 1] = 1e-30
    assert not unread_neurons(relu, group).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_a_file_acted_on_in_parts_is_what_act_gives(
    dtype: torch.dtype, relu: NetworkWeights, small_chunks: None, tmp_path: Path
) -> None:
    path = tmp_path / "a.pt"
    tensors = {name: tensor.to(dtype) for name, tensor in relu.tensors.items()}
    torch.save({"state_dict": tensors, "activation": "relu"}, path)
    source = read_source(path)
    element = sample_element(source.stored, torch.Generator().manual_seed(3), scale_range=(0.1, 10))
    point = NetworkWeights(source.stored, {name: tensor.double() for name, tensor in tensors.items()})
    exact = act(element, point).tensors
    moved, step = transformed(source, element), torch.finfo(dtype).eps
    assert set(moved) == set(tensors) and "a.missing" not in moved
    for name, expected in exact.items():
        pieces = [part.clone() for part in moved.parts(name)]
        assert len(pieces) > 1 or expected.numel() <= SMALL
        assert torch.equal(torch.cat(pieces), moved[name])
        assert moved[name].dtype == dtype
        assert torch.allclose(moved[name].double(), expected, rtol=2 * step, atol=0)
    lost = [float((tensor - tensor.to(dtype)).abs().max() / tensor.abs().max()) for tensor in exact.values()]
    assert moved.rounding == pytest.approx(max(lost), rel=0.01)
