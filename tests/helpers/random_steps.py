"""Modules made of drawn steps: what a network of them is, and what draws its steps one by one."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Function = Callable[..., Tensor]  # of the network and the values that it reads


@dataclass(frozen=True)
class Value:
    """The place of a value among a network's values, and its shape."""

    place: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One line of a forward pass.

    Attributes:
        text: the line, for people.
        function: called with the network and with the values at `reads`.
        reads: places of values.
    """

    text: str
    function: Function
    reads: tuple[int, ...]


class DrawnNetwork(nn.Module):
    """A module whose forward pass is a list of steps; layers stand in `parts`, parameters and buffers in `numbers`."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict()
        self.numbers = nn.Module()
        self.steps: list[Step] = []
        self.answer: Callable[[list[Tensor]], Any] = lambda values: values[-1]

    def forward(self, *inputs: Tensor) -> Any:
        values = list(inputs)
        for step in self.steps:
            values.append(step.function(self, *[values[place] for place in step.reads]))
        return self.answer(values)

    def number(self, name: str) -> Tensor:
        """A parameter or buffer by name."""
        return getattr(self.numbers, name)

    def source(self) -> str:
        """The forward pass as text, with the layers and their sizes."""
        layers = [f"{name} = {part}" for name, part in self.parts.items()]
        numbers = [f"{name}: {tuple(each.shape)}" for name, each in self.numbers.named_parameters()]
        buffers = [f"{name}: buffer {tuple(each.shape)}" for name, each in self.numbers.named_buffers()]
        return "\n".join([*layers, *numbers, *buffers, *[step.text for step in self.steps]])


@dataclass
class Builder:
    """Draws a network step by step; every step is run at once, so that shapes are known.

    Attributes:
        rng: the only source of chance beside torch's own, which `random_networks` seeds.
        widths: the few widths of this network, so that equal ones meet.
    """

    rng: random.Random
    inputs: list[Tensor]
    widths: tuple[int, ...] = (4,)
    network: DrawnNetwork = field(default_factory=DrawnNetwork)
    values: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = list(self.inputs)

    def input(self, place: int = 0) -> Value:
        return Value(place, tuple(self.inputs[place].shape))

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def width(self) -> int:
        return self.rng.choice(self.widths)

    def layer(self, module: nn.Module) -> str:
        """The name of a layer that is new."""
        name = f"{type(module).__name__.lower()}{len(self.network.parts)}"
        self.network.parts[name] = module.double()
        return name

    def parameter(self, *shape: int, kind: str = "table") -> str:
        """The name of a parameter that is new; `kind` is in it: a `gain` lies about 1, a `weight` about 0."""
        count = len(list(self.network.numbers.parameters())) + len(list(self.network.numbers.buffers()))
        name = f"{kind}{count}"
        setattr(self.network.numbers, name, nn.Parameter(torch.zeros(shape, dtype=torch.float64)))
        return name

    def buffer(self, tensor: Tensor) -> str:
        """The name of a constant that is new, in the state dict or not."""
        name = f"constant{len(list(self.network.numbers.buffers())) + len(list(self.network.numbers.parameters()))}"
        self.network.numbers.register_buffer(name, tensor, persistent=self.chance(0.3))
        return name

    def step(self, text: str, function: Function, *reads: Value) -> Value:
        """Adds one line; `{}` in the text are the values that it reads."""
        places = tuple(value.place for value in reads)
        written = f"v{len(self.values)} = " + text.format(*[f"v{place}" for place in places])
        with torch.no_grad():
            found = function(self.network, *[self.values[place] for place in places])
        self.values.append(found)
        self.network.steps.append(Step(written, function, places))
        return Value(len(self.values) - 1, tuple(found.shape))

    def call(self, module: nn.Module, x: Value) -> Value:
        """A new layer, called."""
        return self.again(self.layer(module), x)

    def again(self, name: str, x: Value) -> Value:
        """A layer by name, called: sharing it, if it was called before."""
        return self.step(f"{name}({{}})", lambda net, value: net.parts[name](value), x)

    def draw(self, choices: Sequence[tuple[float, Any]]) -> Any:
        weights = [weight for weight, _ in choices]
        return self.rng.choices([choice for _, choice in choices], weights)[0]


def randomise(module: nn.Module, seed: int) -> None:
    """Weights as after training: no zeros, gains about 1, positive variances, statistics of some data."""
    generator = torch.Generator().manual_seed(seed)
    norms = {name for name, part in module.named_modules() if "Norm" in type(part).__name__}
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if not tensor.is_floating_point() or "constant" in name:
                continue
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            if "var" in name:
                tensor.copy_(noise.abs() + 0.5)
            elif name.rsplit(".", 1)[-1].startswith("gain") or (
                name.endswith("weight") and name.rpartition(".")[0] in norms
            ):
                tensor.copy_(1 + 0.3 * noise)
            elif tensor.ndim > 1:
                tensor.copy_(noise * max(1, tensor[0].numel()) ** -0.5)
            else:
                tensor.copy_(0.4 * noise)
