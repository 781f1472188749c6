"""How many inputs, and of which size, a network is run on to see whether it computes the same.

>>> from nfn_cli.architectures import Layer, chain
>>> deep = chain([Layer(str(n), "conv", 64 if n else 3, 64, (3, 3)) for n in range(55)], activation="relu")
>>> plan_trial(deep, samples=8).padded
True
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nfn_cli.architectures import Architecture
from nfn_cli.symmetry.preservation import USUAL_INPUTS, fitting_shape

# Multiplications in float64 of all runs together: a few seconds of one core.
_BUDGET = 4e9
_FEWEST = 2  # inputs, and elements
_SIDES = (8, 4)


@dataclass(frozen=True)
class Trial:
    """What a network is run on.

    Attributes:
        shape: of one input.
        inputs: how many there are.
        samples: elements that act.
        padded: whether convolutions are padded so that they keep their input's size. The group commutes with padding.
    """

    shape: tuple[int, ...]
    inputs: int
    samples: int
    padded: bool = False


def plan_trial(
    chain: Architecture,
    *,
    samples: int,
    given_shape: Sequence[int] | None = None,
    fixed_samples: bool = False,
    share: float = 1.0,
) -> Trial:
    """Plan sixteen inputs that fit the chain without padding, and all samples; less where that would take too long.

    First the inputs become smaller, then fewer, then the samples become fewer; there are at least two of each.

    Args:
        given_shape: the shape of an input, if it is fixed.
        fixed_samples: whether the number of samples is fixed.
        share: which part of the time for a check may be used.
    """
    shape, padded = tuple(given_shape or fitting_shape(chain)), False
    runs, budget = samples + 1, _BUDGET * share
    cost = multiplications(chain, shape)
    if given_shape is None and len(shape) > 1 and USUAL_INPUTS * runs * cost > budget:
        for shape_of_side in _smaller(chain, shape):
            less = multiplications(chain, shape_of_side, padded=True)
            if less < cost:
                shape, padded, cost = shape_of_side, True, less
            if _FEWEST * runs * cost <= budget:
                break
    inputs = min(USUAL_INPUTS, max(_FEWEST, int(budget // (runs * cost))))
    if not fixed_samples:
        samples = min(samples, max(_FEWEST, int(budget // (inputs * cost)) - 1))
    return Trial(shape, inputs, samples, padded)


def multiplications(chain: Architecture, shape: Sequence[int], *, padded: bool = False) -> int:
    """The multiplications for one input through a chain without strides, at least 1.

    Args:
        shape: of the input, [channels, *space] or [features].
        padded: as in `Trial`.
    """
    space, total = list(shape[1:]), 0
    for layer in chain.layers:
        if layer.kind == "conv":
            space = space if len(space) == len(layer.kernel) else [1] * len(layer.kernel)
            if not padded:
                space = [max(1, side - size + 1) for side, size in zip(space, layer.kernel, strict=True)]
        else:
            space = []
        total += math.prod(space) * math.prod(layer.weight_shape)
    return max(1, total)


def _smaller(chain: Architecture, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of smaller inputs, still as large as every kernel and with a pixel for each position of a flatten."""
    axes = len(shape) - 1
    least = max((size for layer in chain.layers for size in layer.kernel), default=1)
    positions = next((layer.spatial for layer in chain.layers if layer.kind != "conv"), 1)
    least = max(least, math.ceil(positions ** (1 / axes)))
    return [(shape[0], *[min(shape[1], max(side, least))] * axes) for side in _SIDES]
