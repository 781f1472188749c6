"""Scales under which each number lies in its cell: between the middles to the next numbers of a grid.

Each number bounds a product of scales from both sides. A point between all bounds is looked for by descent on the
squares of what lies beyond them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, LabelledTensor
from nfn_cli.threads import threads_for

_STEPS = 300
_MOST = 1.0  # of a scale's logarithm to the base 2


@dataclass(frozen=True)
class Cell:
    """A tensor's numbers and where they have to be.

    Attributes:
        tensor: its labels.
        values, middles, halves: the numbers; the middles of their cells, and half of their widths: float64.
    """

    tensor: LabelledTensor
    values: Tensor
    middles: Tensor
    halves: Tensor


def fit_cells(labels: LabelledArchitecture, cells: Iterable[Cell]) -> NDArray[np.float64]:
    """log₂ of every scale variable [scales], with which the numbers lie in their cells as far as descent finds.

    Tensors that are stored as something else than what is scaled have no say.
    """
    solutions = labels.logs
    parts = [part for cell in cells for part in _parts(cell)]
    count = sum(part.values.numel() for part in parts)
    with threads_for(count), torch.enable_grad():
        free = torch.zeros(solutions.free, dtype=torch.float64, requires_grad=True)
        rows, columns = (torch.from_numpy(own).long() for own in (solutions.rows, solutions.columns))
        coefficients = torch.from_numpy(np.asarray(solutions.coefficients, dtype=np.float64))
        still = torch.zeros(solutions.variables, dtype=torch.float64)
        descent = torch.optim.LBFGS(
            [free],
            max_iter=_STEPS,
            history_size=30,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def beyond() -> Tensor:
            descent.zero_grad()
            logs = still.index_add(0, rows, coefficients * free.clamp(-_MOST, _MOST)[columns])
            total = sum((part.beyond(logs) for part in parts), start=torch.zeros((), dtype=torch.float64))
            total.backward()  # type: ignore[no-untyped-call]
            return total

        if solutions.free and count:
            descent.step(beyond)  # type: ignore[no-untyped-call]
    return solutions.values(free.detach().clamp(-_MOST, _MOST).numpy())


@dataclass(frozen=True)
class _Part:
    """One use of a tensor: its numbers, and (coefficient, variables) of what scales them."""

    values: Tensor
    middles: Tensor
    halves: Tensor
    scales: tuple[tuple[int, Tensor], ...]

    def beyond(self, logs: Tensor) -> Tensor:
        """The sum of squares of what lies beyond the cells, in halves of them."""
        exponent = sum((coefficient * logs[own] for coefficient, own in self.scales), start=torch.zeros(()))
        return ((self.values * torch.exp2(exponent) - self.middles).abs() / self.halves - 1).clamp_min(0).square().sum()


def _parts(cell: Cell) -> Iterable[_Part]:
    for use in cell.tensor.uses:
        if use.stored or not use.scales:
            continue
        seen = [
            own.contiguous().reshape(-1).as_strided(use.shape, use.stride, use.offset)
            for own in (cell.values, cell.middles, cell.halves)
        ]
        yield _Part(
            seen[0],
            seen[1],
            seen[2],
            tuple((coefficient, torch.from_numpy(own).long()) for coefficient, own in use.scales),
        )
