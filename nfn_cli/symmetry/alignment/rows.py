"""How well the neurons of one network fit those of another, after the best scale, sign and phase that the group allows.

>>> import torch
>>> ours = Rows(torch.tensor([[1.0, 2.0]]).double(), torch.tensor([0.0]).double())
>>> theirs = Rows(torch.tensor([[-3.0, -6.0]]).double(), torch.tensor([0.0]).double())
>>> fit(ours, theirs, Freedom(DiagonalKind.NONZERO))[0].tolist()
[-3.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, Side
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.neurons import has_index, neuron_rows


@dataclass(frozen=True)
class Freedom:
    """What the group may do to a single neuron.

    Attributes:
        kind: its diagonal.
        step: a phase may be shifted by multiples of so many half-turns: 1, or 2 where a sign may not change; 0 where
            there is no phase.
        half_turn: what half a turn adds to a bias, π/ω₀.
        in_place: whether it has to keep its place.
    """

    kind: DiagonalKind
    step: int = 0
    half_turn: float = 1.0
    in_place: bool = False

    @property
    def scaled(self) -> bool:
        """Whether any positive factor is allowed."""
        return self.kind.is_scaled

    @property
    def signed(self) -> bool:
        """Whether −1 is allowed."""
        return self.kind.is_signed

    def wrapped(self, shifts: Tensor) -> Tensor:
        """Differences of biases, less the shift of phase that brings them nearest to 0."""
        return shifts - self.turned(shifts) * self.half_turn

    def turned(self, shifts: Tensor) -> Tensor:
        """The allowed numbers of half-turns nearest to differences of biases, float64; 0 where there is no phase."""
        if not self.step:
            return torch.zeros_like(shifts)
        return self.step * (shifts / (self.step * self.half_turn)).round()


_FIXED = Freedom(DiagonalKind.TRIVIAL)


@dataclass(frozen=True)
class Rows:
    """What feeds some neurons.

    Attributes:
        weights: float64 [n, entries].
        biases: float64 [n]; zeros where there are none.
        index: float64 [n, entries], permuted with the neurons but not scaled; None where there is nothing of the kind.
    """

    weights: Tensor
    biases: Tensor
    index: Tensor | None = None

    def __getitem__(self, neurons: Tensor) -> Rows:
        return Rows(self.weights[neurons], self.biases[neurons], None if self.index is None else self.index[neurons])

    @property
    def joined(self) -> Tensor:
        """Weights and biases side by side, [n, entries + 1]."""
        return torch.cat([self.weights, self.biases[:, None]], dim=1)


def read_rows(
    point: NetworkWeights,
    group: int,
    side: Side,
    element: GroupElement,
    quiet: Sequence[Tensor] = (),
    neurons: Tensor | None = None,
) -> Rows:
    """What a group's neurons read (OUT) or what reads them (IN, without biases), as in `neuron_rows`.

    Args:
        quiet: per group, neurons whose outputs count as zero.
    """
    parts = list(neuron_rows(point, group, side, element, quiet, neurons))
    weights = torch.cat([part for _, part, _ in parts])
    biases = [bias if bias is not None else part.new_zeros(len(part)) for _, part, bias in parts]
    index = None
    if side is Side.OUT and has_index(point, group):
        index = torch.cat([part for _, part, _ in neuron_rows(point, group, Side.INDEX, element, quiet, neurons)])
    return Rows(weights, torch.cat(biases), index)


def costs(ours: Rows, theirs: Rows, freedom: Freedom) -> tuple[Tensor, Tensor]:
    """Squared distances between their neurons and ours, each after the best factor and phase.

    Where any scale is allowed, rows of norm 1 are compared, so that a neuron's scale does not count.

    Returns:
        float64 [theirs, ours] up to a common factor, and the squared size that each is to be compared with.
    """
    if ours.index is not None and theirs.index is not None:
        bare, other = (Rows(rows.weights, rows.biases) for rows in (ours, theirs))
        scaled, fixed = costs(bare, other, freedom), costs(_only_index(ours), _only_index(theirs), _FIXED)
        levels = [sizes.mean().clamp_min(1e-300) for _, sizes in (scaled, fixed)]
        parts = [(cost / level, sizes / level) for (cost, sizes), level in zip((scaled, fixed), levels, strict=True)]
        return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]
    if freedom.step:
        # A phase changes the bias only, so the sign is found from the weights and from what is left of the bias.
        a, b = ours.weights, theirs.weights
    else:
        a, b = ours.joined, theirs.joined
    if freedom.scaled:
        a, b = _unit(a), _unit(b)
    elif not freedom.step:  # squares of very small or large numbers leave float64
        level = max((rows.abs().amax().item() for rows in (a, b) if rows.numel()), default=0.0) or 1.0
        a, b = a / level, b / level
    sizes = b.square().sum(1)[:, None] + a.square().sum(1)
    inner = b @ a.T
    if not freedom.step:
        return (sizes - 2 * (inner.abs() if freedom.signed else inner)).clamp_min(0), sizes
    distance = torch.full_like(inner, torch.inf)
    for sign in (1, -1) if freedom.signed else (1,):
        left = freedom.wrapped(theirs.biases[:, None] - sign * ours.biases)
        distance = torch.minimum(distance, (sizes - 2 * sign * inner).clamp_min(0) + left.square())
    return distance, sizes + freedom.half_turn**2


def fit(ours: Rows, theirs: Rows, freedom: Freedom) -> tuple[Tensor, Tensor]:
    """The diagonal, float64 [n], and half-turns, int64 [n], that bring each row of `ours` next to that of `theirs`.

    A scale is the ratio of norms. For rows that fit, least squares would give the same; for rows that hardly fit it
    would give tiny scales, and huge weights in what reads them. A row of zeros gets 1.
    """
    ones = torch.ones(len(ours.biases), dtype=torch.float64)
    if freedom.step:
        if freedom.signed:
            misses = [
                (theirs.weights - sign * ours.weights).square().sum(1)
                + freedom.wrapped(theirs.biases - sign * ours.biases).square()
                for sign in (1, -1)
            ]
            ones = torch.where(misses[1] < misses[0], -ones, ones)
        return ones, freedom.turned(theirs.biases - ones * ours.biases).long()
    half_turns = torch.zeros(len(ones), dtype=torch.int64)
    if freedom.kind is DiagonalKind.TRIVIAL:
        return ones, half_turns
    # Divided by the largest entries first: squares of very small or large numbers leave the range of float64.
    (a, a_size), (b, b_size) = _leveled(ours.joined), _leveled(theirs.joined)
    inner, square = (a * b).sum(1), a.square().sum(1)
    if freedom.kind is DiagonalKind.SIGN:
        return torch.where(inner < 0, -ones, ones), half_turns
    alive = (a_size > 0) & (b_size > 0)
    factor = (b.square().sum(1) / torch.where(alive, square, 1.0)).sqrt() * (b_size / torch.where(alive, a_size, 1.0))
    if freedom.signed:
        factor = torch.where(inner < 0, -factor, factor)
    return torch.where(alive & factor.isfinite() & (factor != 0), factor, 1.0), half_turns


def silent(rows: Rows, freedom: Freedom, tolerance: float) -> Tensor:
    """Which neurons always put out zero, bool [n]: nothing feeds them, and zero stays zero under their activation.

    With a phase, a bias of whole half-turns counts as zero, up to `tolerance` relative to its size, or to half a turn
    where that is larger: the other network's bias may be shifted.
    """
    if freedom.kind is DiagonalKind.TRIVIAL:
        return torch.zeros(len(rows.biases), dtype=torch.bool)
    left = rows.biases
    if freedom.step:
        left = freedom.wrapped(left)
        left = torch.where(left.abs() <= tolerance * rows.biases.abs().clamp_min(freedom.half_turn), 0.0, left)
    return (rows.weights == 0).all(1) & (left == 0)


def _only_index(rows: Rows) -> Rows:
    assert rows.index is not None
    return Rows(rows.index, torch.zeros_like(rows.biases))


def _unit(rows: Tensor) -> Tensor:
    """Rows of norm 1; those of zeros stay."""
    rows, _ = _leveled(rows)
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(0.5)


def _leveled(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose largest entry is ±1, and what they were divided by; rows of zeros stay, with 0."""
    sizes = rows.abs().amax(1)
    return rows / torch.where(sizes > 0, sizes, 1.0)[:, None], sizes
