"""Matrices of attention heads that bring one network next to another: values and outputs, queries and keys.

Heads are matched first, by what no matrix changes: the products of their outputs with their values, and of each
frequency's queries with its keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.alignment.assignment import assign
from nfn_cli.symmetry.labelled.gauges.lines import AGAIN
from nfn_cli.symmetry.labelled.gauges.procrustes import matrix_between, numbers_between
from nfn_cli.symmetry.labelled.gauges.turning import Turning
from nfn_cli.symmetry.labelled.gauges.turns import KnownGauge, Turn, identity_of, pair_matrices

_WORST = 1e6  # condition of a matrix beyond which a space is left as it is


class Owners:
    """The block and the unit of each label."""

    def __init__(self, architecture: LabelledArchitecture) -> None:
        self.architecture = architecture
        self.block = np.full(architecture.label_count, -1, np.int64)
        self.unit = np.full(architecture.label_count, -1, np.int64)
        for place, block in enumerate(architecture.blocks):
            self.block[block.labels] = place
            self.unit[block.labels] = np.arange(block.units)[:, None]


@dataclass(eq=False)
class _Space:
    """What stands along the lines of one space: shared by the heads in it, and of each head."""

    made: list[Tensor] = field(default_factory=list)
    read: list[Tensor] = field(default_factory=list)
    made_by: dict[int, list[Tensor]] = field(default_factory=dict)
    read_by: dict[int, list[Tensor]] = field(default_factory=dict)


@dataclass(eq=False)
class _Sides:
    """One gauge's arrays in one network, float64 (or complex128 for phases).

    Attributes:
        shared: [units, spaces of a unit, n, k], by whom each unit has one. own: [units, heads, spaces, n, l].
        made_is_shared: whether the shared ones are what is made.
    """

    shared: Tensor
    own: Tensor
    made_is_shared: bool


def outer_block(known: KnownGauge, owners: Owners) -> int | None:
    """The block whose units have a space, or several, each: that of heads, or of groups of heads."""
    if known.action.block is not None:
        return known.architecture.blocks[known.action.block].parent
    blocks = {int(owners.block[own]) for own in known.action.pairs[known.action.keys][:, 0]}
    (block,) = blocks if len(blocks) == 1 else (-1,)
    return None if block < 0 else block


def fit_heads(
    gauges: Sequence[KnownGauge], outer: int | None, owners: Owners, reference: Turning, source: Turning
) -> tuple[list[Turn], frozenset[int]]:
    """Turns of the gauges of one layer's heads, and the places of the tensors that they were fitted on."""
    both = []
    for known in gauges:
        ours, theirs = (_sides(known, outer, owners, turning) for turning in (source, reference))
        if ours is not None and theirs is not None and ours.shared.shape == theirs.shared.shape:
            both.append((known, ours, theirs))
    if not both or len({(own[1].shared.shape[0], own[1].own.shape[1]) for own in both}) > 1:
        return [], frozenset()
    units, heads = _matched([(ours, theirs) for _, ours, theirs in both])
    turns = [Turn(known, _fitted(known, ours, theirs, units, heads)) for known, ours, theirs in both]
    return turns, frozenset(place for known, _, _ in both for place in _wide_places(known))


def _wide_places(known: KnownGauge) -> list[int]:
    """Biases, which a softmax or another bias may hide, have no say."""
    tensors = known.architecture.tensors
    return [
        place
        for place, lines in known.lines.items()
        if math.prod(tensors[place].shape) > sum(own.index.size for own in lines)
    ]


def _sides(known: KnownGauge, outer: int | None, owners: Owners, turning: Turning) -> _Sides | None:
    spaces = [_Space() for _ in range(known.spaces)]
    for place in _wide_places(known):
        tensor = turning.now(place).contiguous()
        for lines in known.lines[place]:
            _, flat = lines.flat(tensor)
            for row in range(len(lines.index)):
                part = flat[torch.from_numpy(lines.index[row])].double()
                space, odd = spaces[int(lines.space[row])], bool(lines.inverse[row])
                head = _head(known, outer, owners, int(lines.key[row]), int(lines.label[row]))
                if head is None:
                    (space.read if odd else space.made).append(part)
                else:
                    (space.read_by if odd else space.made_by).setdefault(head, []).append(part)
    made_is_shared = not any(own.made_by for own in spaces)
    if not made_is_shared and any(own.read_by for own in spaces):
        return None
    shared, own_parts = [], []
    for space in spaces:
        of_all, single, by = (
            (space.made, space.read, space.read_by) if made_is_shared else (space.read, space.made, space.made_by)
        )
        if not of_all or bool(single) == bool(by):
            return None
        shared.append(torch.cat(of_all, 1))
        parts = [torch.cat(by[head], 1) for head in sorted(by)] if by else [torch.cat(single, 1)]
        if len({part.shape for part in parts}) > 1:
            return None
        own_parts.append(torch.stack(parts))
    if len({own.shape for own in shared}) > 1 or len({own.shape for own in own_parts}) > 1:
        return None
    order = _by_unit(known, owners)
    if order is None:
        return None
    of_units, of_heads = torch.stack(shared)[order], torch.stack(own_parts)[order].transpose(1, 2)
    if known.action.group == "phases":
        of_units, of_heads = (
            torch.complex(own[..., 0, :], own[..., 1, :])[..., None, :] for own in (of_units, of_heads)
        )
    return _Sides(of_units, of_heads, made_is_shared)


def _by_unit(known: KnownGauge, owners: Owners) -> Tensor | None:
    """The numbers of the spaces of each unit of the outer block, in order: int64 [units, spaces of one]."""
    if known.action.block is not None:
        return torch.arange(known.spaces)[:, None]
    of_unit: dict[int, set[int]] = {}
    pairs = known.action.pairs[known.action.keys]
    for first, _, space in pairs.tolist():
        of_unit.setdefault(int(owners.unit[first]), set()).add(space)
    if len({len(own) for own in of_unit.values()}) != 1 or sum(map(len, of_unit.values())) != known.spaces:
        return None
    return torch.tensor([sorted(of_unit[unit]) for unit in sorted(of_unit)])


def _head(known: KnownGauge, outer: int | None, owners: Owners, key: int, label: int) -> int | None:
    """Which of the heads in a unit of the outer block a line is of; None where it is of the unit itself."""
    if known.action.block is None:
        beside = label
    elif known.coordinates.offset <= key < AGAIN:
        beside = key - known.coordinates.offset
    else:
        return None
    block = int(owners.block[beside])
    if block < 0 or block == outer:
        return None
    return int(owners.unit[beside])


def _matched(both: Sequence[tuple[_Sides, _Sides]]) -> tuple[Tensor, Tensor]:
    """For each of A's units B's, int64 [units]; and for each of its heads that of the other, [units, heads]."""
    total: Tensor | None = None
    for ours, theirs in both:
        found = _likeness(theirs, ours)
        size = math.sqrt(_sizes(theirs) * _sizes(ours)) or 1.0
        total = found / size if total is None else total + found / size
    assert total is not None
    count, heads = total.shape[:2]
    chosen = torch.zeros(count, count, heads, dtype=torch.int64)
    value = torch.zeros(count, count, dtype=torch.float64)
    for one in range(count):
        for other in range(count):
            block = total[one, :, other]
            order = _assigned(-block)
            chosen[one, other] = order
            value[one, other] = block[torch.arange(heads), order].sum()
    units = _assigned(-value)
    return units, chosen[torch.arange(count), units]


def _assigned(cost: Tensor) -> Tensor:
    if len(cost) == 1:
        return torch.zeros(1, dtype=torch.int64)
    return assign(cost, torch.zeros_like(cost, dtype=torch.bool))


def _likeness(one: _Sides, other: _Sides) -> Tensor:
    """⟨own·sharedᵀ, own'·shared'ᵀ⟩ of each pair of heads, float64 [units, heads, units, heads]."""
    units, heads = one.own.shape[:2]
    found = torch.zeros(units, heads, units, heads, dtype=torch.float64)
    for space in range(one.shared.shape[1]):
        mine, theirs = one.own[:, :, space], other.own[:, :, space]
        n, width = mine.shape[-2:]
        flat = theirs.reshape(-1, width)
        beside = other.shared[:, space].reshape(units * n, -1)
        for unit in range(units):
            shared = (one.shared[unit, space].conj() @ beside.T).view(n, units, n)
            own = (mine[unit].reshape(-1, width).conj() @ flat.T).view(heads, n, units, heads, n)
            if own.is_complex():  # what is made is multiplied by z, and what is read by 1 / conj z
                found[unit] += torch.einsum("anubm,num->aub", own, shared.conj()).real
            else:
                found[unit] += torch.einsum("anubm,num->aub", own, shared)
    return found


def _sizes(own: _Sides) -> float:
    total = 0.0
    for unit in range(len(own.shared)):
        for space in range(own.shared.shape[1]):
            shared = own.shared[unit, space]
            gram = shared @ shared.mH
            for head in range(own.own.shape[1]):
                part = own.own[unit, head, space]
                total += float(((part @ part.mH) * gram.conj()).sum().real)
    return total


def _fitted(known: KnownGauge, ours: _Sides, theirs: _Sides, units: Tensor, heads: Tensor) -> Tensor:
    """One matrix for each of B's spaces."""
    matrices = identity_of(known)
    numbers = torch.arange(known.spaces)[:, None]
    if known.action.group == "phases":
        order = _by_unit(known, Owners(known.architecture))
        assert order is not None
        numbers = order
    for unit, other in enumerate(units.tolist()):
        own = _joined(ours.own[other, heads[unit]])
        own_there = _joined(theirs.own[unit])
        shared, shared_there = ours.shared[other], theirs.shared[unit]
        if known.action.group == "phases":
            pair = (own[:, 0], shared[:, 0]), (own_there[:, 0], shared_there[:, 0])
            if ours.made_is_shared:  # keys are what is read
                pair = (shared[:, 0], own[:, 0]), (shared_there[:, 0], own_there[:, 0])
            found = numbers_between(*pair)
            known_numbers = found.isfinite() & (found.abs() > 1 / _WORST) & (found.abs() < _WORST)
            found = torch.where(known_numbers, found, torch.ones_like(found))
            matrices[numbers[other]] = pair_matrices(found)
            continue
        sides = (shared[0], own[0], shared_there[0], own_there[0])
        if not ours.made_is_shared:
            sides = (own[0], shared[0], own_there[0], shared_there[0])
        matrix = matrix_between(*sides)
        if matrix is not None and float(torch.linalg.cond(matrix)) < _WORST:
            matrices[other] = matrix
    return matrices


def _joined(own: Tensor) -> Tensor:
    """[heads, spaces, n, k] as [spaces, n, heads · k]."""
    return own.permute(1, 2, 0, 3).flatten(2)
