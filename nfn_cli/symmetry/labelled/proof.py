"""Is a network's group what the tracer says? Each part of it acts on random weights, and no output may change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, Solutions
from nfn_cli.symmetry.labelled.action import act
from nfn_cli.symmetry.labelled.element import Element, element_of
from nfn_cli.symmetry.labelled.positions import all_uses
from nfn_cli.symmetry.labelled.sampling import sample, shuffled
from nfn_cli.symmetry.labelled.unit_orders import goes_of, nested_orders
from nfn_cli.symmetry.labelled.variance_bounds import bounded
from nfn_cli.symmetry.preservation import relative_change

TOLERANCE = 1e-10
RANGE = (0.5, 2.0)  # of scales: products over many layers keep within what float64 resolves
_MOST_NAMES = 4
Run = Callable[[dict[str, Tensor]], list[Tensor]]


@dataclass(frozen=True)
class ProofRow:
    """One part of the group, and how much it changed the outputs.

    Attributes:
        what: `permutation`, `permutations`, `scales`, `signs` or `everything`.
        where: the name of the block, or a description.
        deviation: max |Δ| / max |out|, the worst of all outputs; infinite where a value is NaN.
        tolerance: the deviation that still counts as rounding.
    """

    what: str
    where: str
    deviation: float
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether the function stayed the same but for rounding."""
        return self.deviation <= self.tolerance


@dataclass(frozen=True)
class Proof:
    """How the outputs changed under each part of a group.

    Attributes:
        rows: one for each part, in the order of the blocks.
    """

    rows: tuple[ProofRow, ...]

    @property
    def proven(self) -> bool:
        """Whether no part changes the function."""
        return self.fault is None

    @property
    def fault(self) -> ProofRow | None:
        """The part that changes the function: the first one, or the smaller part of it that was found to do so."""
        failed = [row for row in self.rows if not row.passed]
        if not failed:
            return None
        # The row behind one of several blocks says which of them it is.
        inside = [row for row in failed[1:2] if failed[0].what in (row.what, f"{row.what}s")]
        return failed[0] if failed[0].what == "permutation" or not inside else inside[0]


def prove(
    architecture: LabelledArchitecture,
    run: Run,
    state: Mapping[str, Tensor],
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    most: int = 256,
) -> Proof:
    """Let every block's permutations, all scales, all signs and the whole group act in turn, and compare outputs.

    Where several things act together and the function changes, one more row says which of them alone changes it, if one
    does; it is found by halving.

    Args:
        run: computes outputs from a state dict, in float64.
        state: float64 numbers, all tensors that `run` needs; running variances above 0. Random ones, all different:
            weights that happen to be equal prove nothing.
        most: how many blocks are permuted alone; the others are permuted together, in one row that says so.

    Raises:
        ValueError: outputs that are not finite, or all zero, which would prove nothing; or an element does not act.
    """
    before = run(dict(state))
    if not all(bool(out.isfinite().all()) for out in before) or not any(bool(out.any()) for out in before):
        raise ValueError("the network's outputs on these weights are no numbers, or all zero")
    generator = torch.Generator().manual_seed(seed)
    rows: list[ProofRow] = []

    def measure(element: Element) -> float:
        return _deviation(before, run(act(bounded(element, architecture, state), architecture, state)))

    def compare(what: str, where: str, element: Element) -> bool:
        rows.append(ProofRow(what, where, measure(element), tolerance))
        return rows[-1].passed

    def narrow(element_for: Callable[[Sequence[int]], Element], items: Sequence[int]) -> int | None:
        """The one of several items that changes the function by itself."""
        while len(items) > 1:
            halves = items[: len(items) // 2], items[len(items) // 2 :]
            worse = next((half for half in halves if measure(element_for(half)) > tolerance), None)
            if worse is None:
                return None
            items = worse
        return items[0]

    def compare_scales(
        what: str, own: Element, solutions: Solutions, element_for: Callable[[Sequence[int]], Element]
    ) -> None:
        if compare(what, f"all {solutions.free:,} free {what}", own):
            return
        found = narrow(element_for, range(solutions.free))
        if found is not None:
            compare(what, _where(architecture, solutions, found), element_for([found]))

    places = [place for place, block in enumerate(architecture.blocks) if block.n > 1]
    for place in places[:most]:
        compare("permutation", architecture.blocks[place].name, _shuffle(architecture, [place], generator))
    if rest := places[most:]:
        where = f"the other {len(rest)} blocks, together" if most else f"all {len(rest)} blocks, together"
        if not compare("permutations", where, _shuffle(architecture, rest, generator)):
            found = narrow(lambda some: _shuffle(architecture, some, generator), rest)
            if found is not None:
                name = architecture.blocks[found].name
                compare("permutation", name, _shuffle(architecture, [found], generator))
    if architecture.logs.free:
        own = sample(architecture, generator, scale_range=RANGE, permute=False, flip=False)
        compare_scales("scales", own, architecture.logs, lambda some: _doubled(architecture, some))
    if architecture.signs.free:
        # Drawn at random, a single sign is positive every other time.
        own = sample(architecture, generator, permute=False, scale=False)
        if not own.signs.any():
            own = element_of(architecture, free_signs=np.ones(architecture.signs.free, dtype=np.bool_))
        compare_scales("signs", own, architecture.signs, lambda some: _flipped(architecture, some))
    if len(rows) > 1:
        own = sample(architecture, generator, scale_range=RANGE)
        goes = _shuffle(architecture, places, generator).goes
        compare("everything", "the whole group", replace(own, goes=goes))
    return Proof(tuple(rows))


def _shuffle(architecture: LabelledArchitecture, places: Sequence[int], generator: torch.Generator) -> Element:
    """Some blocks' units shuffled, with what is in them, and never left as they are."""
    orders = []
    for place, block in enumerate(architecture.blocks):
        own = shuffled(architecture, block, generator) if place in places else None
        if own is not None and np.array_equal(own, np.broadcast_to(np.arange(block.n), own.shape)):
            own = np.roll(own, 1, axis=1)
        orders.append(own)
    return element_of(architecture, goes=goes_of(architecture, nested_orders(architecture, orders)))


def _doubled(architecture: LabelledArchitecture, free: Sequence[int]) -> Element:
    logs = np.zeros(architecture.logs.free)
    logs[list(free)] = 1.0
    return element_of(architecture, free_logs=logs)


def _flipped(architecture: LabelledArchitecture, free: Sequence[int]) -> Element:
    signs = np.zeros(architecture.signs.free, dtype=np.bool_)
    signs[list(free)] = True
    return element_of(architecture, free_signs=signs)


def _where(architecture: LabelledArchitecture, solutions: Solutions, free: int) -> str:
    """The tensors on which a free variable acts."""
    variables = np.zeros(architecture.scale_count, dtype=np.bool_)
    variables[solutions.rows[solutions.columns == free]] = True
    uses = all_uses(architecture)
    names = dict.fromkeys(
        tensor.name for tensor, use in uses if any(bool(variables[own].any()) for _, own in use.scales)
    )
    shown = list(names)[:_MOST_NAMES]
    more = len(names) - len(shown)
    return f"one at {', '.join(shown)}" + (f" and {more} more" if more else "")


def _deviation(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    if len(before) != len(after):
        return math.inf
    largest = 0.0
    for old, new in zip(before, after, strict=True):
        if old.shape != new.shape:
            return math.inf
        if old.numel():
            largest = max(largest, relative_change(old, new))
    return largest
