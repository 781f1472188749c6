"""What is told of a network: layers, groups, orbit, imbalance, odd neurons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import Stated
from nfn_cli.errors import ArchitectureError
from nfn_cli.symmetry import Inspection, inspect_network, read_leniently

Inspect = Callable[..., Inspection]


@pytest.fixture
def inspected(tmp_path: Path) -> Inspect:
    """Save tensors with PyTorch and inspect the file."""

    def inspect(
        tensors: Mapping[str, Tensor],
        activation: str | None = None,
        pool: str | None = None,
        omega_0: tuple[float, ...] = (),
    ) -> Inspection:
        path = tmp_path / "net.pt"
        torch.save(dict(tensors), path)
        return inspect_network(*read_leniently(path, Stated(activation, pool, omega_0)))

    return inspect


def mlp(*sizes: int, bias: bool = True, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for position, (inputs, outputs) in enumerate(pairwise(sizes)):
        tensors[f"fc{position + 1}.weight"] = torch.randn(outputs, inputs, generator=generator)
        if bias:
            tensors[f"fc{position + 1}.bias"] = torch.randn(outputs, generator=generator)
    return tensors


def lenet() -> dict[str, Tensor]:
    layers = {
        "conv1": nn.Conv2d(1, 6, 5),
        "conv2": nn.Conv2d(6, 16, 5),
        "fc1": nn.Linear(256, 120),
        "fc2": nn.Linear(120, 84),
        "fc3": nn.Linear(84, 10),
    }
    return nn.ModuleDict(layers).state_dict()


def test_an_mlp_with_batchnorm(inspected: Inspect) -> None:
    net = nn.Sequential(nn.Linear(3, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    facts = inspected(net.state_dict(), "relu")
    first, last = facts.layers
    assert (first.name, first.kind, first.inputs, first.outputs, first.kernel) == ("0", "linear", 3, 8, ())
    assert (first.bias, first.batchnorm, first.parameters) == (False, "1", 24 + 16)
    assert (last.bias, last.batchnorm, last.parameters, last.group) == (True, None, 18, None)
    assert facts.parameters == 58
    assert facts.dtypes == ("float32",)
    assert [group.symbol for group in facts.groups] == ["G_8^{>0}"]
    assert facts.orbit_dimension == 8


def test_behind_a_batchnorm_without_affine_parameters_are_permutations_alone(inspected: Inspect) -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8, affine=False), nn.ReLU(), nn.Linear(8, 2))
    facts = inspected(net.state_dict(), "relu")
    assert facts.groups[0].symbol == "P_8"
    assert facts.orbit_dimension == 0


def test_a_lenet(inspected: Inspect) -> None:
    facts = inspected(lenet(), "relu", "max")
    assert [layer.describe() for layer in facts.layers[:3]] == ["conv 1->6 5x5", "conv 6->16 5x5", "linear 256->120"]
    assert [layer.flatten for layer in facts.layers] == [1, 1, 16, 1, 1]
    assert [group.symbol for group in facts.groups] == ["G_6^{>0}", "G_16^{>0}", "G_120^{>0}", "G_84^{>0}"]
    assert facts.orbit_dimension == 6 + 16 + 120 + 84
    assert facts.parameters == sum(tensor.numel() for tensor in lenet().values())
    assert (facts.activation, facts.activation_source, facts.pool) == ("relu", "option", "max")
    assert facts.hints == ()


@pytest.mark.parametrize(
    ("pool", "symbol", "hints"), [(None, "P_6", 1), ("max", "P_6", 0), ("avg", "G_6^{±1}", 0), ("none", "G_6^{±1}", 0)]
)
def test_signs_behind_convolutions_hang_on_the_pooling(
    inspected: Inspect, pool: str | None, symbol: str, hints: int
) -> None:
    facts = inspected(lenet(), "tanh", pool)
    assert (facts.groups[0].symbol, len(facts.hints), facts.pool) == (symbol, hints, pool)


def test_a_sine_of_unknown_frequency_keeps_its_signs_and_loses_its_phases(inspected: Inspect) -> None:
    facts = inspected(mlp(2, 16, 16, 1), "sin")
    for group in facts.groups:
        assert (group.symbol, group.signs, group.phases) == ("G_16^{±1}", 16, 0)
    assert facts.omega_0 is None and facts.assumed is not None and "frequency" in facts.assumed


def test_sines_of_several_frequencies_are_told(inspected: Inspect) -> None:
    facts = inspected(mlp(2, 16, 16, 1), "sin", omega_0=(30.0, 1.0))
    assert (facts.omega_0, facts.omegas) == (None, (30.0, 1.0))
    assert [group.phases for group in facts.groups] == [16, 16]


def test_a_siren(inspected: Inspect) -> None:
    facts = inspected(mlp(2, 16, 16, 1), "sin", omega_0=(30.0,))
    for group in facts.groups:
        assert (group.symbol, group.scalings, group.signs, group.phases) == ("G_16^{±1}", 0, 16, 16)
    assert facts.omega_0 == 30.0 and "frequency" not in (facts.assumed or "")
    assert facts.orbit_dimension == 0


def test_a_sine_without_a_bias_has_no_phase(inspected: Inspect) -> None:
    (group,) = inspected(mlp(2, 16, 1, bias=False), "sin").groups
    assert (group.signs, group.phases) == (16, 0)


def test_a_gelu_net_has_permutations_alone(inspected: Inspect) -> None:
    facts = inspected(mlp(2, 7, 1), "gelu")
    (group,) = facts.groups
    assert (group.symbol, group.kind, group.scalings, group.signs, group.phases) == ("P_7", "trivial", 0, 0, 0)
    assert (facts.activation, facts.omega_0, facts.hints) == ("gelu", None, ())


def test_a_linear_net_has_scalings_and_signs(inspected: Inspect) -> None:
    facts = inspected(mlp(2, 7, 1), "identity")
    (group,) = facts.groups
    assert (group.symbol, group.scalings, group.signs) == ("G_7", 7, 7)
    assert facts.orbit_dimension == 7


def test_an_unknown_activation_is_shown_as_such(inspected: Inspect) -> None:
    facts = inspected(mlp(2, 7, 1))
    assert (facts.activation, facts.activation_source, facts.omega_0) == (None, "unknown", None)
    assert facts.groups[0].symbol == "P_7"
    assert "--activation" in facts.hints[0] and "net.yaml" in facts.hints[0]


def test_an_activation_that_is_told_but_not_known_is_an_error(inspected: Inspect, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("activation: magic\n")
    with pytest.raises(ArchitectureError, match="unknown activation 'magic'"):
        inspected(mlp(2, 7, 1))


def test_the_sidecar_tells_the_activation(inspected: Inspect, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("activation: tanh\n")
    facts = inspected(mlp(2, 7, 1))
    assert (facts.activation, facts.activation_source) == ("tanh", "sidecar")


def test_imbalance_is_that_of_norms(inspected: Inspect) -> None:
    tensors = {
        "fc1.weight": torch.tensor([[3.0], [100.0], [1.0]]),
        "fc1.bias": torch.tensor([4.0, 0.0, 0.0]),
        "fc2.weight": torch.tensor([[0.5, 1.0, 1.0]]),
        "fc2.bias": torch.zeros(1),
    }
    (group,) = inspected(tensors, "relu").groups
    # Norms in and out: 5 and 0.5, 100 and 1, 1 and 1.
    assert group.imbalance_median == pytest.approx(1.0)
    assert group.imbalance_largest == pytest.approx(2.0)


def planted() -> dict[str, Tensor]:
    tensors = mlp(3, 8, 5, 2)
    tensors["fc1.weight"][2] = tensors["fc1.bias"][2] = 0.0  # nothing feeds it
    tensors["fc2.weight"][:, 5] = 0.0  # nothing reads it
    tensors["fc1.weight"][7] = 2.5 * tensors["fc1.weight"][4]
    tensors["fc1.bias"][7] = 2.5 * tensors["fc1.bias"][4]
    tensors["fc2.weight"][3] = -tensors["fc2.weight"][0]
    tensors["fc2.bias"][3] = -tensors["fc2.bias"][0]
    return tensors


@pytest.mark.parametrize(
    ("activation", "first", "second", "dimension"),
    [
        ("relu", ((4, 7),), (), 6 + 5),
        ("tanh", (), ((0, 3),), 0),
        ("identity", ((4, 7),), ((0, 3),), 6 + 5),
        ("gelu", (), (), 0),
        (None, (), (), 0),
    ],
)
def test_dead_and_duplicate_neurons_are_found_by_place(
    inspected: Inspect,
    activation: str | None,
    first: tuple[tuple[int, ...], ...],
    second: tuple[tuple[int, ...], ...],
    dimension: int,
) -> None:
    facts = inspected(planted(), activation)
    assert [group.dead for group in facts.groups] == [(2, 5), ()]
    assert [group.duplicates for group in facts.groups] == [first, second]
    assert facts.orbit_dimension == dimension


@pytest.mark.parametrize(("activation", "dead"), [("relu", (1,)), ("sigmoid", ()), (None, ())])
def test_what_only_silent_neurons_feed_is_dead(
    inspected: Inspect, activation: str | None, dead: tuple[int, ...]
) -> None:
    tensors = mlp(3, 4, 3, 2)
    tensors["fc1.weight"][0] = tensors["fc1.bias"][0] = 0.0
    tensors["fc2.weight"][1, 1:] = tensors["fc2.bias"][1] = 0.0  # reads neuron 0 alone, of which a sigmoid makes 1/2
    facts = inspected(tensors, activation)
    assert [group.dead for group in facts.groups] == [(0,), dead]
    assert all(group.imbalance_largest is not None and group.imbalance_largest < 10 for group in facts.groups)


def test_several_dead_neurons_are_no_duplicates_of_one_another(inspected: Inspect) -> None:
    tensors = mlp(3, 6, 2)
    tensors["fc1.weight"][1:4] = tensors["fc1.bias"][1:4] = 0.0
    (group,) = inspected(tensors, "relu").groups
    assert (group.dead, group.duplicates) == ((1, 2, 3), ())


def test_where_all_neurons_are_dead_there_is_no_imbalance(inspected: Inspect) -> None:
    tensors = mlp(3, 6, 2)
    tensors["fc2.weight"].zero_()
    facts = inspected(tensors, "relu")
    (group,) = facts.groups
    assert (len(group.dead), group.imbalance_median, group.imbalance_largest) == (6, None, None)
    assert facts.orbit_dimension == 0


def test_weight_normalisation_is_shown_and_hinted_at(inspected: Inspect) -> None:
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 5)), nn.ReLU(), nn.Linear(5, 2))
    facts = inspected(net.state_dict(), "relu")
    assert [layer.weight_norm for layer in facts.layers] == [True, False]
    assert "weight normalisation" in facts.hints[0]


def test_dtypes_and_what_counts_as_equal_are_the_files(inspected: Inspect) -> None:
    tensors = {name: tensor.half() for name, tensor in planted().items()}
    facts = inspected(tensors, "relu")
    assert (facts.dtypes, facts.layers[0].dtype) == (("float16",), "float16")
    # 2.5 times a number is not exact in half precision.
    assert facts.groups[0].duplicates == ((4, 7),)


def test_a_single_layer_has_no_group(inspected: Inspect) -> None:
    facts = inspected({"fc.weight": torch.ones(2, 3)}, "relu")
    assert (facts.groups, facts.orbit_dimension, facts.layers[0].bias) == ((), 0, False)
