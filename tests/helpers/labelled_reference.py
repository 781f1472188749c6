"""The action of a labelled group, written straight from its definition: slow, and independent of the product's own.

`nfn_cli/architectures/labels/spec.py` and `group.py` say what is computed here.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import Block, LabelledArchitecture, Role, Solutions, Use

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


def order(group: LabelledArchitecture) -> int:
    """How many permutations there are."""
    total = 1
    for block in group.blocks:
        total *= math.factorial(block.n) ** (block.units // block.n)
    return total


def random_permutation(group: LabelledArchitecture, rng: np.random.Generator) -> Places:
    """σ of all labels [label_count]: uniform on the group."""
    sigma = np.arange(group.label_count)
    moved: list[Places] = []
    for block in group.blocks:
        parents = np.arange(1) if block.parent is None else moved[block.parent]
        units = _units(block, parents, rng)
        moved.append(units)
        for unit, goal in enumerate(units):
            sigma[block.labels[unit]] = block.labels[goal]
    # Determined labels may rest on one another: repeated until nothing changes.
    rows = {(int(a), int(b)): int(label) for label, a, b in group.determined}
    for _ in range(len(group.determined) + 1):
        before = sigma.copy()
        for label, a, b in group.determined:
            sigma[label] = rows.get((int(sigma[a]), int(sigma[b])), sigma[label])
        if np.array_equal(before, sigma):
            break
    assert len(np.unique(sigma)) == len(sigma), "σ is no bijection"
    return sigma


def _units(block: Block, parents: Places, rng: np.random.Generator) -> Places:
    assert block.units == block.n * len(parents), block.name
    goals = np.empty(block.units, np.int64)
    for parent, goal in enumerate(parents):
        goals[parent * block.n : (parent + 1) * block.n] = goal * block.n + rng.permutation(block.n)
    return goals


def random_logs(solutions: Solutions, rng: np.random.Generator, size: float = 0.5) -> Numbers:
    """log|d| of every scale variable."""
    return solutions.values(rng.normal(0, size, solutions.free))


def random_signs(solutions: Solutions, rng: np.random.Generator) -> Numbers:
    """0 or 1 of every scale variable: 1 for minus."""
    return np.round(solutions.values(rng.integers(0, 2, solutions.free).astype(float))) % 2


def act(
    group: LabelledArchitecture, sigma: Places, logs: Numbers, signs: Numbers, state: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The state dict moved, float64; tensors of which nothing is told stay."""
    moved = {name: tensor.clone() for name, tensor in state.items()}
    for tensor in group.tensors:
        present = [name for name in tensor.names if name in state]
        assert present, f"{tensor.names}: not in the state dict"
        old = state[present[0]].detach().double().contiguous().numpy().reshape(-1)
        assert tuple(state[present[0]].shape) == tuple(tensor.shape), present[0]
        new, touched = old.copy(), np.zeros(old.shape, bool)
        for use in tensor.uses:
            places = _view(use)
            assert not touched[places].any(), f"{present[0]}: views overlap"
            touched[places] = True
            new[_moved(use.roles, places, sigma).ravel()] = _numbers(use, old[places], logs, signs).ravel()
        for name in present:
            moved[name] = torch.from_numpy(new.copy()).reshape(state[name].shape)
    return moved


def _view(use: Use) -> Places:
    """The place in the flat tensor of every entry of the view."""
    places = np.full(use.shape, use.offset, np.int64)
    for axis, stride in enumerate(use.stride):
        places = (
            places
            + np.arange(use.shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(use.shape))]) * stride
        )
    assert len(np.unique(places)) == places.size, "a view that overlaps itself"
    return places


def _moved(roles: tuple[Role, ...], places: Places, sigma: Places) -> Places:
    """Where the number at each entry of the view goes, as places in the flat tensor."""
    spoken: set[int] = set()
    goals = places
    for role in roles:
        assert role.labels.ndim == places.ndim, "a role of another rank"
        axes = [axis for axis, size in enumerate(role.labels.shape) if size > 1]
        assert not spoken & set(axes), "two roles speak of one axis"
        spoken |= set(axes)
        assert all(role.labels.shape[axis] == places.shape[axis] for axis in axes)
        labels = role.labels.reshape(-1)
        slots = np.zeros(len(labels), np.int64) if role.slots is None else role.slots.reshape(-1)
        index = {}
        for entry, (label, slot) in enumerate(zip(labels.tolist(), slots.tolist(), strict=True)):
            if label >= 0:
                assert (label, slot) not in index, "two entries of one neuron and slot"
                index[label, slot] = entry
        to = np.array([
            entry if label < 0 else index[int(sigma[label]), slot]
            for entry, (label, slot) in enumerate(zip(labels.tolist(), slots.tolist(), strict=True))
        ])  # fmt: skip
        front = np.moveaxis(goals, axes, range(len(axes)))
        sent = front.reshape(len(labels), *front.shape[len(axes) :])[to].reshape(front.shape)
        goals = np.moveaxis(sent, range(len(axes)), axes)
    return goals


def _numbers(use: Use, stored: Numbers, logs: Numbers, signs: Numbers) -> Numbers:
    """The numbers of a view, multiplied where they stand."""
    exponent, sign = np.zeros(use.shape), np.zeros(use.shape)
    for coefficient, variables in use.scales:
        exponent = exponent + coefficient * logs[variables]
        sign = sign + coefficient * signs[variables]
    factor = np.exp(exponent) * (1 - 2 * (np.round(np.abs(sign)) % 2))
    values = stored
    for step in use.stored:
        if step.kind == "add":
            values = values + step.value
        elif step.kind == "mul":
            values = values * step.value
        elif step.kind == "exp":
            values = np.exp(values)
        else:
            assert step.kind == "neg", step.kind
            values = -values
    values = values * factor
    for step in reversed(use.stored):
        if step.kind == "add":
            values = values - step.value
        elif step.kind == "mul":
            values = values / step.value
        elif step.kind == "exp":
            values = np.log(values)
        else:
            values = -values
    return values
