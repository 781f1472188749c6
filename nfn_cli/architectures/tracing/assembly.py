"""From what a trace has collected to the group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

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
from nfn_cli.architectures.tracing.joining import join
from nfn_cli.architectures.tracing.naming import Names
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Ints, Term, Unsupported, Value


def assembled(trace: Trace, names: Names) -> LabelledArchitecture:
    """Solve what a trace has collected.

    Raises:
        Unsupported: a tensor is used in two ways that cannot be compared, or only in part.
    """
    tensors = []
    for held in names.held:
        uses = trace.uses.get(held.name, [])
        if held.stored and uses:
            tensors.append(
                LabelledTensor(held.stored, held.shape, tuple(_reconciled(trace, held.name, held.shape, uses)))
            )
    tensors = [_checked(tensor) for tensor in tensors]
    blocks, determined, needed = _permutations(trace, tensors)
    visible = [list(use.scales) for tensor in tensors for use in tensor.uses if use.scales]
    logs = trace.logs.solve([[(float(c), a) for c, a in terms] for terms in visible])
    odd = [[(1.0, a) for c, a in terms if c % 2] for terms in visible]
    signs = trace.signs.solve([terms for terms in odd if terms])
    scales = np.unique(np.concatenate([np.zeros(0, np.int64), *[a.reshape(-1) for terms in visible for _, a in terms]]))
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


# Uses of one tensor.


def _reconciled(trace: Trace, name: str, shape: Sequence[int], uses: Sequence[Use]) -> list[Use]:
    """Uses that do not overlap: of one view that is used twice, both agree."""
    kept: list[Use] = []
    size = int(np.prod(shape))
    for use in uses:
        for own in kept:
            if _region(own) == _region(use):
                _agree(trace, name, own, use)
                break
            if _meet(own, use, size):
                raise Unsupported(f"{name} is used in two views that overlap")
        else:
            kept.append(use)
    covered = sum(int(np.prod(use.shape)) for use in kept)
    if covered < size:
        raise Unsupported(f"{name} is used only in part ({covered} of {size} numbers)")
    return kept


def _region(use: Use) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The numbers that a view has, whatever the order of its axes: axes that lie behind each other are one."""
    axes = sorted(((stride, size) for stride, size in zip(use.stride, use.shape) if size > 1), reverse=True)
    merged: list[tuple[int, int]] = []
    for stride, size in axes:
        if merged and merged[-1][0] == stride * size:
            merged[-1] = (stride, merged[-1][1] * size)
        else:
            merged.append((stride, size))
    return use.offset, tuple(merged)


def _meet(own: Use, other: Use, size: int) -> bool:
    spans = []
    for use in (own, other):
        last = use.offset + sum((n - 1) * stride for n, stride in zip(use.shape, use.stride))
        spans.append((use.offset, last))
    if spans[0][1] < spans[1][0] or spans[1][1] < spans[0][0]:
        return False
    marks = np.zeros(size, np.int8)
    for use in (own, other):
        view = np.lib.stride_tricks.as_strided(
            marks[use.offset :], use.shape, [stride * marks.itemsize for stride in use.stride]
        )
        view += 1
    return bool((marks > 1).any())


def _agree(trace: Trace, name: str, own: Use, other: Use) -> None:
    """The same numbers in two roles: both must hold."""
    if own.stored != other.stored:
        if any(step.kind != "mul" for step in (*own.stored, *other.stored)):
            raise Unsupported(f"{name} is used behind two different functions")
    shape, ours, theirs = _refined(name, own, other)
    x = _as_value(own, shape, ours)
    y = _as_value(other, shape, theirs)
    x, y, _ = join(trace, x, y)
    trace.relate([*x.terms, *[(-coefficient, array) for coefficient, array in y.terms]])


def _refined(name: str, own: Use, other: Use) -> tuple[list[int], list[tuple[int, int]], list[tuple[int, int]]]:
    """Axes so fine that both views have them: (axis, part) order of each.

    Returns:
        The sizes in the order of falling strides; for both uses, the (stride, size) pairs.
    """
    cuts: set[int] = set()
    for use in (own, other):
        for stride, size in zip(use.stride, use.shape):
            cuts |= {stride, stride * size}
    ordered = sorted(cuts, reverse=True)
    axes: list[tuple[int, int]] = []
    for large, small in zip(ordered, ordered[1:]):
        if large % small:
            raise Unsupported(f"{name} is used in two views of different axes")
        axes.append((small, large // small))
    pairs = []
    for use in (own, other):
        found = []
        for stride, size in zip(use.stride, use.shape):
            found.append((stride, size))
        pairs.append(found)
    return [size for _, size in axes], axes, axes if pairs else axes


def _as_value(use: Use, shape: list[int], axes: list[tuple[int, int]]) -> Value:
    """A use as a value on finer axes, in the order of falling strides."""
    parts: list[list[int]] = []
    order: list[int] = []
    for stride, size in zip(use.stride, use.shape):
        inside = [place for place, (own, n) in enumerate(axes) if stride <= own and own * n <= stride * size]
        parts.append([axes[place][1] for place in inside])
        order += inside
    place_of = {place: position for position, place in enumerate(order)}
    kept = sorted(order)

    def finer(array: Ints) -> Ints:
        sizes: list[int] = []
        for axis, split in enumerate(parts):
            sizes += split if array.shape[axis] > 1 else [1] * len(split)
        wide = array.reshape(sizes).transpose([place_of[place] for place in kept])
        full = [1] * len(axes)
        for position, place in enumerate(kept):
            full[place] = wide.shape[position]
        return wide.reshape(full)

    factors = tuple(Factor(finer(role.labels), None if role.slots is None else finer(role.slots)) for role in use.roles)
    terms: tuple[Term, ...] = tuple((float(c), finer(array)) for c, array in use.scales)
    return Value(tuple(shape), factors, terms)


def _checked(tensor: LabelledTensor) -> LabelledTensor:
    for use in tensor.uses:
        axes: set[int] = set()
        for role in use.roles:
            own = {axis for axis, size in enumerate(role.labels.shape) if size > 1}
            if axes & own:
                raise Unsupported(f"{tensor.name} has neurons of two kinds along one axis")
            axes |= own
    return tensor


# Permutations.


def _permutations(trace: Trace, tensors: Sequence[LabelledTensor]) -> tuple[tuple[Block, ...], Ints, Ints]:
    """Blocks and determined rows on labels, and the labels that anything speaks of, sorted."""
    labels = np.arange(trace.label_count)
    roots = trace.units.find(labels) if len(labels) else labels
    units, unit_of = np.unique(roots, return_inverse=True)
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
    visible = np.unique(np.concatenate([np.zeros(0, np.int64), *seen]))
    shown = LabelledTensor(
        ("",), (1,), (Use((len(visible),), (1,), 0, (Role(np.unique(unit_of[visible]).astype(np.int32)),)),)
    )
    origins = sorts[units].astype(np.int32) if count else np.zeros(0, np.int32)
    blocks, rows = solve_permutations(Relations(count, tuple(colours), tuple(edges)), [shown], origins, trace.origins)
    order = np.lexsort((sorts, unit_of))
    starts = np.searchsorted(unit_of[order], np.arange(count + 1))
    wanted = np.zeros(len(labels), bool)
    wanted[visible] = True
    first = order[starts[:-1]] if count else order
    rows = rows.astype(np.int64)
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


def _columns(units: Ints, order: Ints, starts: Ints, wanted: Ints) -> Ints:
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
    return np.stack(columns, 1) if columns else np.zeros((len(units), 0), np.int64)


def _determined(rows: Ints, order: Ints, starts: Ints, wanted: Ints, first: Ints) -> Ints:
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


def _places(known: Ints, labels: Ints) -> Ints:
    return np.searchsorted(known, labels).astype(np.int32)


def _renumbered(tensor: LabelledTensor, labels: Ints, scales: Ints) -> LabelledTensor:
    uses = []
    for use in tensor.uses:
        roles = tuple(
            Role(
                np.where(role.labels < 0, role.labels, _places(labels, role.labels)).astype(np.int32),
                None if role.slots is None else role.slots.astype(np.int32),
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
