"""BatchNorm is folded into the layer that it stands behind, or refused; never into another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import ReadNetwork, functional_forward
from nfn_cli.architectures.batchnorm import fold
from nfn_cli.architectures.modules import BatchNorm
from nfn_cli.errors import ArchitectureError

Read = Callable[..., ReadNetwork]
MakeNetwork = Callable[..., nn.Module]
Deviation = Callable[[Tensor, Tensor], float]
Steps = list[tuple[str, nn.Module]]

RELU = ("", nn.ReLU())
FLATTEN = ("", nn.Flatten())


class Case(NamedTuple):
    """A network by its steps, the shape of its inputs, and an order of definition other than that of computation."""

    steps: Steps
    inputs: tuple[int, ...]
    defined: tuple[str, ...] | None = None


def convolutions(*names: str, affine: bool = True, bias: bool = True) -> Steps:
    """Two convolutions of equal width, each with a BatchNorm, and a linear layer."""
    conv1, norm1, conv2, norm2, fc = names
    return [
        *((conv1, nn.Conv2d(4, 6, 3, bias=bias)), (norm1, nn.BatchNorm2d(6, affine=affine)), RELU),
        *((conv2, nn.Conv2d(6, 6, 3, bias=bias)), (norm2, nn.BatchNorm2d(6, affine=affine)), RELU),
        *(FLATTEN, (fc, nn.Linear(54, 3))),
    ]


def perceptron(*names: str) -> Steps:
    """Square layers, those named `*bn*` BatchNorm, with ReLU before every linear layer but the first."""
    steps: Steps = []
    for name in names:
        if "bn" in name:
            steps.append((name, nn.BatchNorm1d(6)))
        else:
            steps += [RELU] * any(isinstance(module, nn.Linear) for _, module in steps) + [(name, nn.Linear(6, 6))]
    return steps


CASES = {
    "numbered alike": Case(convolutions("conv1", "bn1", "conv2", "bn2", "fc"), (4, 7, 7)),
    "without affine parameters": Case(convolutions("conv1", "bn1", "conv2", "bn2", "fc", affine=False), (4, 7, 7)),
    "without biases": Case(convolutions("conv1", "bn1", "conv2", "bn2", "fc", bias=False), (4, 7, 7)),
    "Sequential": Case(convolutions("0", "1", "3", "4", "7"), (4, 7, 7)),
    "features and classifier": Case(
        convolutions("features.0", "features.1", "features.9", "features.10", "classifier.0"), (4, 7, 7)
    ),
    "blocks": Case(convolutions("block1.conv", "block1.bn", "block2.conv", "block2.bn", "fc"), (4, 7, 7)),
    "blocks of two": Case(convolutions("b.conv1", "b.bn1", "b.conv2", "b.bn2", "fc"), (4, 7, 7)),
    "Sequential blocks": Case(convolutions("blocks.0.0", "blocks.0.1", "blocks.1.0", "blocks.1.1", "fc"), (4, 7, 7)),
    "lists": Case(convolutions("convs.0", "norms.0", "convs.1", "norms.1", "fc"), (4, 7, 7)),
    "named behind their layer": Case(convolutions("conv1", "conv1_bn", "conv2", "conv2_bn", "fc"), (4, 7, 7)),
    "named for their layer": Case(convolutions("conv1", "bn_conv1", "conv2", "bn_conv2", "fc"), (4, 7, 7)),
    "named behind their layer, without numbers": Case(
        convolutions("conv_a", "conv_a_bn", "conv_b", "conv_b_bn", "fc"), (4, 7, 7)
    ),
    "defined after all layers": Case(
        convolutions("conv1", "bn1", "conv2", "bn2", "fc"), (4, 7, 7), ("conv1", "conv2", "fc", "bn1", "bn2")
    ),
    "lists, defined after all layers": Case(
        convolutions("convs.0", "bns.0", "convs.1", "bns.1", "fc"),
        (4, 7, 7),
        ("convs.0", "convs.1", "bns.0", "bns.1", "fc"),
    ),
    "counted on from convolutions to linear layers": Case(
        [
            *(("conv1", nn.Conv1d(2, 6, 3)), ("bn1", nn.BatchNorm1d(6)), RELU),
            *(("conv2", nn.Conv1d(6, 6, 3)), ("bn2", nn.BatchNorm1d(6)), RELU, FLATTEN),
            *(("fc1", nn.Linear(24, 6)), ("bn3", nn.BatchNorm1d(6)), RELU, ("fc2", nn.Linear(6, 6))),
        ],
        (2, 8),
    ),
    "some layers only": Case(perceptron("fc1", "fc2", "bn2", "fc3", "fc4"), (6,)),
    "one, behind the only layer of its size": Case(
        [("fc1", nn.Linear(4, 5)), ("normalise", nn.BatchNorm1d(5)), RELU, ("fc2", nn.Linear(5, 3))], (4,)
    ),
    "an activation between, in Sequential": Case(
        [("0", nn.Linear(4, 5)), RELU, ("2", nn.BatchNorm1d(5)), ("3", nn.Linear(5, 3))], (4,)
    ),
    "behind the activation of convolutions": Case(
        [
            *(("0", nn.Conv2d(2, 5, 3)), RELU, ("2", nn.BatchNorm2d(5)), ("3", nn.Conv2d(5, 4, 3)), RELU),
            *(("5", nn.BatchNorm2d(4)), FLATTEN, ("7", nn.Linear(16, 3))),
        ],
        (2, 6, 6),
    ),
    "normalised inputs, in Sequential": Case(
        [("0", nn.BatchNorm1d(5)), ("1", nn.Linear(5, 5)), RELU, ("3", nn.Linear(5, 3))], (5,)
    ),
    "normalised pictures": Case(
        [("0", nn.BatchNorm2d(2)), ("1", nn.Conv2d(2, 5, 3)), RELU, FLATTEN, ("4", nn.Linear(20, 3))], (2, 4, 4)
    ),
    "normalised inputs, by name": Case(
        [("input_norm", nn.BatchNorm1d(5)), ("fc1", nn.Linear(5, 5)), RELU, ("fc2", nn.Linear(5, 3))], (5,)
    ),
    "normalised inputs, by number": Case(
        [
            *(("bn0", nn.BatchNorm1d(5)), ("fc1", nn.Linear(5, 7)), ("bn1", nn.BatchNorm1d(7)), RELU),
            ("fc2", nn.Linear(7, 3)),
        ],
        (5,),
    ),
    "two behind one layer, in Sequential": Case(
        [("0", nn.Linear(4, 5)), ("1", nn.BatchNorm1d(5)), ("2", nn.BatchNorm1d(5)), RELU, ("4", nn.Linear(5, 3))], (4,)
    ),
    "first of a container of its own": Case(
        [("a.0", nn.Linear(4, 5)), RELU, ("b.0", nn.BatchNorm1d(5)), ("b.1", nn.Linear(5, 3))], (4,)
    ),
    "behind the last layer": Case(
        [("0", nn.Linear(4, 5)), RELU, ("2", nn.Linear(5, 3)), ("3", nn.BatchNorm1d(3))], (4,)
    ),
    "three-dimensional": Case(
        [("conv", nn.Conv3d(1, 3, 2)), ("bn", nn.BatchNorm3d(3)), RELU, FLATTEN, ("fc", nn.Linear(24, 2))], (1, 3, 3, 3)
    ),
}


@pytest.mark.parametrize("format", ["safetensors", "torch"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_function_is_that_of_the_module_in_evaluation(
    case: Case, format: str, make_network: MakeNetwork, read: Read, deviation: Deviation
) -> None:
    network = make_network(case.steps, case.defined)
    inputs = torch.randn(32, *case.inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    point = read(network, format, is_chain=True).weights
    assert deviation(functional_forward(point, inputs), network(inputs)) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_folding_does_not_round_more_than_to_float32(
    dtype: torch.dtype, make_network: MakeNetwork, read: Read, deviation: Deviation
) -> None:
    network = make_network(CASES["numbered alike"].steps).to(dtype)
    point = read(network).weights
    network.double()  # the module computes with the very numbers of the file
    inputs = torch.randn(32, 4, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert {tensor.dtype for tensor in point.tensors.values()} == {torch.float32}
    exact = type(point)(point.architecture, {name: tensor.double() for name, tensor in point.tensors.items()})
    assert deviation(functional_forward(exact, inputs), network(inputs)) < 1e-6


def test_folding_is_computed_in_float64() -> None:
    ones = torch.ones(2)
    weight, bias = fold(torch.ones(2, 3), ones, BatchNorm("bn", ones, ones, ones, ones))
    assert (weight.dtype, bias.dtype) == (torch.float64, torch.float64)
    # ε = 1e-5 in float32 would be off in the eighth digit.
    assert weight[0, 0].item() == pytest.approx((1 + 1e-5) ** -0.5, rel=1e-15)


def test_a_folded_layer_has_no_trace_of_the_norm(make_network: MakeNetwork, read: Read) -> None:
    point = read(make_network(CASES["Sequential"].steps)).weights
    assert list(point.tensors) == [f"{name}.{part}" for name in ("0", "3", "7") for part in ("weight", "bias")]


REFUSED: dict[str, tuple[Steps, str]] = {
    "of another size": (
        [("fc1", nn.Linear(4, 5)), RELU, ("fc2", nn.Linear(5, 3)), ("bn", nn.BatchNorm1d(4))],
        r"bn \(4 channels\) stands directly behind no layer",
    ),
    "two behind one layer": (
        [("fc", nn.Linear(4, 5)), ("bn_a", nn.BatchNorm1d(5)), ("bn_b", nn.BatchNorm1d(5)), ("out", nn.Linear(5, 3))],
        "cannot tell behind which layer bn_a stands",
    ),
    "of another size, in Sequential": (
        [("0", nn.Linear(4, 5)), RELU, ("2", nn.BatchNorm1d(6)), ("3", nn.Linear(5, 3))],
        r"2 \(6 channels\) stands directly behind no layer of its size",
    ),
}


@pytest.mark.parametrize("format", ["safetensors", "torch"])
@pytest.mark.parametrize(("steps", "cause"), REFUSED.values(), ids=REFUSED)
def test_a_norm_that_stands_elsewhere_is_refused(
    steps: Steps, cause: str, format: str, make_network: MakeNetwork, read: Read
) -> None:
    with pytest.raises(ArchitectureError, match=cause):
        read(make_network(steps), format)


def test_a_norm_that_may_be_of_two_layers_is_refused_where_the_file_does_not_tell(
    make_network: MakeNetwork, read: Read, deviation: Deviation
) -> None:
    # bn2 is the second, or that of fc2; both are of its size.
    steps: Steps = [("conv1", nn.Conv1d(2, 4, 3)), ("bn1", nn.BatchNorm1d(4)), RELU, FLATTEN]
    steps += [("fc1", nn.Linear(16, 6)), ("bn2", nn.BatchNorm1d(6)), RELU, ("fc2", nn.Linear(6, 6)), RELU]
    network = make_network([*steps, ("fc3", nn.Linear(6, 2))])
    with pytest.raises(ArchitectureError, match="cannot tell behind which layer bn2 stands"):
        read(network, "safetensors")
    inputs = torch.randn(8, 2, 6, dtype=torch.float64)
    assert deviation(functional_forward(read(network, "torch").weights, inputs), network(inputs)) < 1e-12


def test_a_norm_whose_place_and_name_disagree_is_refused(make_network: MakeNetwork, read: Read) -> None:
    network = make_network(perceptron("fc1", "bn1", "fc2"), defined=["fc1", "fc2", "bn1"])
    with pytest.raises(ArchitectureError, match="cannot tell behind which layer bn1 stands"):
        read(network, "torch")


def test_a_norm_that_is_defined_before_every_layer_is_refused(make_network: MakeNetwork, read: Read) -> None:
    # It normalises the inputs; by its name it would belong to fc1.
    network = make_network(perceptron("bn1", "fc1", "fc2"))
    with pytest.raises(ArchitectureError, match=r"bn1 .* stands directly behind no layer"):
        read(network, "torch")


@pytest.mark.parametrize(
    ("part", "tensor", "cause"),
    [
        ("running_var", torch.tensor([1.0, -1.0]), "negative variance"),
        ("running_var", torch.ones(3), r"running_var \(3\) belongs to no layer"),
        ("weight", torch.ones(2, 2), r"weight \(2x2\) belongs to no layer"),
        ("running_mean", torch.ones(2, dtype=torch.int64), r"running_mean \(2 of int64\) belongs to no layer"),
    ],
)
def test_damaged_statistics_are_refused(part: str, tensor: Tensor, cause: str, read: Read) -> None:
    tensors = {"0.weight": torch.ones(2, 3), "1.running_mean": torch.zeros(2), "1.running_var": torch.ones(2)}
    read(tensors)
    with pytest.raises(ArchitectureError, match=cause):
        read(tensors | {f"1.{part}": tensor})
