"""Real modules, saved in both formats and told to be chains, are read in the order in which they compute.

Safetensors sorts tensors by its own rule. The widths are chosen so that a wrong order would chain as well wherever the
names are what must tell; the outputs then differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import ReadNetwork, functional_forward
from nfn_cli.errors import ArchitectureError

Read = Callable[..., ReadNetwork]
MakeNetwork = Callable[..., nn.Module]
Deviation = Callable[[Tensor, Tensor], float]

RELU = ("", nn.ReLU())
FLATTEN = ("", nn.Flatten())


class Case(NamedTuple):
    """A network by its steps, the shape of its inputs, and the padding of its convolutions."""

    steps: list[tuple[str, nn.Module]]
    inputs: tuple[int, ...]
    padding: int = 0


def perceptron(*names: str, width: int = 6) -> list[tuple[str, nn.Module]]:
    """Square layers with ReLU between them."""
    return [step for name in names for step in ((name, nn.Linear(width, width)), RELU)][:-1]


def lenet(*names: str) -> list[tuple[str, nn.Module]]:
    """Two 5x5 convolutions, a flatten of 4x4 positions and three linear layers."""
    layers = [nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)]
    (a, b, c, d, e) = zip(names, layers, strict=True)
    return [a, RELU, b, RELU, FLATTEN, c, RELU, d, RELU, e]


CASES = {
    "LeNet-5": Case(lenet("conv1", "conv2", "fc1", "fc2", "fc3"), (1, 12, 12)),
    "LeNet-5 in two containers": Case(
        lenet("features.0", "features.3", "classifier.1", "classifier.3", "classifier.5"), (1, 12, 12)
    ),
    "LeNet-5 in lists": Case(lenet("convs.0", "convs.1", "fcs.0", "fcs.1", "fcs.2"), (1, 12, 12)),
    "LeNet-5 with a last layer of its own": Case(lenet("conv1", "conv2", "fc1", "fc2", "output"), (1, 12, 12)),
    "Sequential of 12 layers": Case(perceptron(*(str(2 * i) for i in range(12))), (6,)),
    "13 numbered layers": Case(perceptron(*(f"layer{i}" for i in range(1, 14))), (6,)),
    "13 underscored layers": Case(perceptron(*(f"layers_{i}" for i in range(13))), (6,)),
    "12 blocks of one layer": Case(perceptron(*(f"blocks.{i}.linear" for i in range(12))), (6,)),
    "12 blocks of two layers": Case(perceptron(*(f"blocks.{i}.{j}" for i in range(12) for j in (0, 2))), (6,)),
    "input, hidden, output": Case(perceptron("input", *(f"hidden.{i}" for i in range(11)), "output"), (6,)),
    "in, hid, out": Case(perceptron("fc_in", "fc_hid1", "fc_hid2", "fc_hid10", "fc_out"), (6,)),
    "first, layers, last": Case(perceptron("first", "layers.0", "layers.1", "last"), (6,)),
    "lists with a last layer": Case(perceptron("lin0", "lin1", "lin2", "lin10", "lin_out"), (6,)),
    "no number is before one": Case(perceptron("dense", "dense_1", "dense_2", "dense_10"), (6,)),
    "encoder and decoder": Case(
        [
            *(("encoder.0", nn.Linear(12, 8)), RELU, ("encoder.2", nn.Linear(8, 4)), RELU),
            *(("decoder.0", nn.Linear(4, 8)), RELU, ("decoder.2", nn.Linear(8, 12))),
        ],
        (12,),
    ),
    "square encoder and decoder": Case(perceptron("encoder.fc1", "encoder.fc2", "decoder.fc1", "decoder.fc2"), (6,)),
    "backbone and head": Case(perceptron("backbone.0", "backbone.2", "head.0", "head.2"), (6,)),
    "containers whose names mean nothing": Case(
        [
            *(("rho.0", nn.Linear(5, 6)), RELU, ("rho.2", nn.Linear(6, 6)), RELU),
            *(("phi.0", nn.Linear(6, 6)), RELU, ("phi.2", nn.Linear(6, 3))),
        ],
        (5,),
    ),
    "as many classes as channels": Case(
        [
            *(("features.0", nn.Conv2d(3, 4, 3)), RELU, ("features.2", nn.Conv2d(4, 4, 3)), RELU),
            *(("", nn.AdaptiveAvgPool2d(1)), FLATTEN, ("classifier", nn.Linear(4, 3))),
        ],
        (3, 7, 7),
    ),
    "convolutions, then linear layers, told by their kind": Case(
        [("zeta", nn.Conv1d(2, 4, 3)), RELU, FLATTEN, ("alpha", nn.Linear(4 * 6, 2))], (2, 8)
    ),
    "VGG's names": Case(
        [
            *(("conv1_1", nn.Conv2d(3, 3, 3, padding=1)), RELU, ("conv1_2", nn.Conv2d(3, 3, 3, padding=1)), RELU),
            *(("conv2_1", nn.Conv2d(3, 3, 3, padding=1)), RELU, ("conv10_1", nn.Conv2d(3, 3, 3, padding=1)), RELU),
            *(FLATTEN, ("fc6", nn.Linear(3 * 25, 8)), RELU, ("fc7", nn.Linear(8, 5))),
        ],
        (3, 5, 5),
        padding=1,
    ),
    "one-dimensional": Case(
        [
            *(("conv1", nn.Conv1d(2, 4, 3)), RELU, ("conv2", nn.Conv1d(4, 4, 3, bias=False)), RELU),
            *(FLATTEN, ("fc", nn.Linear(16, 3))),
        ],
        (2, 8),
    ),
    "three-dimensional": Case(
        [("conv1", nn.Conv3d(1, 4, 3)), RELU, ("conv2", nn.Conv3d(4, 2, 2)), RELU, FLATTEN, ("fc", nn.Linear(16, 3))],
        (1, 5, 5, 5),
    ),
    "kernels of unequal sides": Case(
        [
            *(("conv1", nn.Conv2d(1, 4, (3, 1))), RELU, ("conv2", nn.Conv2d(4, 4, (1, 2))), RELU),
            *(FLATTEN, ("fc", nn.Linear(4 * 2 * 3, 3))),
        ],
        (1, 4, 4),
    ),
    "convolutions only": Case(
        [(f"net.{2 * i}", nn.Conv2d(3, 3, 3, padding=1)) if i % 2 == 0 else RELU for i in range(21)],
        (3, 5, 5),
        padding=1,
    ),
    "a convolution behind a linear layer": Case(
        [
            *(("0", nn.Linear(5, 6)), RELU, ("", nn.Unflatten(1, (6, 1)))),
            *(("3", nn.Conv1d(6, 4, 1)), RELU, FLATTEN, ("6", nn.Linear(4, 3))),
        ],
        (5,),
    ),
    "one layer": Case([("linear", nn.Linear(5, 3))], (5,)),
}


@pytest.mark.parametrize("format", ["safetensors", "torch"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_network_that_was_read_computes_what_the_module_computes(
    case: Case, format: str, make_network: MakeNetwork, read: Read, deviation: Deviation
) -> None:
    network = make_network(case.steps)
    inputs = torch.randn(16, *case.inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    point = read(network, format, is_chain=True).weights
    found = functional_forward(point, inputs, padding=case.padding)
    assert deviation(found, network(inputs)) < 1e-12


def test_the_layers_have_names_sizes_and_kernels(make_network: MakeNetwork, read: Read) -> None:
    network = make_network(CASES["LeNet-5 in two containers"].steps)
    layers = read(network).weights.architecture.layers
    assert [(layer.name, layer.kind, layer.in_features, layer.out_features, layer.kernel) for layer in layers] == [
        ("features.0", "conv", 1, 6, (5, 5)),
        ("features.3", "conv", 6, 16, (5, 5)),
        ("classifier.1", "linear", 256, 120, ()),
        ("classifier.3", "linear", 120, 84, ()),
        ("classifier.5", "linear", 84, 10, ()),
    ]


def test_torch_files_keep_an_order_that_names_do_not_tell(
    make_network: MakeNetwork, read: Read, deviation: Deviation
) -> None:
    network = make_network(perceptron("third", "first2", "first1", "any"))
    inputs = torch.randn(16, 6, dtype=torch.float64)
    point = read(network, "torch", is_chain=True).weights
    assert deviation(functional_forward(point, inputs), network(inputs)) < 1e-12


def test_layers_that_are_defined_out_of_order_are_put_in_order_only_if_they_are_told_to_be_a_chain(
    make_network: MakeNetwork, read: Read, deviation: Deviation
) -> None:
    network = make_network(CASES["LeNet-5"].steps, defined=["fc1", "fc2", "fc3", "conv2", "conv1"])
    inputs = torch.randn(16, 1, 12, 12, dtype=torch.float64)
    point = read(network, "torch", is_chain=True).weights
    assert deviation(functional_forward(point, inputs), network(inputs)) < 1e-12
    with pytest.raises(ArchitectureError, match="do not form a chain in the file's order") as refused:
        read(network, "torch")
    assert "--chain" in refused.value.remedy


@pytest.mark.parametrize("names", [("alpha", "beta"), ("up", "down", "up2"), ("conv1x1", "conv3x3")])
def test_an_order_that_nothing_tells_is_not_guessed(
    names: tuple[str, ...], make_network: MakeNetwork, read: Read
) -> None:
    with pytest.raises(ArchitectureError, match="the names do not show the order of the layers") as refused:
        read(make_network(perceptron(*names)))
    assert all(f"{name} 6->6" in str(refused.value) for name in names)
    assert "torch.save" in refused.value.remedy


def test_numbers_that_may_count_pairs_are_not_taken_for_blocks(make_network: MakeNetwork, read: Read) -> None:
    layers = {"conv1": (1, 4), "down1": (4, 4), "conv2": (4, 4), "down2": (4, 4)}
    network = make_network([(name, nn.Conv2d(*sizes, 3)) for name, sizes in layers.items()])
    with pytest.raises(ArchitectureError, match="the names do not show the order of the layers"):
        read(network)
    told = read(network, "torch", is_chain=True)
    assert [layer.name for layer in told.weights.architecture.layers] == list(layers)


def test_too_many_orders_to_look_at_are_refused(make_network: MakeNetwork, read: Read) -> None:
    # Twelve can follow one another in any order, the last one fits nowhere: a search would try all 12! orders.
    steps = [(letter, nn.Linear(6, 6)) for letter in "abcdefghijkl"] + [("z", nn.Linear(7, 7))]
    with pytest.raises(ArchitectureError, match="the names do not show"):
        read(make_network(steps))


@pytest.mark.parametrize("format", ["safetensors", "torch"])
def test_layers_that_do_not_chain_are_shown_as_they_were_tried(
    format: str, make_network: MakeNetwork, read: Read
) -> None:
    network = make_network([("fc1", nn.Linear(4, 8)), ("fc2", nn.Linear(9, 8)), ("fc10", nn.Linear(8, 2))])
    with pytest.raises(ArchitectureError) as refused:
        read(network, format)
    order = " in the file's order" if format == "torch" else ""
    assert refused.value.cause == (
        f"the layers do not form a chain{order} (fc1 4->8, fc2 9->8, fc10 8->2): fc2 reads 9, but fc1 gives 8"
    )


def test_a_long_sequence_is_shown_by_its_beginning(make_network: MakeNetwork, read: Read) -> None:
    steps = [*perceptron(*(f"fc{i}" for i in range(40))), ("fc40", nn.Linear(7, 7))]
    with pytest.raises(ArchitectureError, match=r"fc11 6->6, \.\.\. 29 more\): fc40 reads 7, but fc39 gives 6"):
        read(make_network(steps))


def test_convolutions_of_different_dimensions_do_not_chain(make_network: MakeNetwork, read: Read) -> None:
    network = make_network([("0", nn.Conv1d(1, 4, 3)), ("1", nn.Conv2d(4, 4, 3))])
    with pytest.raises(ArchitectureError, match="1 is 2-dimensional, 0 is 1-dimensional"):
        read(network)


def test_more_layers_than_can_be_ordered_are_refused_at_once(read: Read) -> None:
    tensors = {f"{i}.weight": torch.ones(1, 1) for i in range(501)}
    with pytest.raises(ArchitectureError, match="501 layers"):
        read(tensors)
    assert len(read(tensors, "torch").weights.architecture.layers) == 501


def test_hundreds_of_numbered_layers_are_ordered(read: Read) -> None:
    tensors = {f"layers.{i}.weight": torch.ones(2, 2) for i in range(500)}
    layers = read(tensors).weights.architecture.layers
    assert [layer.name for layer in layers] == [f"layers.{i}" for i in range(500)]


def test_digits_without_end_are_no_crash(read: Read) -> None:
    number = "9" * 5000  # int() refuses these
    layers = read({f"{number}.weight": torch.ones(2, 3), "0.weight": torch.ones(3, 4)}).weights.architecture.layers
    assert [layer.name for layer in layers] == ["0", number]
