"""Lists of one tensor, or one number, for each tensor of a chain: first weight, first bias, second weight, ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Entry = TypeVar("Entry")


def weights_and_biases(entries: Sequence[Entry]) -> tuple[Sequence[Entry], Sequence[Entry]]:
    """The entries of the weights, and those of the biases.

    >>> weights_and_biases(["W1", "b1", "W2", "b2"])
    (['W1', 'W2'], ['b1', 'b2'])
    """
    return entries[::2], entries[1::2]
