"""An element of the monomial group: per neuron group a permutation, a diagonal, and under sines half-turns of phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class GroupElement:
    """g = (π, d, k) per neuron group; neuron i of g·U is neuron π[i] of U, multiplied by d[i].

    Behind a sine, k[i] half-turns are added to the neuron's phase as well, b ↦ d b + k π/ω₀, which multiplies its
    output by (−1)ᵏ: an affine symmetry, for |d| = 1.

    Attributes:
        permutations: per group, int64 [*batch, n].
        diagonals: per group, float64 [*batch, n]; never zero.
        half_turns: per group, k, int64 [*batch, n]; all zero by default.

    Leading batch axes hold one element for each network of a population.
    """

    permutations: tuple[Tensor, ...]
    diagonals: tuple[Tensor, ...]
    half_turns: tuple[Tensor, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.half_turns:
            object.__setattr__(self, "half_turns", tuple(torch.zeros_like(order) for order in self.permutations))

    @classmethod
    def identity(cls, sizes: Sequence[int]) -> GroupElement:
        """The element that does nothing to groups of these sizes."""
        return cls(
            tuple(torch.arange(size) for size in sizes),
            tuple(torch.ones(size, dtype=torch.float64) for size in sizes),
        )

    @cached_property
    def factors(self) -> tuple[Tensor, ...]:
        """What each neuron's output is multiplied by, d (−1)ᵏ, and what reads it divided by."""
        return tuple(self.factor(group) for group in range(len(self.diagonals)))

    def factor(self, group: int) -> Tensor:
        """The `factors` of one group, [*batch, n]."""
        diagonal, half_turns = self.diagonals[group], self.half_turns[group]
        return diagonal * (1 - 2 * (half_turns % 2)) if bool(half_turns.any()) else diagonal

    def replace(self, group: int, permutation: Tensor, diagonal: Tensor, half_turns: Tensor) -> GroupElement:
        """The same element but for its part on one group."""

        def put(parts: tuple[Tensor, ...], part: Tensor) -> tuple[Tensor, ...]:
            return (*parts[:group], part, *parts[group + 1 :])

        return GroupElement(
            put(self.permutations, permutation), put(self.diagonals, diagonal), put(self.half_turns, half_turns)
        )

    def compose(self, other: GroupElement) -> GroupElement:
        """g∘h, so that (g∘h)·U = g·(h·U) where g is this element and h is `other`."""
        orders = self.permutations
        theirs = [
            tuple(part.gather(-1, order) for part, order in zip(parts, orders, strict=True))
            for parts in (other.permutations, other.diagonals, other.half_turns)
        ]
        diagonals = zip(self.diagonals, theirs[1], strict=True)
        half_turns = zip(self.half_turns, self.diagonals, theirs[2], strict=True)
        return GroupElement(
            theirs[0],
            tuple(mine * d for mine, d in diagonals),
            tuple(mine + d.sign().long() * k for mine, d, k in half_turns),
        )

    def inverse(self) -> GroupElement:
        """g⁻¹, so that g⁻¹·(g·U) = U."""
        orders = tuple(permutation.argsort(-1) for permutation in self.permutations)
        parts = zip(self.diagonals, self.half_turns, orders, strict=True)
        back = [(d.gather(-1, order), k.gather(-1, order)) for d, k, order in parts]
        return GroupElement(orders, tuple(1 / d for d, _ in back), tuple(-d.sign().long() * k for d, k in back))
