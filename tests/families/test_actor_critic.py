"""Actors and critics of linear layers."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from reference_networks import Shapes, deviation, recognise, shapes_of
from torch import Tensor, nn

from nfn_cli.architectures.families.by_shapes import from_shapes
from nfn_cli.architectures.families.refusal import Refusal


def stack(*sizes: int, ends: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.GELU()]
    return nn.Sequential(*(layers if ends else layers[:-1]))


class Policy(nn.Module):
    """stable-baselines3's ActorCriticPolicy, with GELU where it has tanh."""

    def __init__(self, *, shared: bool = False, log_std: bool = True, own: bool = True) -> None:
        super().__init__()
        self.mlp_extractor = nn.Module()
        first = 6 if shared else 4
        if shared:
            self.mlp_extractor.shared_net = stack(4, 6)
        self.mlp_extractor.policy_net = stack(first, 8, 7) if own else nn.Sequential()
        self.mlp_extractor.value_net = stack(first, 5) if own else nn.Sequential()
        self.action_net = nn.Linear(7 if own else first, 2)
        self.value_net = nn.Linear(5 if own else first, 1)
        if log_std:
            self.log_std = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        parts = self.mlp_extractor
        x = parts.shared_net(x) if hasattr(parts, "shared_net") else x
        return torch.cat([self.action_net(parts.policy_net(x)), self.value_net(parts.value_net(x))], 1)


class OnOneTrunk(nn.Module):
    def __init__(self, actor: nn.Module, names: tuple[str, str, str] = ("shared", "actor", "critic")) -> None:
        super().__init__()
        self.names = names
        for name, module in zip(names, (stack(4, 8, 6), actor, nn.Linear(6, 1)), strict=True):
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        trunk, actor, critic = map(self.get_submodule, self.names)
        return torch.cat([actor(trunk(x)), critic(trunk(x))], 1)


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (Policy(), "actor-critic (stable-baselines3), no trunk shared"),
        (Policy(log_std=False), "actor-critic (stable-baselines3), no trunk shared"),
        (Policy(shared=True), "actor-critic (stable-baselines3), one trunk"),
        (Policy(shared=True, own=False), "actor-critic (stable-baselines3), one trunk"),
        (OnOneTrunk(nn.Linear(6, 3)), "actor-critic on one trunk: actor and critic on shared of 2"),
        (
            OnOneTrunk(stack(6, 5, 3, ends=False), ("trunk", "policy_head", "value_head")),
            "actor-critic on one trunk: policy_head and value_head on trunk of 2",
        ),
    ],
)
def test_computes_what_the_network_does(network: nn.Module, text: str) -> None:
    found = recognise(network)
    assert found.text == text
    assert any("not known" in assumption for assumption in found.assumptions)
    assert deviation(network, own_output=lambda outputs: torch.cat(outputs, 1), export=True) <= 1e-12


def refusal(shapes: Shapes) -> str:
    with pytest.raises(Refusal) as refused:
        assert from_shapes(shapes) is not None
    return str(refused.value)


def test_one_tensor_more_less_or_of_another_shape_is_refused_by_name() -> None:
    for shapes, name in (
        (shapes_of(Policy()), "mlp_extractor.policy_net.2.bias"),
        (shapes_of(OnOneTrunk(stack(6, 5, 3, ends=False))), "actor.2.weight"),
    ):
        assert name in refusal({key: shape for key, shape in shapes.items() if key != name})
        assert name in refusal(shapes | {name: tuple(size + 1 for size in shapes[name])})
    assert "features_extractor.cnn.0.weight" in refusal(
        shapes_of(Policy()) | {"features_extractor.cnn.0.weight": (32, 3, 8, 8)}
    )


def test_an_exploration_of_its_own_matrix_is_refused() -> None:
    # With state-dependent exploration log_std reads the actor's hidden neurons.
    assert "log_std" in refusal(shapes_of(Policy()) | {"log_std": (7, 2)})


def test_actor_and_critic_that_read_other_inputs_are_refused() -> None:
    assert "value_net.0.weight" in refusal(shapes_of(Policy()) | {"mlp_extractor.value_net.0.weight": (5, 9)})
    shapes = shapes_of(OnOneTrunk(nn.Linear(6, 3)))
    assert "critic.weight" in refusal(shapes | {"critic.weight": (1, 9)})


def test_what_no_name_tells_is_not_recognised() -> None:
    shapes = shapes_of(OnOneTrunk(nn.Linear(6, 3)))
    assert from_shapes({name.replace("shared", "net"): shape for name, shape in shapes.items()}) is None
    assert from_shapes({name: shape for name, shape in shapes.items() if not name.startswith("shared")}) is None
    assert from_shapes(shapes | {"target.weight": (1, 6)}) is None


def test_layers_without_a_place_for_an_activation_are_refused() -> None:
    shapes = shapes_of(OnOneTrunk(nn.Linear(6, 3)))
    assert "shared" in refusal({name.replace("shared.2", "shared.1"): shape for name, shape in shapes.items()})
