"""The search for the element that brings one network to another.

One block after the other is matched, always the one with the most numbers to compare its units by; then the scales that
follow are measured. If A and B lie on one orbit, this finds the element itself. Units that are still alike are
left open and matched again at the end. For other pairs it is a good alignment, which sweeps of coordinate descent
improve.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.alignment.assignment import assign
from nfn_cli.symmetry.alignment.watch import Watch
from nfn_cli.symmetry.labelled.alignment.evidence import ENOUGH_NUMBERS, Costs, Evidence
from nfn_cli.symmetry.labelled.alignment.fitted_scales import Fit
from nfn_cli.symmetry.labelled.alignment.known_scales import Knowledge, Values
from nfn_cli.symmetry.labelled.alignment.measured_factors import measure
from nfn_cli.symmetry.labelled.alignment.paired_slices import Slices
from nfn_cli.symmetry.labelled.alignment.unit_positions import Units
from nfn_cli.symmetry.labelled.alignment.views import NONE, Flags, Ints, entries, views_of
from nfn_cli.symmetry.labelled.element import Element, compose, element_of
from nfn_cli.symmetry.labelled.unit_orders import goes_of, nested_orders

_DOUBLE = 1 << 25  # up to so many weights all is computed in float64
_MANY = 2_048  # units of which few numbers are compared first
_FEW_NUMBERS = 512  # where all units are told apart by so many, no more are compared
_APART = 0.6  # of the second best cost: a best one below it is clear
_ENOUGH = 256  # a block with so many numbers a unit is matched at once


@dataclass(frozen=True)
class State:
    """Where A's units go, and the free scales, in the order of B's units."""

    places: tuple[Ints, ...]
    log: Values
    sign: Flags


class Search:
    """Everything that is known while A is brought next to B.

    Args:
        tolerance: the deviation that counts as rounding.
        scaled: whether scales and signs may be used.
    """

    def __init__(
        self,
        architecture: LabelledArchitecture,
        ours: Mapping[str, Tensor],
        theirs: Mapping[str, Tensor],
        tolerance: float,
        *,
        scaled: bool = True,
    ) -> None:
        self.architecture = architecture
        views = views_of(architecture)
        self.weights = sum(entries(view) for view in views)
        dtype = torch.float64 if self.weights <= _DOUBLE or tolerance < 1e-6 else torch.float32
        self.units = Units(architecture, views)
        self.knowledge = Knowledge(architecture, scaled=scaled)
        self.scaled = scaled
        self.slices = Slices(ours, theirs, views, dtype)
        self.evidence = Evidence(self.units, self.knowledge, self.slices)
        self.fit = Fit(self.slices, self.knowledge)
        self.tied = max(tolerance**2, 1e-13 if dtype == torch.float64 else 1e-6)
        # Of each block, from each unit of the parent in A, the place to which each of its units goes.
        self.places = [
            np.tile(np.arange(block.n), (block.units // block.n, 1)).astype(np.int64) for block in architecture.blocks
        ]
        self.clear = np.zeros(architecture.label_count, dtype=np.bool_)
        self.matched = [False] * len(architecture.blocks)
        self._owned = [self._owned_scales(block) for block in range(len(architecture.blocks))]
        self._follow()

    @property
    def element(self) -> Element:
        """g, with g·A next to B as far as it was found."""
        state = self.state
        permutation = element_of(self.architecture, goes=self.slices.goes)
        scales = element_of(self.architecture, free_logs=state.log, free_signs=state.sign)
        return compose(self.architecture, scales, permutation)

    @property
    def state(self) -> State:
        """A copy of what was found."""
        knowledge = self.knowledge
        return State(
            tuple(own.copy() for own in self.places),
            np.where(knowledge.log_known, knowledge.log, 0.0),
            knowledge.sign & knowledge.sign_known,
        )

    def restore(self, state: State) -> None:
        """Go back to what was found before; all of it counts as settled."""
        self.places = [own.copy() for own in state.places]
        self.knowledge.log, self.knowledge.sign = state.log.copy(), state.sign.copy()
        self.knowledge.log_known[:] = self.knowledge.sign_known[:] = True
        self._all_settled()
        self._follow()

    def restart(self) -> None:
        """Go back to the identity."""
        blocks = self.architecture.blocks
        at_home = tuple(np.tile(np.arange(own.n), (own.units // own.n, 1)).astype(np.int64) for own in blocks)
        free = self.knowledge.logs.free, self.knowledge.signs.free
        self.restore(State(at_home, np.zeros(free[0]), np.zeros(free[1], dtype=np.bool_)))

    def start_from(self, other: Search) -> None:
        """Take over the permutations of another search."""
        state = self.state
        self.restore(State(other.state.places, state.log, state.sign))

    def forward(self, watch: Watch, *, only: Collection[int] | None = None) -> None:
        """Match all blocks, one after the other, and measure all scales.

        Args:
            only: match no other blocks than these, which lie in no other; the others' units stay.
        """
        blocks = self.architecture.blocks
        if only is not None:
            self.matched = [own not in only for own in range(len(blocks))]
        watch.on_stage("matching neurons", len(blocks))
        self._measure(range(len(self.slices.views)))
        amounts: dict[int, int] = {}
        while not all(self.matched):
            ready = [
                own
                for own, block in enumerate(blocks)
                if not self.matched[own] and (block.parent is None or self.matched[block.parent])
            ]
            chosen = None
            for own in ready:
                if own not in amounts:
                    amounts[own] = self._amount(own)
                if amounts[own] >= _ENOUGH + 4 * blocks[own].n:
                    chosen = own
                    break
            if chosen is None:
                chosen = max(ready, key=lambda own: amounts[own])
            self._match(chosen)
            watch.on_step()
            touched = self.units.touched([chosen])
            self._measure(touched)
            near = {own for number in touched for own in self._blocks_of(number)}
            amounts = {own: amount for own, amount in amounts.items() if own not in near}
        self._again(only)
        self._measure(range(len(self.slices.views)))
        self._all_settled()

    def sweep(self, watch: Watch) -> bool:
        """Match every block once more with all others settled; whether anything came nearer."""
        blocks = self.architecture.blocks
        watch.on_stage("matching neurons again", len(blocks))
        better = False
        for block in range(len(blocks)):
            better |= self._rematch(block)
            watch.on_step()
        return better

    def _rematch(self, block: int) -> bool:
        inner = self.units.within(block)
        views = sorted(self.units.touched(inner))
        before, goes = self.state, self.slices.goes
        owned = [self._owned[own] for own in inner]
        for logs, signs in owned:
            self.knowledge.log_known[logs] = False
            self.knowledge.sign_known[signs] = False
        for own in inner:
            self.clear[self.architecture.blocks[own].labels] = False
        self.knowledge.refresh()
        for own in inner:
            self._match(own)
        if np.array_equal(self.slices.goes, goes):
            self.restore(before)
            return False
        self.clear[:] = True
        self.knowledge.forget_measured()
        self._measure(views)
        self._all_settled()
        after = self.state
        now = self.fit.distance(views)
        self.restore(before)
        if now < self.fit.distance(views) * (1 - 1e-9):
            self.restore(after)
            return True
        return False

    def _again(self, only: Collection[int] | None) -> None:
        """Match units that looked alike once more, by what has been settled since."""
        for block in range(len(self.architecture.blocks)) if only is None else sorted(only):
            labels = self.architecture.blocks[block].labels
            if labels.size and not bool(self.clear[labels].all()):
                for own in self.units.within(block):
                    self.clear[self.architecture.blocks[own].labels] = False
                for own in self.units.within(block):
                    if only is None or own in only:
                        self._match(own, final=True)
                self._measure(self.units.touched([block]))

    def _amount(self, block: int) -> int:
        own = self.evidence.amount(block, self.clear)
        if own:
            return own
        # The numbers of inner units count for the outer one as well, but less.
        inner = [self.evidence.inner_amount(child, self.clear) for child in self.units.children[block]]
        return sum(inner) // 2

    def _match(self, block: int, *, final: bool = False) -> None:
        own = self.architecture.blocks[block]
        parents = own.units // own.n
        costs = None
        if own.n >= _MANY:
            costs = self.evidence.costs(block, self.clear, budget=_FEW_NUMBERS)
            if costs is not None and not _is_clear(costs):
                costs = None
        if costs is None:
            costs = self.evidence.costs(block, self.clear, budget=ENOUGH_NUMBERS)
        orders = np.tile(np.arange(own.n), (parents, 1))  # by place in B, the place in A as it lies now
        alike = np.zeros((parents, own.n), dtype=np.bool_)
        if costs is None:
            alike[:] = own.n > 1
        else:
            for parent in range(parents):
                orders[parent], alike[parent] = self._assigned(costs, parent)
        self.matched[block] = True
        self.clear[own.labels] = True if final else ~alike.reshape(-1, 1)
        self._move(block, orders)

    def _assigned(self, costs: Costs, parent: int) -> tuple[Ints, Flags]:
        """For each place of B the unit of A that comes there, and whether others might as well."""
        cost, size = costs.cost[parent], costs.size[parent]
        if len(cost) == 1:
            return np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.bool_)
        tied = cost <= self.tied * size
        chosen = cost.argmin(1)
        # A permutation of best partners is the best one; large costs are not copied to see that.
        if len(chosen.unique()) < len(chosen) or not bool(cost.isfinite().all()):
            chosen = assign(cost.double(), tied)
        alike = tied.sum(1) > 1
        # Units without any numbers of their own are all alike.
        alike |= size[torch.arange(len(size)), chosen] == 0
        return chosen.numpy(), alike.numpy()

    def _move(self, block: int, orders: Ints) -> None:
        own = self.architecture.blocks[block]
        chosen = (orders + np.arange(len(orders))[:, None] * own.n).reshape(-1)
        if np.array_equal(chosen, np.arange(own.units)):
            return
        order = nested_orders(self.architecture, self.places)[block]
        before = np.argsort(order)  # the unit of A that lies at each place now
        units = before[chosen]
        self.places[block].reshape(-1)[units] = np.arange(own.units) % own.n
        self._follow()

    def _follow(self) -> None:
        self.slices.follow(goes_of(self.architecture, nested_orders(self.architecture, self.places)))

    def _measure(self, views: Iterable[int]) -> None:
        if self.scaled:
            measure(views, self.slices, self.knowledge, self.units.settled(self.clear))

    def _all_settled(self) -> None:
        self.clear[:] = True
        self.matched = [True] * len(self.matched)
        knowledge = self.knowledge
        knowledge.log[~knowledge.log_known] = 0.0
        knowledge.sign[~knowledge.sign_known] = False
        knowledge.log_known[:] = knowledge.sign_known[:] = True
        knowledge.forget_measured()
        knowledge.refresh()

    def _blocks_of(self, view: int) -> set[int]:
        return self.units.blocks_in(view)

    def _owned_scales(self, block: int) -> tuple[Ints, Ints]:
        """Free logarithms and signs that stand at one unit of a block alone."""
        found = []
        units = self.architecture.blocks[block].units
        for behind, free, odd in (
            (self.knowledge.behind_logs, self.architecture.logs.free, False),
            (self.knowledge.behind_signs, self.architecture.signs.free, True),
        ):
            low, high = np.full(free, units), np.full(free, -1)
            for table in self.units.tables(block):
                for coefficient, along, variables in self.slices.views[table.view].scales:
                    if along != {table.dimension} or (odd and coefficient % 2 == 0):
                        continue
                    own = variables.reshape(-1)[table.positions]
                    which, columns, _ = behind.of(own.reshape(-1))
                    unit = which // own.shape[1]
                    np.minimum.at(low, columns, unit)
                    np.maximum.at(high, columns, unit)
            found.append(np.flatnonzero(low == high))
        return found[0], found[1]


def _is_clear(costs: Costs) -> bool:
    """Whether each unit has one partner, far nearer than all others, and no two have the same."""
    best, at = costs.cost.topk(2, largest=False)
    if not bool((best[..., 0] < _APART * best[..., 1]).all()):
        return False
    return all(len(own.unique()) == len(own) for own in at[..., 0])


__all__ = ["NONE", "Search", "State"]
