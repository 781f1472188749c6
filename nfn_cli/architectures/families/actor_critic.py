"""Actor and critic of linear layers: stable-baselines3's policies, and both on a trunk that the names tell.

The activation is in no state dict (tanh by stable-baselines3's default, ReLU as often). Here it is one that nothing
commutes with but permutations, so that the group holds for any.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Inputs, ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import waves
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

POLICY = name_of(__name__, "policy_")
TRUNK = name_of(__name__, "trunk_")
_TRUNKS = ("trunk", "shared", "base", "body", "common", "shared_net", "shared_layers")
_ACTORS = ("actor", "policy", "pi", "actor_head", "policy_head")
_CRITICS = ("critic", "value", "v", "critic_head", "value_head")
_UNKNOWN = "the activation is not known: the group holds for any elementwise one, the forward pass takes GELU"


class Stack(nn.ModuleDict):
    """Linear layers by their numbers, with an activation between them (and behind the last one: `ends`)."""

    def __init__(self, scope: Scope, inputs: int, ends: bool) -> None:
        layers = {}
        for number in _numbers(scope):
            outputs = scope.size(f"{number}.weight", rank=2)
            layers[str(number)] = nn.Linear(inputs, outputs)
            inputs = outputs
        super().__init__(layers)
        self.outputs, self._ends = inputs, ends

    def forward(self, x: Tensor) -> Tensor:
        for place, layer in enumerate(self.values(), start=1):
            x = layer(x)
            if self._ends or place < len(self):
                x = F.gelu(x)
        return x


class Policy(nn.Module):
    """mlp_extractor.policy_net and .value_net, in old files behind .shared_net; then action_net and value_net.

    Returns the actions' means (or logits) and the value. `log_std` stands beside them and is read by neither.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        extractor = scope["mlp_extractor"]
        inputs = features(scope)
        parts: dict[str, Stack] = {}
        if extractor.has("shared_net"):
            parts["shared_net"] = Stack(extractor["shared_net"], inputs, True)
            inputs = parts["shared_net"].outputs
        for name in ("policy_net", "value_net"):
            parts[name] = Stack(extractor[name], inputs, True)
        self.mlp_extractor = nn.ModuleDict({name: part for name, part in parts.items() if len(part)})
        actions = scope.size("action_net.weight", rank=2)
        self.action_net = nn.Linear(parts["policy_net"].outputs, actions)
        self.value_net = nn.Linear(parts["value_net"].outputs, scope.size("value_net.weight", rank=2))
        if "log_std" in scope:
            if scope.shape("log_std", 1) != (actions,):
                raise Refusal(f"log_std is {list(scope.shape('log_std', 1))}, not one for each of {actions} actions")
            self.log_std = nn.Parameter(self.action_net.weight.new_zeros(actions))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts = self.mlp_extractor
        x = parts["shared_net"](x) if "shared_net" in parts else x
        actor = parts["policy_net"](x) if "policy_net" in parts else x
        critic = parts["value_net"](x) if "value_net" in parts else x
        return self.action_net(actor), self.value_net(critic)


class OnOneTrunk(nn.Module):
    """A trunk, and an actor and a critic that read it.

    Args:
        names: of the three.
    """

    def __init__(self, scope: Scope, names: tuple[str, str, str]) -> None:
        super().__init__()
        self._names = names
        trunk, *heads = names
        first = _numbers(scope[trunk])[0]
        stack = Stack(scope[trunk], scope.size(f"{trunk}.{first}.weight", 1, 2), True)
        self.add_module(trunk, stack)
        self.depth = len(stack)
        actions = 0
        for name in heads:
            here = scope[name]
            if "weight" in here:
                head: nn.Module = nn.Linear(stack.outputs, here.size("weight", rank=2))
                outputs = here.size("weight", rank=2)
            else:
                head = layers = Stack(here, stack.outputs, False)
                outputs = layers.outputs
            actions = actions or outputs
            self.add_module(name, head)
        if "log_std" in scope:
            self.log_std = nn.Parameter(next(stack.parameters()).new_zeros(actions))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        trunk, actor, critic = map(self.get_submodule, self._names)
        x = trunk(x)
        return actor(x), critic(x)


def features(scope: Scope) -> int:
    """How many numbers stable-baselines3's policy reads.

    Raises:
        Refusal: no layer tells.
    """
    for name in ("shared_net", "policy_net", "value_net"):
        here = scope["mlp_extractor"][name]
        if numbers := _numbers(here):
            return here.size(f"{numbers[0]}.weight", 1, 2)
    raise Refusal("the file has no mlp_extractor.policy_net.0")


def _numbers(scope: Scope) -> list[int]:
    """Of the linear layers in a container.

    Raises:
        Refusal: two of them have no place between them for an activation, or a name is no number.
    """
    names = scope.children()
    if not all(name.isdecimal() and name.isascii() and len(name) < 6 for name in names):
        raise Refusal(f"{scope.name('')[:-1]} has more than numbered layers")
    numbers = sorted(map(int, names))
    if any(later - earlier < 2 for earlier, later in pairwise(numbers)):
        raise Refusal(f"{scope.name('')[:-1]} has layers without a place between them for an activation")
    return numbers


def _flat(count: int) -> Callable[[int, torch.device | str], Inputs]:
    def make(batch: int, device: torch.device | str) -> Inputs:
        return (waves((batch, count), device),), {}

    return make


def policy_from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """stable-baselines3's ActorCriticPolicy for flat observations; as `Family.from_shapes`."""
    scope = Scope(shapes)
    if not all(name in scope for name in ("action_net.weight", "value_net.weight")) or not scope.has("mlp_extractor"):
        return None
    shared = scope.has("mlp_extractor.shared_net")
    return fitted(
        POLICY,
        lambda: Policy(Scope(shapes)),
        _flat(features(scope)),
        shapes,
        f"{POLICY}, {'one trunk' if shared else 'no trunk shared'}",
        (_UNKNOWN,),
    )


def trunk_from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A numbered trunk, an actor and a critic, by these names alone; as `Family.from_shapes`."""
    scope = Scope(shapes)
    tops = [name for name in scope.children() if name != "log_std"]
    found = [[name for name in tops if name in known] for known in (_TRUNKS, _ACTORS, _CRITICS)]
    if len(tops) != 3 or any(len(names) != 1 for names in found):
        return None
    (trunk,), (actor,), (critic,) = found
    if (numbers := _numbers(scope[trunk])) == []:
        return None
    return fitted(
        TRUNK,
        lambda: OnOneTrunk(Scope(shapes), (trunk, actor, critic)),
        _flat(scope.size(f"{trunk}.{numbers[0]}.weight", 1, 2)),
        shapes,
        lambda module: f"{TRUNK}: {actor} and {critic} on {trunk} of {module.depth}",
        (_UNKNOWN, f"{actor} and {critic} read what {trunk} wrote, and nothing else"),
    )
