"""Where the entries of a view come from under a permutation of labels: computed axis by axis, never per parameter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import NONE, LabelledArchitecture, LabelledTensor, Role, Use

Places = NDArray[np.int64]
_T = TypeVar("_T", bound=np.generic)


def sources(use: Use, goes: NDArray[np.int32]) -> tuple[Places | None, ...]:
    """For each axis of a use, from which place every entry is taken.

    Args:
        goes: int32 [labels], label a goes to goes[a].

    Returns:
        One an axis: int64, of the view's rank, in a shape that broadcasts against it; None where the axis stays.

    Raises:
        ValueError: the entries of a role are not permuted among themselves, or two roles speak of one axis.
    """
    found: list[Places | None] = [None] * len(use.shape)
    spoken: set[int] = set()
    for role in use.roles:
        axes = role_axes(use, role)
        if spoken & set(axes):
            raise ValueError("two roles speak of one axis")
        spoken |= set(axes)
        taken = _taken(role, goes)
        if taken is None:
            continue
        # Flat: of large arrays with several axes numpy 2.4 unravels some entries wrongly.
        for axis, places in enumerate(np.unravel_index(taken.ravel(), role.labels.shape)):
            if axis in axes:
                found[axis] = places.astype(np.int64, copy=False).reshape(taken.shape)
    return tuple(found)


def role_axes(use: Use, role: Role) -> tuple[int, ...]:
    """The axes that a role describes.

    Raises:
        ValueError: its arrays do not broadcast against the view.
    """
    shape = role.labels.shape
    if not fits(shape, use.shape) or (role.slots is not None and role.slots.shape != shape):
        raise ValueError(f"a role of shape {shape} does not fit a view of shape {use.shape}")
    return tuple(axis for axis, size in enumerate(shape) if size > 1)


def fits(shape: tuple[int, ...], view: tuple[int, ...]) -> bool:
    """Whether an array of the view's rank broadcasts against it."""
    return len(shape) == len(view) and all(own in (1, size) for own, size in zip(shape, view, strict=True))


def carried(values: NDArray[_T], places: Sequence[Places | None]) -> NDArray[_T]:
    """An array along axes of a view, after its entries were taken from `sources`."""
    axes = [axis for axis, size in enumerate(values.shape) if size > 1]
    if all(places[axis] is None for axis in axes):
        return values
    index: list[Places] = []
    for axis, size in enumerate(values.shape):
        own = places[axis] if axis in axes else np.zeros(1, dtype=np.int64)
        own = np.arange(size) if own is None else own
        index.append(own if own.ndim == values.ndim else own.reshape(-1, *[1] * (values.ndim - axis - 1)))
    return values[tuple(index)]


def used_variables(architecture: LabelledArchitecture) -> NDArray[np.bool_]:
    """Which scale variables stand in some tensor, bool [scales]."""
    used = np.zeros(architecture.scale_count, dtype=np.bool_)
    for _, use in all_uses(architecture):
        for _, variables in use.scales:
            used[variables] = True
    return used


def moved_variables(architecture: LabelledArchitecture, goes: NDArray[np.int32]) -> Places:
    """What a permutation of the labels does to scale variables: variable v goes to the returned [v].

    The variables that stand at an entry go to those where the entry goes, term by term. One that stands in no tensor
    goes to itself.

    Raises:
        ValueError: it is no permutation of the variables.
    """
    found = np.full(architecture.scale_count, NONE, dtype=np.int64)
    for tensor, use in all_uses(architecture):
        try:
            places = sources(use, goes)
        except ValueError as error:
            raise ValueError(f"tensor {tensor.name!r}: {error}") from error
        for _, variables in use.scales:
            before = carried(variables, places)
            after = np.broadcast_to(variables, before.shape)
            new = found[before] == NONE
            found[before[new]] = after[new]
            if not np.array_equal(found[before], after):
                raise ValueError(f"tensor {tensor.name!r}: a permutation does not keep its scales together")
    unused = np.flatnonzero(found == NONE)
    found[unused] = unused
    if len(found) and np.bincount(found, minlength=len(found)).max() > 1:
        raise ValueError("a permutation takes two scales to one")
    return found


def all_uses(architecture: LabelledArchitecture) -> Iterator[tuple[LabelledTensor, Use]]:
    """Every use, with its tensor."""
    for tensor in architecture.tensors:
        for use in tensor.uses:
            yield tensor, use


def _taken(role: Role, goes: NDArray[np.int32]) -> Places | None:
    """Flat place in a role's array from which each of its entries is taken, in its shape; None where all stay."""
    labels = role.labels.ravel()
    owned = np.flatnonzero(labels >= 0)
    own = labels[owned].astype(np.int64)
    new = goes[own].astype(np.int64)
    if np.array_equal(own, new):
        return None
    if role.slots is not None:
        slots = role.slots.ravel()[owned].astype(np.int64)
        span = int(slots.max()) + 1
        own, new = own * span + slots, new * span + slots
    ends, starts = np.argsort(own, kind="stable"), np.argsort(new, kind="stable")
    sorted_own = own[ends]
    if not np.array_equal(sorted_own, new[starts]):
        raise ValueError("labels are taken out of the entries that they stand at")
    if bool((sorted_own[1:] == sorted_own[:-1]).any()):
        raise ValueError("two entries have one label and one slot")
    taken = np.arange(len(labels), dtype=np.int64)
    taken[owned[ends]] = owned[starts]
    return taken.reshape(role.labels.shape)
