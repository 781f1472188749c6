"""Normal forms where neurons are dead, alike, or hardly to be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import torch
from small_modules import Steps, conv, filled
from torch import Tensor, nn
from torch.nn import functional as F

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.architectures.tracing.export import export
from nfn_cli.architectures.tracing.tracer import trace
from nfn_cli.symmetry.labelled import act, bounded, normal_form, sample
from nfn_cli.symmetry.labelled.sort_keys import sorted_by

State = dict[str, Tensor]


def network(module: nn.Module, *shape: int) -> tuple[LabelledArchitecture, State]:
    module = filled(module)
    state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    return trace(export(module, (torch.zeros(shape, dtype=torch.float64),), {})), state


def mlp() -> tuple[LabelledArchitecture, State]:
    return network(Steps(nn.Linear(4, 6), F.relu, nn.Linear(6, 5), F.relu, nn.Linear(5, 2)), 3, 4)


def normal(architecture: LabelledArchitecture, state: State, **options: bool) -> State:
    return act(normal_form(architecture, state, **options).element, architecture, state)


def others(architecture: LabelledArchitecture, state: State) -> Iterator[State]:
    for seed in range(3):
        element = sample(architecture, torch.Generator().manual_seed(seed), scale_range=(0.1, 10.0))
        yield act(bounded(element, architecture, state), architecture, state)


def close(one: State, other: State) -> bool:
    return all(torch.allclose(one[name].double(), other[name].double(), rtol=1e-10, atol=1e-10) for name in one)


def test_neurons_that_nothing_feeds() -> None:
    architecture, state = mlp()
    state["0.weight"][[1, 4]] = 0.0
    state["0.bias"][1] = 0.0  # the other one is a constant
    found = normal_form(architecture, state)
    assert found.zeros == (("0.weight", 2),)
    assert not found.silent
    assert found.unique
    for other in others(architecture, state):
        assert close(normal(architecture, other), normal(architecture, state))


def test_neurons_that_nothing_feeds_or_reads() -> None:
    architecture, state = mlp()
    for name, place in (("0.weight", 1), ("0.bias", 1)):
        state[name][place] = 0.0
    state["2.weight"][:, 1] = 0.0
    found = normal_form(architecture, state)
    assert "0.weight" in found.silent
    assert not found.unsettled
    for other in others(architecture, state):
        assert close(normal(architecture, other), normal(architecture, state))


def test_a_channel_whose_gain_is_zero() -> None:
    module = Steps(
        conv(3, 5, bias=False), nn.BatchNorm2d(5), F.relu, conv(5, 4), F.relu, nn.Flatten(), nn.Linear(256, 2)
    )
    architecture, state = network(module, 1, 3, 8, 8)
    state["1.weight"][2] = 0.0
    state["1.bias"][[0, 2]] = 0.0
    found = normal_form(architecture, state)
    assert ("1.weight", 1) in found.zeros
    for other in others(architecture, state):
        assert close(normal(architecture, other), normal(architecture, state))


def test_equal_neurons_stay_as_they_stand() -> None:
    architecture, state = mlp()
    state["0.weight"][3], state["0.bias"][3] = state["0.weight"][0], state["0.bias"][0]
    state["2.weight"][:, 3] = state["2.weight"][:, 0]
    found = normal_form(architecture, state)
    assert [count for _, count in found.ties] == [2]
    assert found.gap <= found.rounding
    assert not found.unique
    assert found.element.goes[0] < found.element.goes[3]
    for other in others(architecture, state):
        assert close(normal(architecture, other), normal(architecture, state))


def test_no_last_bit_decides() -> None:
    architecture, state = mlp()
    state["0.weight"][3], state["0.bias"][3] = state["0.weight"][0], state["0.bias"][0]
    state["2.weight"][:, 3] = state["2.weight"][:, 0]
    wanted = normal_form(architecture, state).element.goes
    for factor in (1 + 2e-16, 1 - 2e-16):
        nudged = {name: tensor.clone() for name, tensor in state.items()}
        nudged["2.weight"][:, 0] *= factor
        assert np.array_equal(normal_form(architecture, nudged).element.goes, wanted)


def test_a_sign_that_no_cube_tells_comes_from_elsewhere() -> None:
    architecture, state = network(Steps(nn.Linear(4, 6), torch.tanh, nn.Linear(6, 2)), 3, 4)
    state["0.weight"][2] = torch.tensor([0.5, -0.5, 0.25, -0.25])  # Σ x³ = 0
    found = normal_form(architecture, state)
    assert found.unique
    for other in others(architecture, state):
        assert close(normal(architecture, other), normal(architecture, state))


def test_numbers_of_any_size() -> None:
    architecture, state = mlp()
    for factor in (1e-60, 1e60):
        sized = {name: tensor * factor for name, tensor in state.items()}
        result = normal(architecture, sized)
        assert torch.allclose(result["0.weight"].norm(dim=1), torch.ones(6, dtype=torch.float64))


def test_variances_of_a_traced_network_stay_positive() -> None:
    architecture, state = network(
        Steps(conv(3, 4), nn.BatchNorm2d(4), F.relu, nn.Flatten(), nn.Linear(256, 2)), 1, 3, 8, 8
    )
    state["1.running_var"].fill_(1e-6)
    for other in others(architecture, state):
        assert float(other["1.running_var"].min()) > 0
    variances = normal(architecture, state)["1.running_var"]
    assert torch.allclose(variances, torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-14)


class Counted(dict[str, Tensor]):
    """Tensors that count how often they are asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors)
        self.asked: dict[str, int] = {}

    def __getitem__(self, name: str) -> Tensor:
        self.asked[name] = self.asked.get(name, 0) + 1
        return super().__getitem__(name)

    def dtype(self, name: str) -> torch.dtype:
        return self.get(name).dtype  # type: ignore[union-attr]


def test_tensors_are_asked_for_twice_at_most() -> None:
    architecture, state = mlp()
    tensors = Counted(state)
    normal_form(architecture, tensors)
    assert max(tensors.asked.values()) == 2


def test_what_is_not_there_is_told() -> None:
    architecture, state = mlp()
    with pytest.raises(ValueError, match=r"no tensor '2\.weight'"):
        normal_form(architecture, {name: tensor for name, tensor in state.items() if name != "2.weight"})
    state["2.weight"] = state["2.weight"][:, :-1]
    with pytest.raises(ValueError, match="a shape of"):
        normal_form(architecture, state)


@pytest.mark.parametrize("noise", [0.0, 3e-16])
def test_units_that_are_near_are_told_apart_by_further_keys(noise: float) -> None:
    generator = np.random.default_rng(0)
    keys = 1 + generator.random((3, 2, 40))
    keys[0, 0, 7] = keys[0, 0, 21]  # equal by the first key
    keys[:2, 1, 3] = keys[:2, 1, 30]  # and by the second
    keys[:, 1, 5] = keys[:, 1, 9]  # by all
    wanted = sorted_by(keys, 1e-12)
    assert wanted.tied == 2
    assert wanted.ranks[1, 5] == wanted.ranks[1, 9] - 1
    assert (wanted.ranks[0, 7] < wanted.ranks[0, 21]) == (keys[1, 0, 7] < keys[1, 0, 21])
    assert (wanted.ranks[1, 3] < wanted.ranks[1, 30]) == (keys[2, 1, 3] < keys[2, 1, 30])
    nudged = sorted_by(keys * (1 + noise * generator.standard_normal(keys.shape)), 1e-12)
    assert np.array_equal(nudged.ranks, wanted.ranks)


def test_layers_of_one_neuron() -> None:
    module = Steps(nn.Conv1d(1, 1, 3), nn.BatchNorm1d(1), F.relu, nn.Conv1d(1, 1, 1), nn.Flatten(), nn.Linear(6, 1))
    architecture, state = network(module, 2, 1, 8)
    found = normal_form(architecture, state)
    assert found.unique
    assert not found.unsettled
    for other in others(architecture, state):
        assert close(normal(architecture, other), normal(architecture, state))


def test_a_wide_layer_in_float32_has_one_order() -> None:
    """Of 1,024 keys some are nearer to each other than float32 tells apart."""
    architecture, state = network(Steps(nn.Linear(16, 1024), F.relu, nn.Linear(1024, 2)), 3, 16)
    state = {name: tensor.float() for name, tensor in state.items()}
    wanted = normal(architecture, state)
    for other in others(architecture, state):
        found = normal(architecture, other)
        for name, tensor in wanted.items():
            assert torch.allclose(found[name], tensor, rtol=1e-6, atol=1e-6), name
