"""From what a trace has collected to the group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import (
    Block,
    LabelledArchitecture,
    LabelledTensor,
    Relations,
    Role,
    Solutions,
    Use,
)
from nfn_cli.architectures.labels.blocks import solve_permutations
from nfn_cli.architectures.tracing.gauges import found_gauges
from nfn_cli.architectures.tracing.naming import Names
from nfn_cli.architectures.tracing.reconciling import reconciled
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Ints

_LAST = 1 << 62  # behind every label


def assembled(trace: Trace, names: Names) -> LabelledArchitecture:
    """Solve what a trace has collected.

    Raises:
        Unsupported: a tensor is used in two ways that cannot be compared, or only in part.
    """
    tensors: list[LabelledTensor] = []
    for held in names.held:
        uses = trace.uses.get(held.name, [])
        if held.stored and uses:
            trace.places[held.name] = len(tensors)
            tensors.append(
                LabelledTensor(held.stored, held.shape, tuple(reconciled(trace, held.name, held.shape, uses)))
            )
    blocks, determined, needed = _permutations(trace, tensors)
    blocks = _in_order(blocks)
    trace.kept = needed
    visible = [list(use.scales) for tensor in tensors for use in tensor.uses if use.scales]
    logs = trace.logs.solve([[(float(c), a) for c, a in terms] for terms in visible])
    odd = [[(1.0, a) for c, a in terms if c % 2] for terms in visible]
    signs = trace.signs.solve([terms for terms in odd if terms])
    scales = _met(trace.logs.count, [a for terms in visible for _, a in terms])
    moved = {held.name for held in names.held if held.name in trace.uses}
    left = tuple(name for held in names.held if held.name not in moved for name in held.stored)
    renumbered = tuple(_renumbered(tensor, needed, scales) for tensor in tensors)
    return LabelledArchitecture(
        renumbered,
        len(needed),
        len(scales),
        tuple(replace(block, labels=_places(needed, block.labels)) for block in blocks),
        _places(needed, determined),
        _restricted(logs, scales),
        _restricted(signs, scales),
        gauges=() if trace.watch is None else found_gauges(trace, trace.watch, blocks),
        left=left,
    )


# Permutations.


def _in_order(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Blocks in the order in which their first neurons are made, each in front of those that lie in it."""
    first = [int(block.labels.min()) if block.labels.size else _LAST for block in blocks]
    for place in reversed(range(len(blocks))):
        parent = blocks[place].parent
        if parent is not None:
            first[parent] = min(first[parent], first[place])
    inside: dict[int | None, list[int]] = {}
    for place, block in enumerate(blocks):
        inside.setdefault(block.parent, []).append(place)
    order: list[int] = []
    waiting = sorted(inside.get(None, []), key=first.__getitem__, reverse=True)
    while waiting:
        place = waiting.pop()
        order.append(place)
        waiting += sorted(inside.get(place, []), key=first.__getitem__, reverse=True)
    new = {place: position for position, place in enumerate(order)}
    return tuple(
        replace(blocks[place], parent=None if (parent := blocks[place].parent) is None else new[parent])
        for place in order
    )


def _permutations(trace: Trace, tensors: Sequence[LabelledTensor]) -> tuple[tuple[Block, ...], Ints, Ints]:
    """Blocks and determined rows on labels, and the labels that anything speaks of, sorted."""
    labels = np.arange(trace.label_count)
    roots = trace.units.find(labels) if len(labels) else labels
    units = _met(len(labels), [roots])
    unit_of = _inverse(units, len(labels))[roots]
    count = len(units)
    sorts = trace.sort_of(labels) if len(labels) else labels
    colours: list[tuple[Ints, Ints]] = [(unit_of, sorts)]
    colours += [(unit_of[own], marks) for own, marks in trace.colours]
    seen: list[Ints] = []
    for tensor in tensors:
        for use in tensor.uses:
            for role in use.roles:
                own = role.labels.reshape(-1).astype(np.int64)
                slots = np.zeros_like(own) if role.slots is None else role.slots.reshape(-1).astype(np.int64)
                own, slots = own[own >= 0], slots[own >= 0]
                kinds = sorts[own]
                colours.append((unit_of[own], kinds * (int(slots.max(initial=0)) + 1) + slots))
                seen.append(own)
    edges = [edge for ours, theirs in trace.edges for edge in _by_sort(trace, unit_of, sorts, ours, theirs, colours)]
    visible = _met(len(labels), seen)
    shown = LabelledTensor(
        ("",), (1,), (Use((len(visible),), (1,), 0, (Role(_met(count, [unit_of[visible]]).astype(np.int32)),)),)
    )
    origins = sorts[units].astype(np.int32) if count else np.zeros(0, np.int32)
    blocks, found = solve_permutations(Relations(count, tuple(colours), tuple(edges)), [shown], origins, trace.origins)
    order = np.lexsort((sorts, unit_of))
    starts = np.searchsorted(unit_of[order], np.arange(count + 1))
    wanted = np.zeros(len(labels), bool)
    wanted[visible] = True
    first = order[starts[:-1]] if count else order
    rows = found.astype(np.int64)
    if len(rows):
        wanted[first[rows[:, 1]]] = True
        wanted[first[rows[:, 2]]] = True
        wanted[first[rows[:, 0]]] = True
    expanded = tuple(replace(block, labels=_columns(block.labels, order, starts, wanted)) for block in blocks)
    return expanded, _determined(rows, order, starts, wanted, first), np.flatnonzero(wanted)


def _by_sort(
    trace: Trace, unit_of: Ints, sorts: Ints, ours: Ints, theirs: Ints, colours: list[tuple[Ints, Ints]]
) -> list[tuple[Ints, Ints]]:
    """An edge of labels as edges of units, one for each pair of sorts."""
    kinds = sorts[ours] * (len(trace.origins) + 1) + sorts[theirs]
    found = []
    for kind in np.unique(kinds):
        own = kinds == kind
        a, b = unit_of[ours[own]], unit_of[theirs[own]]
        loops = a == b
        if loops.any():
            colours.append((a, loops.astype(np.int64)))
            a, b = a[~loops], b[~loops]
        if len(a):
            found.append((a, b))
    return found


def _columns(units: NDArray[np.int32], order: Ints, starts: Ints, wanted: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The labels of units, in the order of their sorts: [units, k]."""
    columns = []
    for column in units.T:
        counts = starts[column + 1] - starts[column]
        if len(counts) and (counts != counts[0]).any():
            raise AssertionError("units of one block with different labels")
        for step in range(int(counts[0]) if len(counts) else 0):
            own = order[starts[column] + step]
            kept = wanted[own]
            if kept.any():
                wanted[own] = True
                columns.append(own)
    return np.stack(columns, 1).astype(np.int32) if columns else np.zeros((len(units), 0), np.int32)


def _determined(rows: Ints, order: Ints, starts: Ints, wanted: NDArray[np.bool_], first: Ints) -> Ints:
    """Rows of units as rows of labels: a unit's first label follows from two units, each other one from that before it.

    A row (u, a, a) of units speaks of the last label of a, since its others have followers in a itself.
    """
    if not len(rows):
        return np.zeros((0, 3), np.int64)
    units = np.unique(rows[:, 0])
    counts = starts[units + 1] - starts[units]
    which = np.repeat(np.arange(len(units)), counts)
    step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    labels = order[starts[units[which]] + step]
    kept = wanted[labels]
    labels, which = labels[kept], which[kept]
    inside = np.r_[False, which[1:] == which[:-1]][: len(which)]
    before = np.r_[labels[:1], labels[:-1]]
    chains = np.stack([labels, before, before], 1)[inside]
    last = first.copy()
    last[units[which]] = labels  # of several, the last one stays
    alone = rows[:, 1] == rows[:, 2]
    ones = np.where(alone, last[rows[:, 1]], first[rows[:, 1]])
    others = np.where(alone, last[rows[:, 2]], first[rows[:, 2]])
    return np.concatenate([np.stack([first[rows[:, 0]], ones, others], 1), chains])


# Numbers without gaps.


def _met(count: int, arrays: Sequence[NDArray[Any]]) -> Ints:
    """Which of the numbers 0 … count − 1 stand in some arrays, sorted."""
    met = np.zeros(count, bool)
    for array in arrays:
        met[array] = True
    return np.flatnonzero(met)


def _inverse(known: Ints, count: int) -> Ints:
    """The place of each of 0 … count − 1 among those that are known; what others have means nothing."""
    places = np.zeros(count, np.int64)
    places[known] = np.arange(len(known))
    return places


def _places(known: Ints, labels: NDArray[Any]) -> NDArray[np.int32]:
    return np.searchsorted(known, labels).astype(np.int32)


def _renumbered(tensor: LabelledTensor, labels: Ints, scales: Ints) -> LabelledTensor:
    uses = []
    for use in tensor.uses:
        roles = tuple(
            Role(
                np.where(role.labels < 0, role.labels, _places(labels, role.labels)).astype(np.int32),
                role.slots,
            )
            for role in use.roles
        )
        uses.append(replace(use, roles=roles, scales=tuple((c, _places(scales, array)) for c, array in use.scales)))
    return replace(tensor, uses=tuple(uses))


def _restricted(solutions: Solutions, scales: Ints) -> Solutions:
    kept = np.isin(solutions.rows, scales)
    return Solutions(
        len(scales),
        solutions.free,
        _places(scales, solutions.rows[kept]),
        solutions.columns[kept],
        solutions.coefficients[kept],
    )
