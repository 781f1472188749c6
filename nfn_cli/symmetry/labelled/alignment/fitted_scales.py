"""The scales that bring one network nearest to another once all neurons are matched."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.symmetry.labelled.alignment.known_scales import MOST, Knowledge, Values
from nfn_cli.symmetry.labelled.alignment.paired_slices import Slices, factors, thinned
from nfn_cli.symmetry.labelled.alignment.views import Ints, entries

_MOST_NUMBERS = 1 << 22  # of a view
_LARGE = 1 << 28  # numbers of a network of which fewer are taken of each view
_FEWER_NUMBERS = 1 << 20
_MOST_KEPT = 1 << 22  # numbers that are kept in memory
_LEAST_STEP = 1e-5  # of a distance, relative


class Fit:
    """How far A is from B, view by view, and descent along the scales."""

    def __init__(self, slices: Slices, knowledge: Knowledge) -> None:
        self.slices, self.knowledge = slices, knowledge
        self._sizes: dict[int, float] = {}
        solutions = knowledge.logs
        self._spread = np.bincount(solutions.rows, np.abs(solutions.coefficients), minlength=solutions.variables)
        self._goes: NDArray[np.int32] | None = None
        self._kept: dict[int, tuple[Tensor, Tensor, list[Ints]]] = {}
        total = sum(entries(view) for view in slices.views)
        self._most = _MOST_NUMBERS if total <= _LARGE else _FEWER_NUMBERS

    def distance(self, views: Iterable[int]) -> float:
        """Σ ‖g·A − B‖² / ‖B‖² over some views, or over some of their entries where they are large."""
        total = 0.0
        for number in views:
            ours, theirs, _ = self._pair(number)
            total += (ours - theirs).square().sum().item() / self._size(number)
        return total

    def flip(self, rounds: int) -> None:
        """Change signs as long as A comes nearer to B: all that should help together, or the one that helps most."""
        knowledge, views = self.knowledge, range(len(self.slices.views))
        for _ in range(rounds):
            agree = self._agreement(views)
            wrong = np.flatnonzero(agree < 0)
            if not len(wrong):
                return
            before = self.distance(views)
            for some in (wrong, wrong[[np.argmin(agree[wrong])]]):
                knowledge.sign[some] ^= True
                knowledge.refresh()
                if self.distance(views) < before * (1 - _LEAST_STEP):
                    break
                knowledge.sign[some] ^= True
                knowledge.refresh()
            else:
                return

    def _agreement(self, views: Iterable[int]) -> Values:
        """For each free sign the weighted inner product of A's and B's entries that have it."""
        solutions = self.knowledge.signs
        found = np.zeros(solutions.variables)
        for number in views:
            view = self.slices.views[number]
            if not any(coefficient % 2 for coefficient, _, _ in view.scales):
                continue
            ours, theirs, places = self._pair(number)
            inner = ours * theirs / self._size(number)
            for coefficient, along, variables in view.scales:
                if coefficient % 2:
                    for dimension in along:
                        variables = np.take(variables, places[dimension], axis=dimension)
                    rest = [dimension for dimension in range(ours.ndim) if dimension not in along]
                    summed = inner.sum(rest, keepdim=True) if rest else inner
                    np.add.at(found, variables.reshape(-1), summed.reshape(-1).numpy())
        odd = solutions.coefficients % 2 != 0
        rows, columns = solutions.rows[odd], solutions.columns[odd]
        return np.bincount(columns, found[rows], minlength=solutions.free).astype(np.float64)

    def descend(self, steps: int) -> None:
        """Gauss-Newton steps, with a diagonal bound of the curvature, until the distance does not fall any more."""
        knowledge = self.knowledge
        if not len(knowledge.log):
            return
        best, last = knowledge.log.copy(), float("inf")
        views = range(len(self.slices.views))
        for _ in range(steps):
            total, slope, bend = self._derivatives(views)
            if not total < last * (1 - _LEAST_STEP):
                if total > last:
                    knowledge.log = best
                    knowledge.refresh()
                return
            best, last = knowledge.log.copy(), total
            step = -slope / np.where(bend > 0, bend, 1.0)
            knowledge.log = np.clip(knowledge.log + np.clip(step, -1, 1), -MOST, MOST)
            knowledge.refresh()
        if self.distance(views) > last:
            knowledge.log = best
            knowledge.refresh()

    def _derivatives(self, views: Iterable[int]) -> tuple[float, Values, Values]:
        knowledge = self.knowledge
        total = 0.0
        slope, bend = np.zeros(knowledge.logs.variables), np.zeros(knowledge.logs.variables)
        for number in views:
            ours, theirs, places = self._pair(number)
            size = self._size(number)
            left = ours - theirs
            total += left.square().sum().item() / size
            view = self.slices.views[number]
            if not view.scales:
                continue
            spread = torch.zeros((1,) * ours.ndim, dtype=torch.float64)
            own = []
            for coefficient, along, variables in view.scales:
                for dimension in along:
                    variables = np.take(variables, places[dimension], axis=dimension)
                own.append((coefficient, along, variables))
                weight = abs(coefficient) * self._spread[variables].reshape(variables.shape or (1,) * ours.ndim)
                spread = spread + torch.from_numpy(np.asarray(weight))  # NumPy turns a single number into a scalar
            first = left * ours / size
            second = ours.square() * spread / size
            for coefficient, along, variables in own:
                rest = [dimension for dimension in range(ours.ndim) if dimension not in along]
                for target, values, factor in ((slope, first, coefficient), (bend, second, abs(coefficient))):
                    summed = values.sum(rest, keepdim=True) if rest else values
                    np.add.at(target, variables.reshape(-1), factor * summed.reshape(-1).numpy())
        solutions = knowledge.logs
        found = []
        for target, coefficients in ((slope, solutions.coefficients), (bend, np.abs(solutions.coefficients))):
            found.append(
                np.bincount(solutions.columns, coefficients * target[solutions.rows], minlength=solutions.free)
            )
        return total, found[0] * np.log(2), found[1] * np.log(2) ** 2

    def _pair(self, number: int) -> tuple[Tensor, Tensor, list[Ints]]:
        view = self.slices.views[number]
        if self._goes is not self.slices.goes:
            self._goes = self.slices.goes
            self._kept.clear()
        kept = self._kept.get(number)
        if kept is None:
            places = thinned([np.arange(size) for size in view.shape], self._most)
            ours, theirs = self.slices.pair(number, places, [])
            kept = (ours.double(), theirs.double(), places)
            if sum(own[0].numel() for own in self._kept.values()) < _MOST_KEPT:
                self._kept[number] = kept
        ours, theirs, places = kept
        for factor in factors(self.knowledge.parts(view), places):
            ours = ours * factor
        return ours, theirs, places

    def _size(self, number: int) -> float:
        size = self._sizes.get(number)
        if size is None:
            _, theirs, _ = self._pair(number)
            size = self._sizes[number] = theirs.square().sum().item() or 1.0
        return size
