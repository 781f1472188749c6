"""Chains on labels, written without a tracer: one label and one scale variable a neuron."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures import Architecture, AxisRole, Side, TensorSpec
from nfn_cli.architectures.labels import Block, LabelledArchitecture, LabelledTensor, Role, Solutions, Use
from nfn_cli.symmetry.diagonal_kinds import group_kind
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.labelled.element import Element


def label_chain(architecture: Architecture) -> LabelledArchitecture:
    """The labels of a chain, without the half-turns of sines' phases, which are no monomial matrices.

    Neurons are numbered through all groups in their order; label and scale variable of a neuron have its number.

    >>> from nfn_cli.architectures import Layer, chain
    >>> mlp = chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="relu")
    >>> labelled = label_chain(mlp)
    >>> [(block.name, block.n) for block in labelled.blocks], labelled.logs.free, labelled.signs.free, labelled.left
    ([('0', 8)], 8, 0, ('1.bias',))
    """
    starts = _starts(architecture)
    kinds = [group_kind(architecture, group) for group in range(len(architecture.groups))]
    uses = [(spec, _use(spec, architecture, starts)) for spec in architecture.tensors]
    blocks = tuple(
        Block(group.name, None, group.size, _numbers(start, group.size)[:, None])
        for group, start in zip(architecture.groups, starts, strict=False)
        if not group.in_place
    )
    return LabelledArchitecture(
        tensors=tuple(LabelledTensor((spec.name,), spec.shape, (use,)) for spec, use in uses if use is not None),
        label_count=starts[-1],
        scale_count=starts[-1],
        blocks=blocks,
        determined=np.empty((0, 3), dtype=np.int32),
        logs=_solutions(architecture, starts, [kind.is_scaled for kind in kinds]),
        signs=_solutions(architecture, starts, [kind.is_signed for kind in kinds]),
        left=tuple(spec.name for spec, use in uses if use is None),
    )


def chain_element(architecture: Architecture, element: GroupElement) -> Element:
    """An element for a chain, without batch axes, as one on the labels that `label_chain` writes.

    Raises:
        ValueError: it has batch axes, shifts phases by half-turns, or is of another architecture.
    """
    sizes = [group.size for group in architecture.groups]
    if [tuple(order.shape) for order in element.permutations] != [(size,) for size in sizes]:
        raise ValueError(f"no element of groups {sizes}")
    if any(bool(half_turns.any()) for half_turns in element.half_turns):
        raise ValueError("half-turns of a sine's phase have no place on labels")
    starts = _starts(architecture)
    goes = np.arange(starts[-1], dtype=np.int32)
    logs, signs = np.zeros(starts[-1]), np.zeros(starts[-1], dtype=np.bool_)
    for start, permutation, diagonal in zip(starts, element.permutations, element.diagonals, strict=False):
        taken = start + permutation.numpy()  # neuron i of g·U is neuron [i] of U
        goes[taken] = _numbers(start, len(taken))
        logs[taken] = np.log2(np.abs(diagonal.numpy()))
        signs[taken] = diagonal.numpy() < 0
    return Element(goes, logs, signs)


def _starts(architecture: Architecture) -> list[int]:
    """The first number of each group's neurons, and how many there are in all."""
    sizes = [group.size for group in architecture.groups]
    return [sum(sizes[:group]) for group in range(len(sizes) + 1)]


def _numbers(start: int, size: int) -> NDArray[np.int32]:
    return np.arange(start, start + size, dtype=np.int32)


def _solutions(architecture: Architecture, starts: Sequence[int], free: Sequence[bool]) -> Solutions:
    """Every neuron of the free groups by itself; those of the others have the value 0."""
    neurons = [
        _numbers(start, group.size) for group, start, own in zip(architecture.groups, starts, free, strict=False) if own
    ]
    rows = np.concatenate(neurons) if neurons else np.empty(0, dtype=np.int32)
    return Solutions(starts[-1], len(rows), rows, _numbers(0, len(rows)), np.ones(len(rows)))


def _use(spec: TensorSpec, architecture: Architecture, starts: Sequence[int]) -> Use | None:
    roles: list[Role] = []
    scales: list[tuple[int, NDArray[np.int32]]] = []
    for axis, role in enumerate(spec.roles):
        if role.group is None:
            continue
        group = architecture.groups[role.group]
        neurons, slots = _along(role, axis, len(spec.shape), starts[role.group], group.size)
        if not group.in_place:
            roles.append(Role(neurons, slots))
        if role.side is not Side.INDEX:
            scales.append((1 if role.side is Side.OUT else -1, neurons))
    if not roles and not scales:
        return None
    stride = tuple(math.prod(spec.shape[axis + 1 :]) for axis in range(len(spec.shape)))
    return Use(spec.shape, stride, 0, tuple(roles), tuple(scales))


def _along(
    role: AxisRole, axis: int, rank: int, start: int, size: int
) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
    """Labels and slots along one axis, in the tensor's rank."""
    shape = [1] * rank
    shape[axis] = size * role.repeat
    neurons = np.repeat(_numbers(start, size), role.repeat).reshape(shape)
    return neurons, None if role.repeat == 1 else np.tile(_numbers(0, role.repeat), size).reshape(shape)
