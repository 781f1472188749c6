"""Transposed convolutions, whose weights have their first two axes exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from nfn_cli.architectures.joints.outline import Doubts, Outline
from nfn_cli.architectures.layer import Layer


def fix_transposed(outline: Outline, doubts: Doubts) -> None:
    """A square convolution does not show which axis it reads; convolutions beside it that are not square do.

    Nor do those say it which have no bias and chain the other way round as well: 5→8 and 8→5.
    """
    runs: list[list[int]] = []
    for place, layer in enumerate(outline.layers):
        if layer.kind != "conv":
            continue
        if not runs or runs[-1][-1] != place - 1:
            runs.append([])
        runs[-1].append(place)
    for run in runs:
        square = [place for place in run if outline.layers[place].in_features == outline.layers[place].out_features]
        turned = len(run) > 1 and _chain_turned([outline.layers[place] for place in run])
        pinned = len(square) < len(run) and not turned
        kernels = {outline.layers[place].kernel for place in run}
        for place in run if turned else square:
            doubling = len(kernels) > 1 and all(size in (2, 4) for size in outline.layers[place].kernel)
            if not pinned or doubling:
                what = f"{outline.layers[place].name} may be a transposed convolution (ConvTranspose)"
                doubts.hard.setdefault(place - 1, what)
                doubts.hard.setdefault(place, what)


def _chain_turned(run: Sequence[Layer]) -> bool:
    unpinned = all(layer.in_features == layer.out_features or not layer.has_bias for layer in run)
    return unpinned and all(one.in_features == other.out_features for one, other in pairwise(run))
