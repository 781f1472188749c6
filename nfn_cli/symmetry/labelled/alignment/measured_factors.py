"""Factors between corresponding entries of both networks, as equations for the free scales."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from nfn_cli.symmetry.labelled.alignment.known_scales import MOST, Behind, Knowledge, Part, System, Values
from nfn_cli.symmetry.labelled.alignment.paired_slices import Slices, others, thinned
from nfn_cli.symmetry.labelled.alignment.views import Flags, Ints, View

_MOST_NUMBERS = 4_096  # of one slice


def measure(views: Iterable[int], slices: Slices, knowledge: Knowledge, settled: Flags) -> None:
    """Measure the scales that the matched entries of some views determine.

    Args:
        settled: bool [labels + 1], the last for NONE.
    """
    left = list(views)
    while left:
        waiting = []
        for number in left:
            parts = knowledge.parts(slices.views[number])
            if any(part.unknown.any() for part in parts):
                waiting.append(number)
                # Measured again only if more is matched or known than the last time.
                state = _state(slices.views[number], parts, settled)
                if knowledge.measured.get(number) != state:
                    knowledge.measured[number] = state
                    knowledge.pending.forget(number)
                    _measure_view(number, parts, slices, knowledge, settled)
        if not waiting or not knowledge.learn():
            return
        left = waiting


def _state(view: View, parts: list[Part], settled: Flags) -> int:
    own = [settled[dimension.labels].tobytes() for dimension in view.dimensions if dimension.labels is not None]
    return hash((*own, *((part.log_marks.tobytes(), part.sign_marks.tobytes()) for part in parts)))


def _measure_view(number: int, parts: list[Part], slices: Slices, knowledge: Knowledge, settled: Flags) -> None:
    view = slices.views[number]
    dimensions: list[int | None] = [*sorted({own for part in parts for own in part.along if part.unknown.any()})]
    if any(not part.along and part.unknown.any() for part in parts) and not dimensions:
        dimensions = [None]
    for dimension in dimensions:
        own = [part for part in parts if not part.along - {dimension}]
        beside = others(view, dimension, parts, settled)
        if beside is None:
            continue
        places: list[Ints | None] = list(thinned(beside, _MOST_NUMBERS))
        positions = np.zeros(1, dtype=np.int64)
        if dimension is not None:
            unknown: Flags = np.zeros(1, dtype=np.bool_)
            for part in own:
                unknown = unknown | part.unknown.reshape(-1)
            labels = view.dimensions[dimension].labels
            mask = np.broadcast_to(unknown, len(view.dimensions[dimension]))
            positions = np.flatnonzero(mask if labels is None else mask & settled[labels])
            places[dimension] = positions
        if not len(positions):
            continue
        ours, theirs = slices.pair(number, places, parts)
        if dimension is not None:
            ours, theirs = ours.movedim(dimension, 0), theirs.movedim(dimension, 0)
        a, b = (part.reshape(len(positions), -1).double() for part in (ours, theirs))
        squares = [part.square().sum(1) for part in (a, b)]
        inner = (a * b).sum(1)
        good = (squares[0] > 0) & (squares[1] > 0) & squares[0].isfinite() & squares[1].isfinite()
        if not bool(good.any()):
            continue
        near = inner.square() / (squares[0] * squares[1])
        weights = (a.shape[1] * near + 1e-3)[good].numpy()
        ratio = (0.5 * torch.log2(squares[1] / squares[0]))[good].clamp(-MOST, MOST).numpy()
        negative = (inner < 0)[good].numpy()
        variables = [
            (coefficient, np.broadcast_to(some.reshape(-1), view.positions(dimension))[positions][good.numpy()])
            for part in own
            for coefficient, some in part.variables
        ]
        _add(
            number, knowledge.pending.logs, knowledge.behind_logs, variables, ratio, weights, knowledge.log_known, False
        )
        odd = [(coefficient, some) for coefficient, some in variables if coefficient % 2]
        _add(
            number,
            knowledge.pending.signs,
            knowledge.behind_signs,
            odd,
            negative.astype(np.float64),
            weights,
            knowledge.sign_known,
            True,
        )


def _add(
    view: int,
    system: System,
    behind: Behind,
    variables: list[tuple[int, Ints]],
    right: Values,
    weights: Values,
    known: Flags,
    modulo: bool,
) -> None:
    """One equation an entry; known parts are in what was measured already."""
    rows, columns, coefficients = [], [], []
    for coefficient, own in variables:
        which, column, factor = behind.of(own)
        kept = ~known[column]
        rows.append(which[kept])
        columns.append(column[kept])
        coefficients.append(coefficient * factor[kept])
    if rows and sum(map(len, rows)):
        parts = np.concatenate(rows), np.concatenate(columns), np.concatenate(coefficients)
        system.add(view, *parts, right, weights, modulo)
