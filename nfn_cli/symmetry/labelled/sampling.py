"""Random elements of the group on labels."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from nfn_cli.architectures.labels import Block, LabelledArchitecture, Solutions
from nfn_cli.symmetry.labelled.element import Element, element_of
from nfn_cli.symmetry.labelled.positions import all_uses, used_variables
from nfn_cli.symmetry.labelled.unit_orders import Orders, goes_of, nested_orders

_LARGEST_DENOMINATOR = 1_024  # of coefficients of solutions, where factors have to be powers of two


def sample(
    architecture: LabelledArchitecture,
    generator: torch.Generator,
    *,
    scale_range: tuple[float, float] = (1.0, 1e4),
    scale: bool = True,
    flip: bool = True,
    permute: bool = True,
    pow2: bool = False,
) -> Element:
    """Draw an element: uniform permutations, log-uniform free scales and fair free signs.

    It changes a network's outputs by rounding only, if `bounded` keeps its variances positive.

    Args:
        scale_range: lowest and highest value of the free scales.
        scale, flip, permute: switch each part off.
        pow2: scales are powers of two, and scales and signs of all that is stored behind an addition or as a logarithm
            are left alone: no number is rounded that stays within its dtype's range.

    Raises:
        ValueError: no power of two lies in the range.
    """
    goes = None
    if permute:
        places = [shuffled(architecture, block, generator) for block in architecture.blocks]
        goes = goes_of(architecture, nested_orders(architecture, places))
    free_logs = free_signs = None
    inexact = _inexact(architecture) if pow2 else None
    if scale:
        low, high = (math.log2(bound) for bound in scale_range)
        free_logs = _uniform(architecture.logs.free, generator)
        if inexact is None:
            free_logs = low + (high - low) * free_logs
        else:
            free_logs = _whole(architecture, free_logs, low, high)
            free_logs[_columns(architecture.logs, inexact)] = 0.0
    if flip:
        free_signs = _uniform(architecture.signs.free, generator) < 0.5
        if inexact is not None:
            free_signs[_columns(architecture.signs, inexact)] = False
    element = element_of(architecture, goes=goes, free_logs=free_logs, free_signs=free_signs)
    return replace(element, logs=np.rint(element.logs) + 0.0) if pow2 else element  # sums of fractions; no −0.0


def shuffled(architecture: LabelledArchitecture, block: Block, generator: torch.Generator) -> Orders:
    """Uniform positions for a block's units, for each unit of the parent by itself, int64 [parent's units, n]."""
    around = 1 if block.parent is None else architecture.blocks[block.parent].units
    draws = torch.rand(around, block.n, generator=generator, dtype=torch.float64)
    order: Orders = draws.argsort(-1).numpy()
    return order


def _uniform(count: int, generator: torch.Generator) -> NDArray[np.float64]:
    draws: NDArray[np.float64] = torch.rand(count, generator=generator, dtype=torch.float64).numpy()
    return draws


def _whole(
    architecture: LabelledArchitecture, uniform: NDArray[np.float64], low: float, high: float
) -> NDArray[np.float64]:
    """Free logarithms in a range such that all variables' are whole numbers; 0 where there are none."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if first > last:
        raise ValueError(f"no power of two lies between {2**low:g} and {2**high:g}")
    solutions = architecture.logs
    steps = np.ones(solutions.free, dtype=np.int64)
    exact = np.ones(solutions.free, dtype=np.bool_)
    kept = used_variables(architecture)[solutions.rows]
    columns, coefficients = solutions.columns[kept], solutions.coefficients[kept]
    for value in np.unique(coefficients):
        fraction = Fraction(float(value)).limit_denominator(_LARGEST_DENOMINATOR)
        own = columns[coefficients == value]
        if float(fraction) != value:  # thirds and the like are not exact in binary
            exact[own] = False
        else:
            steps[own] = np.lcm(steps[own], fraction.denominator)
    least, most = -(-first // steps), last // steps
    drawn = steps * np.minimum(least + np.floor(uniform * (most - least + 1)), most)
    return np.where(exact & (least <= most), drawn, 0.0)


def _inexact(architecture: LabelledArchitecture) -> NDArray[np.bool_]:
    """Variables on which a stored sum or logarithm depends: multiplying what is behind it rounds. bool [scales]."""
    found = np.zeros(architecture.scale_count, dtype=np.bool_)
    for _, use in all_uses(architecture):
        if any(step.kind in ("add", "exp") for step in use.stored):
            for _, variables in use.scales:
                found[variables] = True
    return found


def _columns(solutions: Solutions, variables: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The free values on which some of these variables depend."""
    return solutions.columns[variables[solutions.rows]]
