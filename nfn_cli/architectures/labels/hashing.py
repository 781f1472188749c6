"""Numbers of 64 bits that stand for structures: sums of mixed numbers, equal where the structures are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Hash = NDArray[np.uint64]
Ints = NDArray[np.int64]

_STEP = np.uint64(0x9E3779B97F4A7C15)


def mixed(*parts: ArrayLike) -> Hash:
    """One number for each tuple of integers, entry by entry of the arrays, which broadcast; order matters."""
    state: Hash = np.zeros((1,), np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            array = np.asarray(part)
            x = (state + _STEP) ^ _scrambled(array.astype(np.uint64, copy=False) + _STEP)
            state = _scrambled(x)
    return state


def _scrambled(x: Hash) -> Hash:
    """The finish of splitmix64: a bijection whose every output bit depends on every input bit."""
    y = x >> np.uint64(30)
    y ^= x
    y *= np.uint64(0xBF58476D1CE4E5B9)  # in place: new memory takes longer than the work
    y ^= y >> np.uint64(27)
    y *= np.uint64(0x94D049BB133111EB)
    y ^= y >> np.uint64(31)
    return y


def summed(keys: Ints, values: Hash, count: int) -> Hash:
    """The sums of the values of each key 0 … count − 1, modulo 2⁶⁴."""
    total = np.zeros(count, np.uint64)
    if keys.size:
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        total[ordered[starts]] = np.add.reduceat(values[order], starts)
    return total


def several(values: NDArray[Any]) -> int:
    """How many different values there are; by sorting, which is faster than `numpy.unique` with its table."""
    ordered = np.sort(values)
    return int((ordered[1:] != ordered[:-1]).sum()) + min(len(values), 1)


def firsts(values: NDArray[Any]) -> Ints:
    """The index at which each value first occurs, in ascending order."""
    order = np.argsort(values)  # several times faster than a stable one, or `numpy.unique`
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
    return np.sort(np.minimum.reduceat(order, starts)) if len(starts) else starts


def once(values: Ints) -> Ints:
    """Each value once, in order."""
    ordered = np.sort(values)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]]
