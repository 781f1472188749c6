"""What acting does to every entry, data type and batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from nfn_cli.architectures import Architecture, AxisRole, Layer, NetworkWeights, NeuronGroup, Side, TensorSpec, chain
from nfn_cli.symmetry import GroupElement, act, sample_element

MakeArchitecture = Callable[..., Architecture]
RandomPoint = Callable[..., NetworkWeights]


def element(order: list[int], diagonal: list[float]) -> GroupElement:
    """For one group."""
    return GroupElement((torch.tensor(order),), (torch.tensor(diagonal, dtype=torch.float64),))


def test_neuron_i_becomes_neuron_pi_i_times_d_i_and_its_readers_divide() -> None:
    architecture = chain([Layer("0", "linear", 1, 3), Layer("1", "linear", 3, 1)], activation="relu")
    point = NetworkWeights(
        architecture,
        {
            "0.weight": torch.tensor([[1.0], [2.0], [3.0]]),
            "0.bias": torch.tensor([10.0, 20.0, 30.0]),
            "1.weight": torch.tensor([[100.0, 200.0, 300.0]]),
            "1.bias": torch.tensor([7.0]),
        },
    )
    moved = act(element([2, 0, 1], [2.0, 4.0, 10.0]), point).tensors
    assert moved["0.weight"].tolist() == [[6.0], [4.0], [20.0]]
    assert moved["0.bias"].tolist() == [60.0, 40.0, 200.0]
    assert moved["1.weight"].tolist() == [[150.0, 25.0, 20.0]]
    assert moved["1.bias"].tolist() == [7.0]


def test_a_flattened_axis_moves_in_runs() -> None:
    layers = [Layer("0", "conv", 1, 2, (2,)), Layer("1", "linear", 6, 1, spatial=3)]
    architecture = chain(layers, activation="relu")
    point = NetworkWeights(
        architecture,
        {
            "0.weight": torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]),
            "0.bias": torch.tensor([1.0, 2.0]),
            "1.weight": torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]),
            "1.bias": torch.zeros(1),
        },
    )
    moved = act(element([1, 0], [2.0, 1.0]), point).tensors
    assert moved["0.weight"].tolist() == [[[6.0, 8.0]], [[1.0, 2.0]]]
    assert moved["1.weight"].tolist() == [[2.0, 2.5, 3.0, 1.0, 2.0, 3.0]]


def test_an_index_axis_is_permuted_and_not_scaled() -> None:
    architecture = Architecture(
        layers=(),
        groups=(NeuronGroup("0", 3, "relu"),),
        tensors=(TensorSpec("running_mean", (3,), (AxisRole(Side.INDEX, 0),)),),
        activation="relu",
    )
    point = NetworkWeights(architecture, {"running_mean": torch.tensor([1.0, 2.0, 3.0])})
    moved = act(element([2, 0, 1], [2.0, 4.0, 10.0]), point).tensors
    assert moved["running_mean"].tolist() == [3.0, 1.0, 2.0]
    assert moved["running_mean"].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_the_data_type_is_kept(
    dtype: torch.dtype, architecture_of: MakeArchitecture, random_point: RandomPoint
) -> None:
    architecture = architecture_of("conv1d", "relu")
    g = sample_element(architecture, torch.Generator().manual_seed(0), scale_range=(1.0, 2.0))
    moved = act(g, random_point(architecture, dtype=dtype))
    assert {tensor.dtype for tensor in moved.tensors.values()} == {dtype}


def test_the_arithmetic_is_float64() -> None:
    # Between the two scalings, the weight leaves the range of float32 in either direction.
    layers = [Layer("0", "linear", 1, 1), Layer("1", "linear", 1, 1), Layer("2", "linear", 1, 1)]
    architecture = chain(layers, activation="relu")
    ones = {spec.name: torch.ones(spec.shape) for spec in architecture.tensors}
    zero = torch.tensor([0])
    for huge in (1e60, 1e-60):
        diagonal = torch.tensor([huge], dtype=torch.float64)
        moved = act(GroupElement((zero, zero), (diagonal, diagonal * 3)), NetworkWeights(architecture, ones))
        assert moved.tensors["1.weight"].item() == 3.0


def test_the_point_is_left_as_it_was(architecture_of: MakeArchitecture, random_point: RandomPoint) -> None:
    architecture = architecture_of("mlp", "relu")
    point = random_point(architecture)
    before = {name: tensor.clone() for name, tensor in point.tensors.items()}
    g = sample_element(architecture, torch.Generator().manual_seed(0))
    moved = act(g, point)
    assert not torch.equal(moved.tensors["1.weight"], before["1.weight"])
    assert all(torch.equal(point.tensors[name], before[name]) for name in before)


@pytest.mark.parametrize("name", ["mlp", "conv1d", "conv2d", "conv3d"])
def test_a_batch_is_acted_on_member_by_member(
    name: str, architecture_of: MakeArchitecture, random_point: RandomPoint
) -> None:
    architecture = architecture_of(name, "identity")
    point = random_point(architecture, 2, 3)
    g = sample_element(architecture, torch.Generator().manual_seed(0), batch=(2, 3))
    moved = act(g, point)
    for i, j in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        own = GroupElement(tuple(p[i, j] for p in g.permutations), tuple(d[i, j] for d in g.diagonals))
        alone = act(own, NetworkWeights(architecture, {key: tensor[i, j] for key, tensor in point.tensors.items()}))
        assert all(torch.equal(moved.tensors[key][i, j], alone.tensors[key]) for key in moved.tensors)


def test_one_element_acts_on_every_member_of_a_batch(
    architecture_of: MakeArchitecture, random_point: RandomPoint
) -> None:
    architecture = architecture_of("conv2d", "relu")
    point = random_point(architecture, 3)
    g = sample_element(architecture, torch.Generator().manual_seed(0))
    moved = act(g, point)
    for i in range(3):
        alone = act(g, NetworkWeights(architecture, {key: tensor[i] for key, tensor in point.tensors.items()}))
        assert all(torch.equal(moved.tensors[key][i], alone.tensors[key]) for key in moved.tensors)


@pytest.mark.parametrize(
    "g", [GroupElement.identity([7, 5]), GroupElement.identity([8]), GroupElement.identity([8, 5, 5])]
)
def test_an_element_of_another_architecture_is_refused(
    g: GroupElement, architecture_of: MakeArchitecture, random_point: RandomPoint
) -> None:
    with pytest.raises(ValueError, match=r"cannot act on groups \[8, 5\]"):
        act(g, random_point(architecture_of("mlp", "relu")))


@pytest.mark.parametrize("batch", [(), (2,), (3, 3)])
def test_an_element_of_another_batch_is_refused(
    batch: tuple[int, ...], architecture_of: MakeArchitecture, random_point: RandomPoint
) -> None:
    architecture = architecture_of("mlp", "relu")
    g = sample_element(architecture, torch.Generator().manual_seed(0), batch=(3,))
    with pytest.raises(ValueError, match="cannot act on a batch"):
        act(g, random_point(architecture, *batch))
