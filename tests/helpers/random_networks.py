"""Random networks from a seed, mostly of what real networks have, with rare oddities."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from random_images import image_network
from random_steps import Builder, DrawnNetwork, Value, randomise
from random_tokens import recurrent_network, token_network
from random_vectors import vector_network
from torch import Tensor, nn

KINDS = (
    (4.0, "image"),
    (1.0, "signal"),
    (4.0, "vector"),
    (2.0, "tokens"),
    (2.5, "numbers"),
    (0.7, "recurrent"),
)


@dataclass(frozen=True)
class Drawn:
    """A random network.

    Attributes:
        module: float64, in evaluation mode, with random weights and statistics.
        inputs: two of a batch.
        kind: what its inputs are.
        seed: that draws it again.
    """

    module: DrawnNetwork
    inputs: tuple[Tensor, ...]
    kind: str
    seed: int

    def source(self) -> str:
        """The network as text."""
        return f"seed {self.seed} ({self.kind})\n{self.module.source()}"


def draw(seed: int) -> Drawn:
    """The network of a seed; its outputs are finite numbers that depend on its weights."""
    attempt = 0
    while True:
        rng = random.Random(f"{seed} {attempt}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1_000_003 * seed + attempt)
            drawn = _drawn(rng, seed)
        if _sound(drawn):
            return drawn
        attempt += 1


def _drawn(rng: random.Random, seed: int) -> Drawn:
    kind = rng.choices([kind for _, kind in KINDS], [weight for weight, _ in KINDS])[0]
    widths = tuple(rng.sample((2, 3, 4, 4, 4, 5, 6), 2))
    b = Builder(rng, [_input(rng, kind)], widths)
    if kind in ("image", "signal"):
        last = image_network(b)
    elif kind == "vector":
        last = vector_network(b)
    elif kind == "recurrent":
        last = recurrent_network(b)
    else:
        last = token_network(b)
    _outputs(b, last)
    if b.chance(0.04):
        b.parameter(3, kind="unused")
    network = b.network.eval()
    randomise(network, seed)
    return Drawn(network, tuple(b.inputs), kind, seed)


def _input(rng: random.Random, kind: str) -> Tensor:
    if kind == "image":
        return torch.randn(2, rng.choice((1, 2, 3)), 6, 6, dtype=torch.float64)
    if kind == "signal":
        return torch.randn(2, rng.choice((1, 2)), 8, dtype=torch.float64)
    if kind == "vector":
        return torch.randn(3, rng.choice((2, 3, 4)), dtype=torch.float64)
    if kind == "numbers" or (kind == "recurrent" and rng.random() < 0.4):
        return torch.randint(0, 7, (2, 5))
    return torch.randn(2, 4, rng.choice((2, 3)), dtype=torch.float64)


def _outputs(b: Builder, last: Value) -> None:
    """One tensor mostly; a tuple or a dictionary at times, which may show a hidden layer."""
    place, kind = last.place, b.draw(((20, "one"), (1, "pair"), (1, "dictionary"), (0.7, "log_std")))
    shown = b.rng.randrange(len(b.inputs), len(b.values))
    if kind == "pair":
        b.network.answer = lambda values: (values[place], values[shown])
        b.network.steps.append(_note(f"answers v{place}, v{shown}", place))
    elif kind == "dictionary":
        b.network.answer = lambda values: {"out": values[place], "hidden": values[shown]}
        b.network.steps.append(_note(f"answers out: v{place}, hidden: v{shown}", place))
    elif kind == "log_std":
        name, network = b.parameter(2), b.network
        network.answer = lambda values: (values[place], network.number(name))
        b.network.steps.append(_note(f"answers v{place}, {name}", place))


def _note(text: str, place: int) -> Any:
    from random_steps import Step

    return Step(text, lambda net, value: value, (place,))


def tensors(answer: Any) -> list[Tensor]:
    """All tensors of numbers in an answer, in order."""
    leaves = torch.utils._pytree.tree_leaves(answer)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _sound(drawn: Drawn) -> bool:
    """Whether the outputs are finite, not all alike, and follow the weights."""
    with torch.no_grad():
        found = tensors(drawn.module(*drawn.inputs))
        if not all(value.isfinite().all() for value in found) or found[0].std() < 1e-6:
            return False
    weights = [p for p in drawn.module.parameters() if p.ndim > 1]
    slopes = torch.autograd.grad(
        sum(value.square().sum() for value in tensors(drawn.module(*drawn.inputs))), weights, allow_unused=True
    )
    alive = sum(slope is not None and bool(slope.abs().max() > 1e-9) for slope in slopes)
    return alive >= 0.7 * len(weights)


__all__ = ["Drawn", "draw", "nn", "tensors"]
