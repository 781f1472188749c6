"""Learning rates and momenta of every step, as PyTorch's schedulers give them, without an optimizer beside.

>>> learning_rates("step", 6)
[1.0, 1.0, 0.2, 0.2, 0.04000000000000001, 0.04000000000000001]
"""

from __future__ import annotations

import math

MOMENTUM = 0.9
# As in PyTorch's OneCycleLR: the share of steps that rise, the largest rate over the first and the first over the
# last, and the momenta between which it goes.
_RISE, _FIRST, _LAST = 0.3, 25.0, 1e4
_LEAST_MOMENTUM, _MOST_MOMENTUM = 0.85, 0.95


def learning_rates(schedule: str, steps: int) -> list[float]:
    """The learning rate of each step over the recipe's."""
    if schedule == "cosine":
        return [(1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
    if schedule == "step":
        return [0.2 ** (step // max(1, steps // 3)) for step in range(steps)]
    if schedule == "one-cycle":
        return _one_cycle(1 / _FIRST, 1.0, 1 / (_FIRST * _LAST), steps)
    return [1.0] * steps


def momenta(schedule: str, steps: int) -> list[float]:
    """The momentum of each step of SGD with momentum."""
    if schedule == "one-cycle":
        return _one_cycle(_MOST_MOMENTUM, _LEAST_MOMENTUM, _MOST_MOMENTUM, steps)
    return [MOMENTUM] * steps


def _one_cycle(first: float, middle: float, last: float, steps: int) -> list[float]:
    turn = _RISE * (steps + 1) - 1
    values = []
    for step in range(steps):
        start, end, share = (
            (first, middle, step / turn) if step <= turn else (middle, last, (step - turn) / (steps - turn))
        )
        values.append(end + (start - end) / 2 * (1 + math.cos(math.pi * share)))
    return values
