"""How far a network that has been transformed by an element on labels is from another one, module by module."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, LabelledTensor
from nfn_cli.symmetry.alignment import beside_residuals as _beside
from nfn_cli.symmetry.alignment.residuals import FLOOR, Residual
from nfn_cli.symmetry.labelled.action import TensorAction, present
from nfn_cli.symmetry.labelled.element import Element


def residuals(
    element: Element,
    architecture: LabelledArchitecture,
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    *,
    most: float = math.inf,
) -> tuple[Residual, ...]:
    """Compare g·A with B, a few rows of a tensor at a time.

    Args:
        ours, theirs: A and B by name; all tensors on which something acts.
        most: stop after the first tensor that deviates by more.

    Returns:
        One a module, in the order of the tensors, with the deviation of an entry relative to itself, or to `FLOOR` of
        its row's norm where that is more. A row is a slice along the first axis; of a vector it is one entry, and the
        level of the vector stands for its norm. What is stored behind an addition counts with what is added.

    Raises:
        ValueError: a tensor is not there, or has another shape.
    """
    found: dict[str, list[float]] = {}
    for tensor in architecture.tensors:
        for mine, other in _names(tensor, ours, theirs):
            squares, size, deviation = _compared(tensor, element, ours[mine], theirs[other])
            module = found.setdefault(_module(other), [0.0, 0.0, 0.0])
            module[0] += squares
            module[1] += size
            module[2] = max(module[2], deviation)
            if deviation > most:
                return _finished(found)
    return _finished(found)


def beside_residuals(
    path: Path, architecture: LabelledArchitecture, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]
) -> tuple[Residual, ...]:
    """Compare the tensors on which the group does not act: they have to be equal.

    Args:
        path: of the second checkpoint.
        ours, theirs: all tensors by name.

    Raises:
        DifferentError: one has a tensor that the other has not.
    """
    acted_on = {name for tensor in architecture.tensors if tensor.uses for name in tensor.names}
    held = [{name: own[name] for name in own if name not in acted_on} for own in (ours, theirs)]
    return _beside(path, *held)


def _names(
    tensor: LabelledTensor, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]
) -> Iterator[tuple[str, str]]:
    """The names under which a tensor has to be compared: one, and those that are tied to it and differ."""
    mine, other = present(tensor, ours), present(tensor, theirs)
    if not mine:
        return
    yield mine[0], other[0]
    for name in tensor.names[1:]:
        own = name if name in ours else mine[0]
        their = name if name in theirs else other[0]
        if not (_same(ours, own, mine[0]) and _same(theirs, their, other[0])):
            yield own, their


def _same(tensors: Mapping[str, Tensor], name: str, other: str) -> bool:
    return name == other or torch.equal(tensors[name], tensors[other])


def _module(name: str) -> str:
    return name.rpartition(".")[0] or name


def _finished(found: Mapping[str, list[float]]) -> tuple[Residual, ...]:
    return tuple(
        Residual(name, math.sqrt(squares / size) if size else math.inf if squares else 0.0, deviation)
        for name, (squares, size, deviation) in found.items()
    )


def _compared(tensor: LabelledTensor, element: Element, ours: Tensor, theirs: Tensor) -> tuple[float, float, float]:
    """‖g·A − B‖², ‖B‖² and the largest deviation of an entry."""
    if tuple(theirs.shape) != tensor.shape:
        raise ValueError(f"tensor {tensor.name!r}: a shape of {tuple(theirs.shape)}, not {tensor.shape}")
    added = _added(tensor, element)
    start, squares, total, deviation = 0, 0.0, 0.0, 0.0
    vector = math.prod(tensor.shape) == max(tensor.shape, default=1)
    level = _rms(theirs) if vector else 0.0
    rows = theirs.reshape(-1) if vector else theirs.reshape(math.prod(_leading(tensor.shape)), -1)
    for part in TensorAction(tensor, element).rows(ours):
        transformed = part.reshape(-1).double()
        count = len(transformed) // rows[0].numel()
        wanted = rows[start : start + count].reshape(-1).double()
        difference = (transformed - wanted).abs()
        if vector:
            floor = torch.full_like(wanted, FLOOR * level)
        else:
            norms = [torch.linalg.vector_norm(own.view(count, -1), dim=1) for own in (transformed, wanted)]
            floor = (FLOOR * torch.maximum(*norms)).repeat_interleave(rows.shape[1])
        size = torch.maximum(wanted.abs(), floor)
        if added is not None:
            size = size + added.reshape(-1)[start * rows[0].numel() :][: len(wanted)]
        # 0/0 counts as no deviation, and NaN as the largest.
        relative = torch.where(difference == 0, 0.0, difference / size).nan_to_num(math.inf)
        deviation = max(deviation, relative.max().item() if relative.numel() else 0.0)
        squares += difference.square().sum().item()
        total += wanted.square().sum().item()
        start += count
    return squares, total, deviation


def _leading(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes whose entries are rows: the first one longer than 1, and those before it."""
    long = next((axis for axis, size in enumerate(shape) if size > 1), 0)
    return shape[: long + 1]


def _rms(tensor: Tensor) -> float:
    values = tensor.double()
    return math.sqrt(values.square().mean().item()) if values.numel() else 0.0


def _added(tensor: LabelledTensor, element: Element) -> Tensor | None:
    """What stands behind an addition is rounded as what is stored, and only the sum is scaled: the addend times the
    factor, in the tensor's shape; None where nothing is added."""
    if not any(step.kind == "add" for use in tensor.uses for step in use.stored):
        return None
    found = torch.zeros(math.prod(tensor.shape), dtype=torch.float64)
    for use in tensor.uses:
        logs = np.zeros(use.shape)
        for coefficient, variables in use.scales:
            logs = logs + coefficient * element.logs[variables]
        # At A's positions; the largest stands for all, which is enough for a bound.
        factor = float(np.exp2(np.clip(logs.max(initial=0.0), -400, 400)))
        most = max((abs(step.value) for step in use.stored if step.kind == "add"), default=0.0)
        found.as_strided(use.shape, use.stride, use.offset).fill_(most * max(factor, 1.0))
    return found.reshape(tensor.shape)
