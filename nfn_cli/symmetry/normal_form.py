"""The normal form of a network: one point that stands for its whole orbit.

The groups are treated in forward order. Each gets its normal scale, signs, phases and order before the next one is
treated, so that the group before is always final.

- Scale: `unit` gives every neuron's incoming weights and bias the norm 1; `balanced` is the scale of the
  least sum of squares on the orbit (see `balance`).
- Sign (d = ±1): the incoming weight of largest magnitude is positive; without one, the bias.
- Phase (sine): ω₀ b lies in (−π/2, π/2], in (−π, π] where a sign may not change.
- Order: neurons ascend by their incoming weights and bias, entry by entry; equal ones by what reads them.

A neuron without incoming weights and bias gives zero whatever its scale, so the weights that read it count as zero
here. Its own scale, sign and order are found last, from these weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights, Side
from nfn_cli.symmetry.balance import balance
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind, group_kind, phase_step
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.lexicographic_order import lexicographic_order
from nfn_cli.symmetry.neurons import CHUNK, has_index, neuron_rows, unread_neurons
from nfn_cli.threads import by_weights

Scale = Literal["unit", "balanced", "none"]

_LEADING = 4  # entries of a row that are compared before whole rows are read
# A scale this near to 1 becomes 1: a network that is normal already must keep every bit.
_SNAP = 1e-12
_MOST_TURNS = 2.0**31  # larger phases are left alone: rounding leaves nothing of them
_SQUARABLE = 1e-140, 1e150  # norms in this range come from squares that float64 can hold
_TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 0.02, torch.float16: 2e-3}


@dataclass(frozen=True)
class NormalFormSettings:
    """Which parts of the group to use up."""

    scale: Scale = "unit"
    sign: bool = True
    permute: bool = True


@dataclass(frozen=True)
class NormalForm:
    """The element that brings a network to its normal form, and what is special about its neurons.

    Attributes:
        element: g, so that g·U is normal.
        dead: per group, the positions in the normal form of neurons that have no incoming or no outgoing weights.
        duplicates: per group, sets of positions in the normal form whose neurons have equal incoming weights; outgoing
            weights decide their order, where these differ.
        residual: for the balanced scale, the largest |incoming norm / outgoing norm − 1|; 0 for other scales.
    """

    element: GroupElement
    dead: tuple[Tensor, ...]
    duplicates: tuple[tuple[Tensor, ...], ...]
    residual: float = 0.0


@by_weights
def normal_form(
    point: NetworkWeights, settings: NormalFormSettings | None = None, *, precision: torch.dtype | None = None
) -> NormalForm:
    """Find the normal form of one network.

    Args:
        point: without batch axes; computation is float64 whatever its dtype.
        precision: the dtype that the weights were stored in, which decides what counts as equal.
    """
    settings = settings or NormalFormSettings()
    architecture = point.architecture
    allowed = [_Allowed.of(architecture, group, settings) for group in range(len(architecture.groups))]
    scales: Sequence[Tensor | None] = [None] * len(allowed)
    residual = 0.0
    if settings.scale == "balanced" and any(own.scaled for own in allowed):
        scales, residual = balance(point)
    state = _State(
        point,
        tolerance=_TOLERANCE.get(precision or point.tensors[architecture.first_tensor.name].dtype, 2e-6),
        element=GroupElement.identity([group.size for group in architecture.groups]),
    )
    duplicates = [_settle(state, group, own, scales[group]) for group, own in enumerate(allowed)]
    # Backwards: a silent neuron may be read by another one, whose scale must be known.
    for group in reversed(range(len(allowed))):
        _settle_silent(state, group, allowed[group])
    return NormalForm(state.element, _dead(state), tuple(map(tuple, duplicates)), residual)


@dataclass(frozen=True)
class _Allowed:
    """What may be done to the neurons of one group, by its kind and the settings.

    Attributes:
        scaled, signed, permuted: whether a positive factor, a sign and another place are allowed.
        step: the half-turns by which a phase may be shifted at once; 0 where it may not be.
        fixed: whether the group allows no factor at all, whatever the settings.
        omega_0: of the group's sine.
        has_phase: whether there is a sine, and a bias that holds its phase.
    """

    scaled: bool
    signed: bool
    permuted: bool
    step: int
    fixed: bool
    omega_0: float
    has_phase: bool

    @classmethod
    def of(cls, architecture: Architecture, group: int, settings: NormalFormSettings) -> _Allowed:
        """What is allowed for a group of an architecture."""
        kind, neurons = group_kind(architecture, group), architecture.groups[group]
        step = phase_step(architecture, group)
        return cls(
            scaled=settings.scale != "none" and kind.is_scaled,
            signed=settings.sign and kind.is_signed,
            permuted=settings.permute and not neurons.in_place,
            step=step if settings.sign else 0,
            fixed=kind is DiagonalKind.TRIVIAL,
            omega_0=neurons.omega_0,
            has_phase=step > 0,
        )

    def shifted(self, diagonal: Tensor, biases: Tensor, half_turns: Tensor) -> Tensor:
        """The biases under a diagonal and half-turns."""
        return diagonal * biases + half_turns.double() * (math.pi / self.omega_0)


@dataclass
class _State:
    """One network, and what is settled of it.

    Attributes:
        tolerance: numbers nearer to each other than this, relatively, are equal.
        element: brings the groups that are settled to their normal form.
        silent: of each group that is settled, which neurons always put out zero, bool [n]; None where there are none.
    """

    point: NetworkWeights
    tolerance: float
    element: GroupElement
    silent: list[Tensor | None] = field(default_factory=list)


@dataclass(frozen=True)
class _Fed:
    """What feeds the neurons of a group.

    Attributes:
        norms: of each neuron's incoming weights, [n].
        biases: [n]; zeros where there are none.
        signs: of each neuron, [n]; ones where signs do not matter.
        rows: of a small group the weights [n, entries] and the biases themselves, so that they are read only once;
            None of a large one.
    """

    norms: Tensor
    biases: Tensor
    signs: Tensor
    rows: tuple[Tensor, Tensor | None] | None


def _settle(state: _State, group: int, allowed: _Allowed, scales: Tensor | None) -> list[Tensor]:
    """Bring one group to its normal form; those before it are.

    Args:
        scales: the group's balanced ones, [n]; None to give what feeds each neuron the norm 1.

    Returns:
        The group's duplicates, as in `NormalForm`.
    """
    fed = _measure(state, group, allowed)
    diagonal, half_turns = _factors(fed, allowed, scales)
    order = state.element.permutations[group]
    state.element = state.element.replace(group, order, diagonal, half_turns)
    state.silent.append(_silent(fed, allowed, diagonal, half_turns))
    if not allowed.permuted:
        return []
    order, duplicates = _sort(state, group, allowed, fed)
    state.element = state.element.replace(group, order, diagonal[order], half_turns[order])
    return duplicates


def _measure(state: _State, group: int, allowed: _Allowed) -> _Fed:
    """Measure what feeds a group, a chunk at a time."""
    norms, biases, signs, rows = [], [], [], None
    is_small = _is_small(state.point.architecture, group)
    # Of entries of one size the first decides the sign, so only there their order matters.
    ordered = allowed.signed or is_small
    chunks = neuron_rows(state.point, group, Side.OUT, state.element, state.silent, ordered=ordered, lasting=is_small)
    for neurons, weights, bias in chunks:
        norms.append(_norms(weights))
        biases.append(torch.zeros(len(neurons), dtype=torch.float64) if bias is None else bias.clone())
        signs.append(_sign_of_largest(weights, bias) if allowed.signed else torch.ones_like(norms[-1]))
        rows = (weights, bias) if is_small else None
    return _Fed(_joined(norms), _joined(biases), _joined(signs), rows)


def _is_small(architecture: Architecture, group: int) -> bool:
    """Whether what feeds a group comes in one chunk."""
    fed = [
        spec
        for spec in architecture.tensors
        if any(role.group == group and role.side is Side.OUT for role in spec.roles)
    ]
    return sum(math.prod(spec.shape) for spec in fed) <= CHUNK


def _factors(fed: _Fed, allowed: _Allowed, scales: Tensor | None) -> tuple[Tensor, Tensor]:
    """The diagonal, float64 [n], and the half-turns, int64 [n], that make what feeds a group normal."""
    diagonal = torch.ones_like(fed.norms)
    if allowed.scaled:
        diagonal = scales if scales is not None else _snapped(1 / _scalable(torch.hypot(fed.norms, fed.biases)))
    if allowed.signed:
        diagonal = diagonal * fed.signs
    half_turns = torch.zeros(len(diagonal), dtype=torch.int64)
    if allowed.step:
        half_turns = _phase(allowed, diagonal * fed.biases)
        if allowed.signed:
            # A neuron without weights has its sign from its bias, once that is in its interval.
            flipped = (fed.norms == 0) & (allowed.shifted(diagonal, fed.biases, half_turns) < 0)
            diagonal, half_turns = (torch.where(flipped, -part, part) for part in (diagonal, half_turns))
    return diagonal, half_turns


def _phase(allowed: _Allowed, biases: Tensor) -> Tensor:
    """The half-turns that bring ω₀ b into (−π/2, π/2]; whole turns into (−π, π] where no sign may change."""
    steps = torch.floor(0.5 - allowed.omega_0 * biases / (allowed.step * math.pi))
    return allowed.step * torch.where(steps.abs() <= _MOST_TURNS, steps, 0.0).long()


def _silent(fed: _Fed, allowed: _Allowed, diagonal: Tensor, half_turns: Tensor) -> Tensor | None:
    """Which neurons always put out zero, bool [n]; None where there are none."""
    silent = fed.norms == 0
    if allowed.fixed or not bool(silent.any()):
        return None
    # Of sin(ω₀ b) = 0, every half-turn is a solution; the normal phase leaves b = 0 but for rounding.
    zero = 1e-9 / allowed.omega_0 if allowed.has_phase else 0.0
    silent &= allowed.shifted(diagonal, fed.biases, half_turns).abs() <= zero
    return silent if bool(silent.any()) else None


def _sort(state: _State, group: int, allowed: _Allowed, fed: _Fed) -> tuple[Tensor, list[Tensor]]:
    """The order of a group with settled diagonal and half-turns, int64 [n], and the positions of its duplicates."""
    order, tied = lexicographic_order(_normal_rows(state, group, allowed, fed, entries=_LEADING), state.tolerance)
    duplicates = []
    for positions in tied:
        neurons = order[positions]
        rows = _normal_rows(state, group, allowed, fed, neurons)
        if has_index(state.point, group):
            # What is not scaled with a neuron, such as the weights before a LayerNorm, distinguishes it as well.
            parts = neuron_rows(state.point, group, Side.INDEX, state.element, state.silent, neurons)
            rows = torch.cat([rows, torch.cat([part for _, part, _ in parts])], dim=1)
        within, same = lexicographic_order(rows, state.tolerance)
        neurons = neurons[within]
        for equal in same:
            neurons[equal] = neurons[equal][_order_of_duplicates(state, group, neurons[equal])]
            duplicates.append(positions[equal])
        order[positions] = neurons
    return order, duplicates


def _normal_rows(
    state: _State,
    group: int,
    allowed: _Allowed,
    fed: _Fed,
    neurons: Tensor | None = None,
    entries: int | None = None,
) -> Tensor:
    """The normal weights and biases of some neurons, [neurons, entries]; of all neurons and entries by default."""
    diagonal, half_turns = state.element.diagonals[group], state.element.half_turns[group]
    found = []
    for some, weights, bias in _rows(state, group, fed, neurons, entries):
        columns = [weights[:, :entries] * diagonal[some, None]]
        missing = entries is None or weights.shape[1] < entries
        if missing and bias is not None:  # None, too, without one in the file: a phase has nowhere to go
            columns.append(allowed.shifted(diagonal[some], bias, half_turns[some])[:, None])
        found.append(torch.cat(columns, dim=1))
    return _joined(found)


def _rows(
    state: _State, group: int, fed: _Fed, neurons: Tensor | None, positions: int | None
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """What feeds some neurons, as `neuron_rows`; all entries where they are there already."""
    if fed.rows is None:
        yield from neuron_rows(state.point, group, Side.OUT, state.element, state.silent, neurons, positions=positions)
        return
    weights, bias = fed.rows
    if neurons is None:
        yield torch.arange(len(weights)), weights, bias
    else:
        yield neurons, weights[neurons], None if bias is None else bias[neurons]


def _order_of_duplicates(state: _State, group: int, neurons: Tensor) -> Tensor:
    """Neurons that read the same, by the sizes of what reads them.

    The next group is not settled, so only what it cannot change is compared: the sizes of a neuron's weights beside
    those of the others in the set, in descending order.
    """
    read = neuron_rows(state.point, group, Side.IN, state.element, neurons=neurons)
    columns = torch.cat([weights for _, weights, _ in read])
    columns = columns * (1 / state.element.diagonals[group][neurons])[:, None]
    sizes = columns.abs()
    sizes = sizes / sizes.amax(0).clamp_min(torch.finfo(torch.float64).tiny)
    return lexicographic_order(sizes.sort(dim=1, descending=True).values, state.tolerance)[0]


def _settle_silent(state: _State, group: int, allowed: _Allowed) -> None:
    """Give the neurons that nothing feeds the scale, sign and order that make the weights that read them normal."""
    silent = state.silent[group]
    if silent is None:
        return
    neurons = silent.nonzero()[:, 0]
    diagonals, half_turns, columns = [], [], []
    for some, weights, _ in neuron_rows(state.point, group, Side.IN, state.element, neurons=neurons):
        norms = _norms(weights)
        chosen = _snapped(_scalable(norms)) if allowed.scaled else torch.ones_like(norms)
        if allowed.signed:
            chosen = chosen * _sign_of_largest(weights, None)
        columns.append(weights / chosen[:, None])
        half = torch.zeros(len(some), dtype=torch.int64)
        if allowed.step:
            # sin(ω₀ b) = 0: as many half-turns back as b has, each of which flips the sign.
            fed = neuron_rows(state.point, group, Side.OUT, state.element, state.silent, some)
            biases = torch.cat([bias for _, _, bias in fed if bias is not None])
            half = torch.round(biases * allowed.omega_0 / math.pi).long()
            chosen = chosen * (1 - 2 * (half % 2))
        diagonals.append(chosen)
        half_turns.append(-chosen.sign().long() * half)
    order = torch.arange(len(neurons))
    positions = state.element.permutations[group].argsort()[neurons]
    if allowed.permuted:  # by what reads them, now that its scales are known
        order = lexicographic_order(_joined(columns), state.tolerance)[0]
        positions = positions.sort().values
    old = state.element.permutations[group], state.element.diagonals[group], state.element.half_turns[group]
    new = neurons, _joined(diagonals), _joined(half_turns)
    settled = (mine.index_copy(0, positions, own[order]) for mine, own in zip(old, new, strict=True))
    state.element = state.element.replace(group, *settled)


def _dead(state: _State) -> tuple[Tensor, ...]:
    """Per group, the positions in the normal form of neurons that nothing feeds or nothing reads."""
    dead = []
    for group, silent in enumerate(state.silent):
        unread = unread_neurons(state.point, group)
        found = unread if silent is None else silent | unread
        dead.append(found[state.element.permutations[group]].nonzero()[:, 0])
    return tuple(dead)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _sign_of_largest(weights: Tensor, bias: Tensor | None) -> Tensor:
    """The sign [n] of each row's entry of largest magnitude; of the bias where all are zero; 1 where that is, too.

    Of entries that are equal but for rounding the first counts.
    """
    sizes = weights.abs()
    largest = sizes.amax(1, keepdim=True)
    first = (sizes >= largest * (1 - 1e-6)).int().argmax(1)
    signs = weights.gather(1, first[:, None])[:, 0].sign()
    if bias is not None:
        signs = torch.where(largest[:, 0] > 0, signs, bias.sign())
    return torch.where(signs == 0, 1.0, signs)


def _norms(rows: Tensor) -> Tensor:
    """Norms [n] of rows, also where squares would leave float64."""
    norms = torch.linalg.vector_norm(rows, dim=1)
    odd = ((norms < _SQUARABLE[0]) | (norms > _SQUARABLE[1])).nonzero()[:, 0]
    if len(odd):
        sizes = rows[odd].abs().amax(1)
        levelled = rows[odd] / torch.where(sizes > 0, sizes, 1.0)[:, None]
        norms[odd] = torch.linalg.vector_norm(levelled, dim=1) * sizes
    return norms


def _scalable(norms: Tensor) -> Tensor:
    """Norms by which can be divided; 1 for the others: zero, and what is subnormal or too large for float64."""
    limits = torch.finfo(torch.float64)
    return torch.where((norms >= limits.tiny) & (norms <= limits.max), norms, 1.0)


def _snapped(diagonal: Tensor) -> Tensor:
    return torch.where((diagonal - 1).abs() <= _SNAP, 1.0, diagonal)
