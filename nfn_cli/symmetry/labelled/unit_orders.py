"""Permutations of units, block by block, as permutations of labels; and back, where that is possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import LabelledArchitecture

Orders = NDArray[np.int64]


def nested_orders(architecture: LabelledArchitecture, places: Sequence[Orders | None]) -> tuple[Orders, ...]:
    """Where every unit of every block goes.

    Args:
        places: one a block: int64 [units of the parent, n], from each unit of the parent as it is before, the place to
            which each of its n units goes; None where they keep their places and only go with their parent.

    Returns:
        One a block: int64 [units], unit u goes to unit [u].

    Raises:
        ValueError: the blocks' numbers of units do not fit one another.
    """
    orders: list[Orders] = []
    for block, own in zip(architecture.blocks, places, strict=True):
        around = np.zeros(1, dtype=np.int64) if block.parent is None else orders[block.parent]
        if block.units != len(around) * block.n:
            raise ValueError(f"{block.name}: {block.units} units are not {len(around)} times {block.n}")
        within = np.arange(block.n)[None] if own is None else own
        orders.append((around[:, None] * block.n + within).ravel())
    return tuple(orders)


def goes_of(architecture: LabelledArchitecture, orders: Sequence[Orders]) -> NDArray[np.int32]:
    """Where every label goes when units go as `nested_orders` says, int32 [labels].

    Raises:
        ValueError: no label stands where a determined one should go, or two go to one.
    """
    goes = np.arange(architecture.label_count, dtype=np.int32)
    for block, order in zip(architecture.blocks, orders, strict=True):
        goes[block.labels] = block.labels[order]
    _follow(architecture.determined, goes)
    if len(goes) and np.bincount(goes, minlength=len(goes)).max() > 1:
        raise ValueError("a permutation takes two labels to one")
    return goes


def orders_of(architecture: LabelledArchitecture, goes: NDArray[np.int32]) -> tuple[Orders, ...]:
    """Where every unit goes under a permutation of the labels.

    Raises:
        ValueError: the permutation is not of the group.
    """
    count = architecture.label_count
    if goes.shape != (count,) or (count and (goes.min() < 0 or goes.max() >= count)):
        raise ValueError(f"no permutation of {count} labels")
    unit_of, block_of = np.full(count, -1, dtype=np.int64), np.full(count, -1, dtype=np.int64)
    for place, block in enumerate(architecture.blocks):
        unit_of[block.labels], block_of[block.labels] = np.arange(block.units)[:, None], place
    orders: list[Orders | None] = []
    for place, block in enumerate(architecture.blocks):
        if not block.labels.shape[1]:
            orders.append(None)
            continue
        ends = goes[block.labels[:, 0]]
        order = unit_of[ends]
        if not bool((block_of[ends] == place).all()) or not _is_permutation(order):
            raise ValueError(f"{block.name}: its neurons are not permuted among themselves")
        orders.append(order)
    # A unit without labels of its own goes where the units in it go.
    for place in reversed(range(len(orders))):
        own, parent = orders[place], architecture.blocks[place].parent
        if own is not None and parent is not None and orders[parent] is None:
            orders[parent] = own[:: architecture.blocks[place].n] // architecture.blocks[place].n
    found = [
        np.arange(block.units) if order is None else order
        for block, order in zip(architecture.blocks, orders, strict=True)
    ]
    for block, order in zip(architecture.blocks, found, strict=True):
        around = 0 if block.parent is None else found[block.parent][np.arange(block.units) // block.n]
        if not _is_permutation(order) or not bool((order // block.n == around).all()):
            raise ValueError(f"{block.name}: its neurons leave the unit that they are in")
    if not np.array_equal(goes_of(architecture, found), goes):
        raise ValueError("labels that belong together are taken apart")
    return tuple(found)


def _is_permutation(order: Orders) -> bool:
    return bool((np.bincount(order, minlength=len(order)) == 1).all()) and len(np.bincount(order)) <= len(order)


def _follow(determined: NDArray[np.int32], goes: NDArray[np.int32]) -> None:
    """Move determined labels along with the labels that determine them, which may be determined themselves."""
    if not len(determined):
        return
    label, one, other = determined.astype(np.int64).T
    count = len(goes)

    def key(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        return (a + 1) * (count + 1) + b + 1

    own = key(one, other)
    order = np.argsort(own, kind="stable")
    sorted_own = own[order]
    if bool((sorted_own[1:] == sorted_own[:-1]).any()):
        raise ValueError("two labels are determined by one pair")
    known = np.ones(count + 1, dtype=np.bool_)  # the last stands for NONE
    known[label] = False
    waiting = np.arange(len(label))
    while len(waiting):
        ready = known[one[waiting]] & known[other[waiting]]
        rows = waiting[ready]
        if not len(rows):
            raise ValueError("labels determine one another in a circle")
        with_none = np.append(goes, np.int32(-1))
        wanted = key(with_none[one[rows]].astype(np.int64), with_none[other[rows]].astype(np.int64))
        found = np.minimum(np.searchsorted(sorted_own, wanted), len(order) - 1)
        if not np.array_equal(sorted_own[found], wanted):
            raise ValueError("no label stands where a determined one should go")
        goes[label[rows]] = label[order[found]]
        known[label[rows]] = True
        waiting = waiting[~ready]
