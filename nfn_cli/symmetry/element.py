"""An element of the monomial group: per neuron group a permutation and a diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GroupElement:
    """g = (π, d) per neuron group; neuron i of g·U is neuron π[i] of U, multiplied by d[i].

    Attributes:
        permutations: per group, int64 [*batch, n].
        diagonals: per group, float64 [*batch, n]; never zero.

    Leading batch axes hold one element for each network of a population.
    """

    permutations: tuple[Tensor, ...]
    diagonals: tuple[Tensor, ...]

    @classmethod
    def identity(cls, sizes: Sequence[int]) -> GroupElement:
        """The element that does nothing to groups of these sizes."""
        return cls(
            tuple(torch.arange(size) for size in sizes),
            tuple(torch.ones(size, dtype=torch.float64) for size in sizes),
        )

    def compose(self, other: GroupElement) -> GroupElement:
        """g∘h, so that (g∘h)·U = g·(h·U) where g is this element and h is `other`."""
        permutations = zip(other.permutations, self.permutations, strict=True)
        diagonals = zip(self.diagonals, other.diagonals, self.permutations, strict=True)
        return GroupElement(
            tuple(theirs.gather(-1, mine) for theirs, mine in permutations),
            tuple(mine * theirs.gather(-1, order) for mine, theirs, order in diagonals),
        )

    def inverse(self) -> GroupElement:
        """g⁻¹, so that g⁻¹·(g·U) = U."""
        permutations = tuple(permutation.argsort(-1) for permutation in self.permutations)
        pairs = zip(self.diagonals, permutations, strict=True)
        return GroupElement(permutations, tuple(1 / diagonal.gather(-1, inverse) for diagonal, inverse in pairs))
