"""How gauges act on tensors, from what was noted beside the trace; nothing is said where a note is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import AbsorbedGain, GaugeAction
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Ints
from nfn_cli.architectures.tracing.watching import Watch

Inside = Callable[[Ints], NDArray[np.bool_]]  # which labels are coordinates of the space
Odd = Callable[[Ints], NDArray[np.bool_]]  # which of these take the inverse transposed matrix
Group = Literal["orthogonal", "levelled", "linear"]


def matrices(
    trace: Trace, watch: Watch, group: Group, block: int, inside: Inside, odd: Odd, absorbed: Mapping[str, set[str]]
) -> GaugeAction | None:
    """The action of matrices on the coordinates of a block's spaces.

    Args:
        absorbed: by gain, the weights that read what it scales.
    """
    gains = {name for name, arrays in watch.gains.items() if any(_some(inside, labels) for labels in arrays)}
    biases = {bias for gain in gains for bias in watch.norm_biases.get(gain, ())}
    inverse: list[tuple[int, NDArray[np.int32]]] = []
    for name, place in trace.places.items():
        if name in gains or name in biases:
            continue
        seen = _labels(trace, name, inside)
        if not len(seen):
            continue
        made = _signed(watch, name, inside, 1)
        read = _signed(watch, name, inside, -1)
        if group == "linear":
            if len(np.intersect1d(made, read)) or len(np.setdiff1d(seen, np.union1d(made, read))):
                return None
            made, read = (
                np.concatenate([made[~odd(made)], read[odd(read)]]),
                np.concatenate([made[odd(made)], read[~odd(read)]]),
            )
        if len(read):
            inverse.append((place, trace.kept_places(np.unique(read))))
    found = [_absorbed(trace, watch, gain, absorbed.get(gain, set())) for gain in sorted(gains)]
    kept = tuple(own for own in found if own is not None)
    if len(kept) != len(found) or (group == "linear" and kept):
        return None
    return GaugeAction(group, block, tuple(inverse), kept)


def pairs(trace: Trace, watch: Watch, found: Sequence[tuple[int, int, int, bool]]) -> GaugeAction | None:
    """The action of complex numbers.

    Args:
        found: labels of the two coordinates of a pair, the number of its space, and whether it is a key's.
    """
    rows = {own: None for own in found}
    for bias, out in watch.biases:
        there = dict(zip(out.tolist(), bias.tolist(), strict=True))
        back = dict(zip(bias.tolist(), out.tolist(), strict=True))
        for ways in (there, back):
            rows |= {
                (ways[first], ways[second], space, key): None
                for first, second, space, key in found
                if first in ways and second in ways
            }
    table = np.array([own[:3] for own in rows], np.int64).reshape(-1, 3)
    keys = np.array([own[3] for own in rows], bool)
    known = np.isin(table[:, :2], trace.kept).all(1)
    table, keys = table[known], keys[known]
    firsts = np.unique(table[:, :2])
    if not len(table) or len(firsts) != 2 * len(table):
        return None
    labels = trace.kept_places(table[:, :2])
    return GaugeAction("phases", None, pairs=np.column_stack([labels, table[:, 2].astype(np.int32)]), keys=keys)


def _absorbed(trace: Trace, watch: Watch, gain: str, weights: set[str]) -> AbsorbedGain | None:
    biases = watch.norm_biases.get(gain, set())
    names = {gain, *biases, *weights}
    if len(biases) > 1 or len(watch.gains[gain]) > 1 or not weights or not names <= set(trace.places):
        return None
    places = trace.places
    return AbsorbedGain(
        places[gain], next((places[own] for own in biases), None), tuple(sorted(places[own] for own in weights))
    )


def _labels(trace: Trace, name: str, inside: Inside) -> Ints:
    arrays = [role.labels.reshape(-1).astype(np.int64) for use in trace.uses.get(name, ()) for role in use.roles]
    return _inside(inside, arrays)


def _signed(watch: Watch, name: str, inside: Inside, sign: int) -> Ints:
    return _inside(inside, [own for _, roles in watch.signs.get(name, []) for own, which in roles if which == sign])


def _inside(inside: Inside, arrays: Sequence[NDArray[np.integer]]) -> Ints:
    known = [own.reshape(-1).astype(np.int64) for own in arrays]
    labels = np.unique(np.concatenate([np.zeros(0, np.int64), *known]))
    labels = labels[labels >= 0]
    return labels[inside(labels)]


def _some(inside: Inside, labels: NDArray[np.integer]) -> bool:
    return bool(len(_inside(inside, [labels])))
