"""Sums over the slices of a tensor's use, of squares and cubes, along some of its axes, a chunk at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import Stored, Use
from nfn_cli.symmetry.labelled.matrix_sums import boxes, cut_of, matrix_sums
from nfn_cli.symmetry.labelled.positions import role_axes
from nfn_cli.threads import threads_for

_CHUNK = 1 << 17  # numbers in float64 at once
_SHORT = 64
_KINDS = ("squares", "sizes", "cubes")
Axes = tuple[int, ...]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScaleGroup:
    """The terms of a use that stand along the same axes, or along axes that overlap.

    Attributes:
        axes: of the view; no two groups of a use share one.
        shape: of the view's rank, with size 1 along all others.
        terms: coefficient and variables, int32, flat in that shape.
    """

    axes: Axes
    shape: tuple[int, ...]
    terms: tuple[tuple[int, NDArray[np.int32]], ...]

    @property
    def count(self) -> int:
        """How many entries there are along the axes."""
        return math.prod(self.shape)


def scale_groups(use: Use) -> tuple[ScaleGroup, ...]:
    """A use's scale terms, by axes."""
    parts: list[tuple[set[int], list[tuple[int, NDArray[np.int32]]]]] = []
    whole = []
    for coefficient, variables in use.scales:
        axes = {axis for axis, size in enumerate(variables.shape) if size > 1}
        terms = [(coefficient, variables)]
        if not axes:
            whole += terms
            continue
        met = [part for part in parts if part[0] & axes]
        parts = [part for part in parts if not part[0] & axes]
        for own, theirs in met:
            axes, terms = axes | own, theirs + terms
        parts.append((axes, terms))
    if whole:  # along no axis: beside any others
        parts = [(parts[0][0], parts[0][1] + whole), *parts[1:]] if parts else [(set(), whole)]
    found = []
    for axes, terms in parts:
        shape = tuple(size if axis in axes else 1 for axis, size in enumerate(use.shape))
        spread = tuple((factor, np.broadcast_to(variables, shape).reshape(-1)) for factor, variables in terms)
        found.append(ScaleGroup(tuple(sorted(axes)), shape, spread))
    return tuple(found)


@dataclass(frozen=True)
class Moments:
    """Sums over the slices along some axes, float64, of the view's rank with size 1 along all others.

    What was not asked for is 0.

    Attributes:
        squares: Σ x².
        sizes: Σ |x|³.
        cubes: Σ x³.
    """

    squares: Floats
    sizes: Floats
    cubes: Floats


def moments(
    tensor: Tensor, use: Use, factors: Sequence[Floats], targets: Sequence[Axes], kinds: Sequence[str]
) -> Mapping[Axes, Moments]:
    """The sums over slices of a use, multiplied by factors.

    Args:
        tensor: whole.
        factors: float64, they broadcast against the view.
        targets: along which axes sums are wanted.
        kinds: which sums are wanted, by their names in `Moments`.
    """
    flat = tensor.detach().contiguous().reshape(-1)
    view = flat.as_strided(use.shape, use.stride, flat.storage_offset() + use.offset)
    weights = [torch.from_numpy(np.ascontiguousarray(factor)) for factor in factors if not bool((factor == 1).all())]
    cut = None if use.stored else cut_of(use.shape, weights, targets)
    if cut is not None:
        nothing = torch.zeros((), dtype=torch.float64)
        fast = matrix_sums(view, weights, targets, kinds, cut)
        return {
            axes: Moments(*(sums.get(kind, nothing.expand(_along(use, axes))).numpy() for kind in _KINDS))
            for axes, sums in fast.items()
        }
    shapes = {axes: _along(use, axes) for axes in targets}
    found = {axes: {kind: torch.zeros(shape, dtype=torch.float64) for kind in _KINDS} for axes, shape in shapes.items()}
    # Axes of no target are summed over at once.
    inner = [axis for axis in range(len(use.shape)) if not any(axis in axes for axes in targets)]
    with threads_for(_CHUNK):
        for box in boxes(use.shape, _CHUNK):
            x = view[box].to(torch.float64, copy=True)
            for step in use.stored:
                x = _forward(x, step)
            for weight in weights:
                x *= weight[_within(box, weight)]
            squares = x * x
            parts = {}
            if "squares" in kinds:
                parts["squares"] = _summed(squares, inner)
            if "cubes" in kinds:
                parts["cubes"] = _summed(squares * x, inner)
            if "sizes" in kinds:
                parts["sizes"] = _summed(squares * x.abs_(), inner)
            for axes, sums in found.items():
                others = [axis for axis in range(x.ndim) if axis not in axes and axis not in inner]
                for kind, part in parts.items():
                    sums[kind][_within(box, sums[kind])] += _summed(part, others)
    return {axes: Moments(*(sums[kind].numpy() for kind in _KINDS)) for axes, sums in found.items()}


def role_targets(use: Use) -> tuple[Axes, ...]:
    """The axes of each role of a use."""
    return tuple(role_axes(use, role) for role in use.roles)


def _along(use: Use, axes: Axes) -> list[int]:
    return [size if axis in axes else 1 for axis, size in enumerate(use.shape)]


def _summed(x: Tensor, axes: list[int]) -> Tensor:
    """The sum over some axes, which stay with size 1."""
    axes = [axis for axis in axes if x.shape[axis] > 1]
    last = x.shape[-1] if x.ndim else 1
    if axes == [x.ndim - 1] and last < _SHORT and x.is_contiguous():  # many short sums are slow
        return (x.reshape(-1, last) @ torch.ones(last, dtype=x.dtype)).reshape(*x.shape[:-1], 1)
    return x.sum(axes, keepdim=True) if axes else x


def _forward(x: Tensor, step: Stored) -> Tensor:
    if step.kind == "add":
        return x.add_(step.value)
    if step.kind == "mul":
        return x.mul_(step.value)
    return x.exp_() if step.kind == "exp" else x.neg_()


def _within(box: tuple[slice, ...], values: Tensor) -> tuple[slice, ...]:
    return tuple(own if size > 1 else slice(None) for own, size in zip(box, values.shape, strict=True))
