"""What a group element does, counted: neurons that are moved, scales and signs that are changed.

>>> import torch
>>> from nfn_cli.architectures import Layer, chain
>>> from nfn_cli.symmetry import GroupElement
>>> mlp = chain([Layer("0", "linear", 1, 3), Layer("1", "linear", 3, 1)], activation="relu")
>>> moves_of_chain(GroupElement((torch.tensor([1, 0, 2]),), (torch.tensor([2.0, 1, 1]).double(),)), mlp, 1e-5)
Moves(moved=2, neurons=3, scaled=1, scales=3, flipped=0, signs=0)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures import Architecture
from nfn_cli.symmetry.diagonal_kinds import group_kind, phase_step
from nfn_cli.symmetry.element import GroupElement

if TYPE_CHECKING:
    # Chains, which are read by the thousand, need none of these.
    from nfn_cli.architectures.labels import LabelledArchitecture, Solutions
    from nfn_cli.symmetry.labelled import Element


@dataclass(frozen=True)
class Moves:
    """What an element does.

    Attributes:
        moved: neurons, and heads and other units, that get another place, among those of their own unit. neurons: all.
        scaled: free scales that are not 1 but for rounding. scales: all.
        flipped: free signs that change, with shifts of phase. signs: all.
    """

    moved: int
    neurons: int
    scaled: int
    scales: int
    flipped: int
    signs: int


def moves_of_chain(element: GroupElement, architecture: Architecture, tolerance: float) -> Moves:
    """Of an element on chains.

    Args:
        tolerance: a scale that is so near to 1 counts as 1.
    """
    moved = neurons = scaled = scales = flipped = signs = 0
    parts = zip(element.permutations, element.diagonals, element.half_turns, strict=True)
    for group, (order, diagonal, half_turns) in enumerate(parts):
        kind = group_kind(architecture, group)
        neurons += len(order)
        moved += int((order != order.sort().values).sum())
        scales += len(order) if kind.is_scaled else 0
        scaled += int(((diagonal.abs() - 1).abs() > tolerance).sum())
        signs += len(order) if kind.is_signed or phase_step(architecture, group) else 0
        flipped += int(((diagonal < 0) | (half_turns != 0)).sum())
    return Moves(moved, neurons, scaled, scales, flipped, signs)


def moves_of_labelled(element: Element, architecture: LabelledArchitecture, tolerance: float) -> Moves:
    """Of an element on labels.

    Args:
        tolerance: a scale that is so near to 1 counts as 1.
    """
    from nfn_cli.symmetry.labelled import orders_of

    moved = 0
    for block, order in zip(architecture.blocks, orders_of(architecture, element.goes), strict=True):
        moved += int((order % block.n != np.arange(block.units) % block.n).sum())
    return Moves(
        moved,
        sum(block.units for block in architecture.blocks),
        _changed(architecture.logs, np.abs(np.expm1(element.logs * np.log(2))) > tolerance),
        architecture.logs.free,
        _changed(architecture.signs, element.signs),
        architecture.signs.free,
    )


def _changed(solutions: Solutions, changes: NDArray[np.bool_]) -> int:
    """How many free variables are changed: of each, a variable that depends on it alone tells, else any that does."""
    entries = np.bincount(solutions.rows, minlength=solutions.variables)
    alone = entries[solutions.rows] == 1
    told = np.bincount(solutions.columns[alone], minlength=solutions.free) > 0
    tells = alone | ~told[solutions.columns]
    hits = tells & changes[solutions.rows]
    return len(np.unique(solutions.columns[hits]))
