"""Scales that keep the running variances of BatchNorms positive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, Use
from nfn_cli.symmetry.labelled.element import Element, require_of
from nfn_cli.symmetry.labelled.free_scales import free_logs, linked
from nfn_cli.symmetry.labelled.positions import all_uses, used_variables

LEAST = 1e-3  # of a running variance, relative to what it was
_LARGEST_EPSILON = 0.5
_EXTREME = 20.0  # of a free scale's logarithm to the base 2


def bounded(element: Element, architecture: LabelledArchitecture, tensors: Mapping[str, Tensor]) -> Element:
    """The same element with scales so near to 1 that every running variance stays positive.

    A BatchNorm's variance v is used as v + ε, and c²(v + ε) is stored less ε: for small c that is negative. Where it
    would be less than `LEAST` times v, the free scales on which it depends are brought nearer to 1, all by one power,
    as little as is needed; a free scale on which it alone depends gets the least value that is allowed.

    Args:
        tensors: by name; only variances are looked at.

    Raises:
        ValueError: the element's scales are none of the architecture, or a tensor has another shape.
    """
    require_of(architecture, element)
    lowest = np.full(architecture.logs.free, 1.0)
    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    shares: list[NDArray[np.float64]] = []
    count = 0
    for tensor, use in all_uses(architecture):
        name = next((own for own in tensor.names if own in tensors), None)
        if name is None or not is_variance(use):
            continue
        if tuple(tensors[name].shape) != tensor.shape:
            raise ValueError(f"tensor {name!r}: a shape of {tuple(tensors[name].shape)}, not {tensor.shape}")
        change = np.zeros(use.shape)
        for coefficient, variables in use.scales:
            change = change + coefficient * element.logs[variables]
        share = _share(_view(tensors[name], use), use.stored[0].value, change)
        # One row an entry, with the free values behind its variables.
        for _, variables in use.scales:
            entry = np.broadcast_to(np.arange(count, count + change.size).reshape(use.shape), use.shape).ravel()
            row, column = _behind(architecture, np.broadcast_to(variables, use.shape).ravel(), entry)
            rows.append(row)
            columns.append(column)
        shares.append(share.ravel())
        count += change.size
    if not shares or bool((np.concatenate(shares) >= 1).all()):
        return element
    used = used_variables(architecture)
    free = free_logs(architecture.logs, element.logs, used)
    row, column, share = np.concatenate(rows), np.concatenate(columns), np.concatenate(shares)
    own = linked(row, column, architecture.logs.free)
    np.minimum.at(lowest, own[column], share[row])
    new = np.where(used, element.logs + architecture.logs.values(free * lowest[own] - free), 0.0)
    return replace(element, logs=new)


def without_extremes(element: Element, architecture: LabelledArchitecture) -> Element:
    """The same element with 1 in place of free scales beyond 2^±20: what alignment fits to a neuron that is dead in one
    of two networks.

    Raises:
        ValueError: the element's scales are none of the architecture.
    """
    require_of(architecture, element)
    used = used_variables(architecture)
    free = free_logs(architecture.logs, element.logs, used)
    kept = np.where(np.abs(free) > _EXTREME, 0.0, free)
    new = np.where(used, element.logs + architecture.logs.values(kept - free), 0.0)
    return replace(element, logs=new)


def is_variance(use: Use) -> bool:
    """Whether a use reads a BatchNorm's running variance: v + ε with a small ε, unlike a gain that is stored as g − 1.

    Its scale is a square, which its coefficients need not show: its variable may be one whose value is twice another's.
    """
    return (
        len(use.stored) == 1
        and use.stored[0].kind == "add"
        and 0 < use.stored[0].value < _LARGEST_EPSILON
        and bool(use.scales)
    )


def _view(tensor: Tensor, use: Use) -> NDArray[np.float64]:
    flat = tensor.detach().to(torch.float64).contiguous().flatten()
    values: NDArray[np.float64] = flat.as_strided(use.shape, use.stride, use.offset).numpy()
    return values


def _share(variance: NDArray[np.float64], epsilon: float, change: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of a change, log₂ c², is allowed, from 0 to 1."""
    kept = np.maximum(variance, 0.0)
    lowest = np.log2((LEAST * kept + epsilon) / (kept + epsilon))  # 0 or below
    below = change < lowest
    return np.where(below, lowest / np.where(below, change, 1.0), 1.0)


def _behind(
    architecture: LabelledArchitecture, variables: NDArray[np.int32], entries: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entry and free value for each free value behind each entry's variable."""
    solutions = architecture.logs
    order = np.argsort(solutions.rows, kind="stable")
    sorted_rows = solutions.rows[order]
    first = np.searchsorted(sorted_rows, variables, side="left")
    count = np.searchsorted(sorted_rows, variables, side="right") - first
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    found = order[np.repeat(first, count) + within]
    return np.repeat(entries, count), solutions.columns[found].astype(np.int64)
