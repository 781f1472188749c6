"""The size of a module's monomial group found without any theory of it: by derivatives, and by trying everything.

All is computed from the module's function alone, in float64.

- Scales: x in R^entries with d/dt f(θ exp(t x)) = 0 at every θ: the null space of the rows J · θ over several θ.
- Permutations: every tuple of permutations of the tensors' axes, tensor by tensor. A tensor whose entries are all equal
  is fixed by every permutation of its entries, so a tuple that belongs to the group must keep f where the tensors that
  are not yet looked at are constant. That prunes the search, and drops nothing.
- Signs: all products of signs on axes, half of them on each side of an equation.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from random_networks import tensors
from torch import Tensor, nn

State = dict[str, Tensor]
Places = NDArray[np.int64]
MOST_BITS = 15  # of signs, on each of two sides


@dataclass(frozen=True)
class Small:
    """A module small enough to solve.

    Attributes:
        name: for people.
        module, inputs: float64, in evaluation mode. The inputs must meet every entry of every table.
        views: by tensor, the shape by which its axes are told, where it is not its own.
        each: by tensor, (axis, by): along `axis`, every index of axis `by` has a permutation of its own, and every
            entry a sign of its own: for grouped convolutions and experts. More than can be true: nothing is missed.
    """

    name: str
    module: nn.Module
    inputs: tuple[Any, ...]
    views: dict[str, tuple[int, ...]] = field(default_factory=dict)
    each: dict[str, tuple[int, int]] = field(default_factory=dict)


def numbers(module: nn.Module) -> State:
    """Parameters and statistics, tied ones once."""
    kept = {name: each.detach() for name, each in module.named_parameters()}
    kept |= {name: each for name, each in module.named_buffers() if "running" in name}
    return {name: each for name, each in kept.items() if each.is_floating_point()}


def drawn(state: State, seed: int) -> State:
    """Generic numbers; what is a variance is positive."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, each in state.items():
        noise = torch.randn(each.shape, generator=generator, dtype=torch.float64)
        found[name] = noise.abs() + 0.5 if "var" in name else noise + 0.2 * noise.sign()
    return found


def alike(state: State, seed: int) -> State:
    """Every tensor of equal entries."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.full_like(each, 0.3 + torch.rand((), generator=generator, dtype=torch.float64).item())
        for name, each in state.items()
    }


def _function(small: Small) -> Callable[[State], Tensor]:
    def flat(state: State) -> Tensor:
        found = torch.func.functional_call(small.module, state, small.inputs)
        return torch.cat([value.reshape(-1) for value in tensors(found)])

    return flat


class WrittenBatchNorm(nn.Module):
    """BatchNorm in evaluation mode, with derivatives by its statistics."""

    def __init__(self, own: nn.Module) -> None:
        super().__init__()
        plain = own.weight is None
        self.weight = torch.ones_like(own.running_mean) if plain else own.weight
        self.bias = torch.zeros_like(own.running_mean) if plain else own.bias
        self.eps = own.eps
        self.running_mean, self.running_var = nn.Parameter(own.running_mean), nn.Parameter(own.running_var)

    def forward(self, x: Tensor) -> Tensor:
        mean, var, gain, bias = (
            each.reshape(-1, *[1] * (x.ndim - 2))
            for each in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        return (x - mean) * (var + self.eps).rsqrt() * gain + bias


def _written_out(module: nn.Module) -> nn.Module:
    module = copy.deepcopy(module)
    for name, child in list(module.named_children()):
        known = getattr(child, "running_mean", None) is not None
        setattr(module, name, WrittenBatchNorm(child) if known else _written_out(child))
    return module


def scale_dimension(small: Small, points: int = 8) -> int:
    """The dimension of the diagonal symmetries; asserts a clear gap between the singular values."""
    small = replace(small, module=_written_out(small.module))
    function, state = _function(small), numbers(small.module)
    rows = []
    for seed in range(points):
        point = drawn(state, seed)
        jacobian = torch.func.jacrev(function)(point)
        rows.append(torch.cat([(jacobian[name] * point[name]).reshape(len(jacobian[name]), -1) for name in state], 1))
    stack = torch.cat(rows)
    entries = stack.shape[1]
    assert len(stack) > 1.5 * entries, "too few outputs: more points are needed"
    # Rows of one size each: a large output says no more than a small one.
    stack = stack / stack.norm(dim=1, keepdim=True).clamp_min(1e-30)
    values = torch.linalg.svdvals(stack)
    null = int((values < 1e-9 * values[0]).sum())
    if null < entries:
        least = values[entries - null - 1] / values[0]
        assert least > 1e-5, f"{small.name}: no clear gap, smallest other value {least:.1e}"
    return null


def _candidates(small: Small, name: str, shape: tuple[int, ...]) -> Places:
    """All index maps of a tensor that permute its axes, [count, entries], each once."""
    shape = small.views.get(name, shape)
    places = np.arange(math.prod(shape)).reshape(shape)
    found = [places]
    own = small.each.get(name)
    for axis, size in enumerate(shape):
        orders = [list(order) for order in itertools.permutations(range(size))]
        if own is not None and own[0] == axis:
            by = shape[own[1]]
            grown = []
            for each in found:
                for choice in itertools.product(orders, repeat=by):
                    parts = [np.take(np.take(each, [k], own[1]), order, axis) for k, order in enumerate(choice)]
                    grown.append(np.concatenate(parts, own[1]))
            found = grown
        else:
            found = [np.take(each, order, axis) for each in found for order in orders]
    return np.unique(np.stack([each.reshape(-1) for each in found]), axis=0)


def _kept(small: Small, states: Callable[[int, int], State], count: int, base: State) -> NDArray[np.bool_]:
    """Which of the states have the outputs of the base; states(a, b) are a … b − 1, stacked."""
    function = _function(small)
    expected = function(base)
    size = expected.abs().max().clamp_min(1e-12)
    several = torch.vmap(function)
    kept = []
    for start in range(0, count, 8192):
        found = several(states(start, min(count, start + 8192)))
        kept.append(((found - expected).abs().amax(1) < 1e-8 * size).numpy())
    return np.concatenate(kept)


def permutation_order(small: Small) -> int:
    """How many tuples of axis permutations leave the function alone; each moves the numbers differently."""
    state = numbers(small.module)
    names = list(state)
    choices = {name: _candidates(small, name, tuple(state[name].shape)) for name in names}
    tuples = np.zeros((1, 0), np.int64)

    def survivors(tuples: Places, point: State, rest: State) -> Places:
        done = tuples.shape[1]
        base = {name: (point if k < done else rest)[name] for k, name in enumerate(names)}

        def states(start: int, end: int) -> State:
            found = {}
            for k, name in enumerate(names):
                if k < done:
                    places = torch.from_numpy(choices[name][tuples[start:end, k]])
                    found[name] = base[name].reshape(-1)[places].reshape(-1, *base[name].shape)
                else:
                    found[name] = base[name].expand(end - start, *base[name].shape)
            return found

        return tuples[_kept(small, states, len(tuples), base)]

    for k, name in enumerate(names):
        more = np.arange(len(choices[name]))
        tuples = np.concatenate([np.repeat(tuples, len(more), 0), np.tile(more, len(tuples))[:, None]], 1)
        assert len(tuples) < 3_000_000, f"{small.name}: too many at {name}"
        tuples = survivors(tuples, drawn(state, 100 + k), alike(state, 200 + k))
    for seed in (300, 301):
        tuples = survivors(tuples, drawn(state, seed), state)
    return len(tuples)


def sign_dimension(small: Small) -> int | None:
    """The dimension over GF(2) of the signs on axes; None where there are too many to try."""
    state = numbers(small.module)
    patterns: list[tuple[str, Tensor]] = []  # what each bit turns
    for name, each in state.items():
        if "var" in name:
            continue
        shape = small.views.get(name, tuple(each.shape))
        one = torch.ones(shape, dtype=torch.float64)
        if name in small.each:
            for place in range(one.numel()):
                turned = one.clone().reshape(-1)
                turned[place] = -1
                patterns.append((name, turned.reshape(each.shape)))
            continue
        big = [axis for axis, size in enumerate(shape) if size > 1]
        for axis in big or [-1]:
            # The first entry of all axes but the first is kept: it would say again what another bit says.
            for entry in range(1 if big and axis != big[0] else 0, shape[axis] if big else 1):
                turned = one.clone()
                if big:
                    turned.select(axis, entry).neg_()
                else:
                    turned = -turned
                patterns.append((name, turned.reshape(each.shape)))
    if len(patterns) > 2 * MOST_BITS:
        return None
    # v keeps f just where f(v_A θ_A, θ_B) = f(θ_A, v_B θ_B), as v is its own inverse: half the bits on each side.
    sides = (patterns[: len(patterns) // 2], patterns[len(patterns) // 2 :])
    base = drawn(state, 400)
    one, other = (_turned_outputs(small, base, side, torch.arange(2 ** len(side))) for side in sides)
    size = one.abs().max()
    direction = torch.randn(one.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    order = (other @ direction).argsort()
    keys = (other @ direction)[order].contiguous()
    low = torch.searchsorted(keys, one @ direction - 1e-7 * size)
    high = torch.searchsorted(keys, one @ direction + 1e-7 * size)
    pairs = [(a, int(order[b])) for a in range(len(one)) for b in range(int(low[a]), int(high[a]))]
    assert len(pairs) < 2**14, f"{small.name}: too many signs that agree by chance"
    codes = torch.tensor([a + (b << len(sides[0])) for a, b in pairs])
    for seed in (401, 402, 403):
        base = drawn(state, seed)
        expected = _function(small)(base)
        found = _turned_outputs(small, base, patterns, codes)
        codes = codes[(found - expected).abs().amax(1) < 1e-8 * expected.abs().max()]
    dimension = int(math.log2(len(codes)))
    assert 2**dimension == len(codes), f"{small.name}: {len(codes)} sign patterns are no group"
    return dimension


def _turned_outputs(small: Small, base: State, patterns: list[tuple[str, Tensor]], codes: Tensor) -> Tensor:
    """Outputs [codes, n], where bit k of a code turns the signs of pattern k."""
    several, rows = torch.vmap(_function(small)), []
    for some in codes.split(8192):
        found = {name: each.expand(len(some), *each.shape).clone() for name, each in base.items()}
        for bit, (name, turned) in enumerate(patterns):
            found[name][((some >> bit) & 1).bool()] *= turned
        rows.append(several(found))
    return torch.cat(rows)
