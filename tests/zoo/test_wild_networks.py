"""Networks that are drawn: what is written down is what runs, and the reader knows its group."""

from __future__ import annotations

import random
from itertools import product

import pytest
import torch

from nfn_cli.architectures.families import recognise
from nfn_cli.architectures.families.recorded import MODEL_TYPE, RecordedNetwork, read_steps
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.errors import ArchitectureError
from nfn_cli.zoo.wild.building import Steps
from nfn_cli.zoo.wild.networks import FAMILIES, LARGE_FAMILIES, draw_network

PICTURES = ((1, 8, 8), (1, 14, 14), (3, 32, 32))


@pytest.mark.parametrize("family", FAMILIES | LARGE_FAMILIES)
def test_steps_have_the_shapes_that_they_give(family: str) -> None:
    for seed, picture in product(range(5), PICTURES):
        rng = random.Random(f"{family} {seed}")
        classes = rng.randint(2, 10)
        steps = draw_network(rng, family, picture, classes)
        network = RecordedNetwork(read_steps(steps.listed)).eval()
        assert network(torch.zeros(2, *picture)).shape == (2, classes) == (2, *steps.shape)
        products = 0

        def count(module: torch.nn.Module, given: object, made: torch.Tensor) -> None:
            nonlocal products
            products += module.weight[0].numel() * made[0].numel()  # type: ignore[index, union-attr, operator]

        for module in network.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
                module.register_forward_hook(count)
        network(torch.zeros(1, *picture))
        assert products == steps.products


@pytest.mark.parametrize("family", FAMILIES | LARGE_FAMILIES)
def test_the_reader_knows_them_by_their_configuration(family: str) -> None:
    steps = draw_network(random.Random(1), family, (1, 14, 14), 4)
    network = RecordedNetwork(read_steps(steps.listed))
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    config = {"model_type": MODEL_TYPE, "input": [1, 14, 14], "steps": steps.listed}
    found = recognise(shapes, config)
    assert found.text.startswith("recorded network, ") and found.make().state_dict().keys() == shapes.keys()
    with pytest.raises(ArchitectureError, match="is missing"):
        recognise(dict(list(shapes.items())[:-1]), config)


def test_the_same_draw_gives_the_same_network() -> None:
    one, other = (draw_network(random.Random(5), "residual", (1, 14, 14), 10).listed for _ in range(2))
    assert one == other


GOOD = Steps((1, 8, 8)).conv("conv", 4, 3).act("relu").op("mean").linear("fc", 3).listed


@pytest.mark.parametrize(
    "steps",
    [
        [],
        {"op": "relu"},
        [*GOOD, {"op": "execute"}],
        [*GOOD, {"op": "relu", "name": "fc2"}],
        [*GOOD, {"op": "linear", "name": "fc", "ins": 3, "outs": 3, "bias": True}],
        [*GOOD, {"op": "linear", "name": "forward", "ins": 3, "outs": 3, "bias": True}],
        [*GOOD, {"op": "linear", "name": "a..b", "ins": 3, "outs": 3, "bias": True}],
        [*GOOD, {"op": "linear", "name": "_modules", "ins": 3, "outs": 3, "bias": True}],
        [*GOOD, {"op": "linear", "name": "fc2", "ins": -3, "outs": 3, "bias": True}],
        [*GOOD, {"op": "linear", "name": "fc2", "ins": True, "outs": 3, "bias": True}],
        [*GOOD, {"op": "relu", "from": 9}],
        [*GOOD, {"op": "add", "with": [4]}],
        [*GOOD, {"op": "add", "with": []}],
        [*GOOD, {"op": "relu", "with": [0]}],
        [*GOOD, {"op": "dropout", "rate": 1.5}],
        [*GOOD, {"op": "maxpool", "size": 0}],
        [{"op": "relu"}] * 2_001,
    ],
)
def test_other_steps_are_refused(steps: object) -> None:
    with pytest.raises(Refusal):
        read_steps(steps)


def test_sizes_that_do_not_fit_are_refused() -> None:
    steps = Steps((1, 8, 8)).conv("conv", 4, 3).op("mean").listed
    steps.append({"op": "linear", "name": "fc", "ins": 5, "outs": 3, "bias": True})  # the mean gives 4
    network = RecordedNetwork(read_steps(steps))
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = recognise(shapes, {"model_type": MODEL_TYPE, "input": [1, 8, 8], "steps": steps})
    with pytest.raises(RuntimeError):
        found.make()(*found.inputs(2, "cpu")[0])


def test_resnet20_has_its_size() -> None:
    # He et al. 2016, table 6: 0.27 million parameters; 41 million multiplications for 32×32 pixels.
    steps = draw_network(random.Random(0), "resnet20", (3, 32, 32), 10)
    network = RecordedNetwork(read_steps(steps.listed))
    assert 2.6e5 < sum(parameter.numel() for parameter in network.parameters()) < 2.8e5
    assert 4.0e7 < steps.products < 4.2e7
