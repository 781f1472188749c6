"""The tensors that decide scales and signs in the normal form: for every class of neurons the first slice that can.

Uses of tensors are visited in the order of the state dict: first running variances, then gains, then tensors with
several numbers in a slice, then what is only added. A slice can decide the scales along its own axes once those along
the other axes are decided. One use decides for a whole class of neurons, so that the result does not depend on the
order of neurons. A slice of zeros decides nothing. Neurons that wait for a slice that is not zero count as zero in all
others; at the end the first slice that is not zero decides for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, LabelledTensor, Use
from nfn_cli.symmetry.labelled.positions import all_uses
from nfn_cli.symmetry.labelled.settled_scales import Settled, Sums, same
from nfn_cli.symmetry.labelled.slice_sums import Moments, ScaleGroup, moments, scale_groups
from nfn_cli.symmetry.labelled.use_plans import powers
from nfn_cli.symmetry.labelled.variance_bounds import is_variance

_VARIANCE, _GAIN, _MATRIX, _ADDED = range(4)
_ADDED_NAMES = ("bias", "mean", "beta")
_WEAK = 16  # units of rounding of one number: how large a sum of third powers must be beside that of their sizes
_SMALLEST = 1e-290  # of sums of squares
Floats = NDArray[np.float64]
Step = Callable[[LabelledTensor, Use, Sequence[ScaleGroup], int], None]


class Reader:
    """Tensors by name. The last one is kept, since views of one tensor mostly follow each other.

    Attributes:
        dtypes: those of all tensors that were read.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self._last: tuple[str, Tensor] | None = None
        self.dtypes: set[torch.dtype] = set()

    def read(self, tensor: LabelledTensor) -> Tensor:
        """A tensor's numbers.

        Raises:
            ValueError: it is not there, or has another shape.
        """
        name = next((own for own in tensor.names if own in self._tensors), None)
        if name is None:
            raise ValueError(f"there is no tensor {tensor.name!r}")
        if self._last is None or self._last[0] != name:
            self._last = None  # before the next one is there
            found = self._tensors[name]
            if tuple(found.shape) != tensor.shape:
                raise ValueError(f"tensor {name!r}: a shape of {tuple(found.shape)}, not {tensor.shape}")
            self._last = (name, found)
            if found.is_floating_point():
                self.dtypes.add(found.dtype)
        return self._last[1]


@dataclass
class Anchors:
    """Scales and signs, as far as they are decided.

    Args:
        precision: numbers nearer to each other than this, relatively, are equal.

    Attributes:
        logs, signs: what is settled.
        least: the smallest |Σ x³| / Σ |x|³ by which a sign was settled; infinite without one.
        zeros: names of tensors and how many of their slices were zero where they should have settled a scale.
    """

    architecture: LabelledArchitecture
    reader: Reader
    logs: Settled
    signs: Settled
    precision: float
    least: float = np.inf
    zeros: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._order = [(tensor, use, scale_groups(use)) for tensor, use in all_uses(self.architecture) if use.scales]
        self._levels = _levels(self.architecture)
        self._late = False
        self._measured: dict[tuple[int, int, bool], tuple[list[Floats], Moments]] = {}

    def settle_scales(self) -> None:
        """Settle all scales that can be."""
        self._sweep(self.logs, self._scale)

    def settle_signs(self, visit: Callable[[LabelledTensor], None]) -> None:
        """Settle all signs that can be, under the scales found.

        Args:
            visit: called with every tensor that is read, beforehand.
        """

        def step(tensor: LabelledTensor, use: Use, groups: Sequence[ScaleGroup], place: int) -> None:
            visit(tensor)
            self._sign(tensor, use, groups, place)

        self._sweep(self.signs, step)

    def factors(self, use: Use) -> list[Floats]:
        """The factors on the numbers of a use, as far as they are decided; 0 where they are not."""
        return [self._factor(group, signed=True) for group in scale_groups(use)]

    def unsettled(self) -> tuple[list[str], list[str]]:
        """Names of tensors with scales or signs that are not decided; first those where all numbers are zero."""
        silent, others = [], []
        for tensor, _, groups in self._order:
            for settled in (self.logs, self.signs):
                sums = [settled.sums(group.terms, group.count) for group in groups]
                if any(bool((own.open & ~own.silent).any()) for own in sums):
                    others.append(tensor.name)
                elif any(bool(own.silent.any()) for own in sums):
                    silent.append(tensor.name)
        return list(dict.fromkeys(silent)), list(dict.fromkeys(others))

    def _factor(self, group: ScaleGroup, *, signed: bool) -> Floats:
        logs = self.logs.sums(group.terms, group.count)
        factor = np.where(logs.known, powers(logs.constants), 0.0)
        if signed:
            signs = self.signs.sums(group.terms, group.count)
            factor = np.where(signs.constants == 1, -factor, factor)
        return factor.reshape(group.shape)

    # The order of work.

    def _sweep(self, settled: Settled, step: Step) -> None:
        self._late, open_uses = False, list(range(len(self._order)))
        for level in (_VARIANCE, _GAIN):
            open_uses = self._once(settled, step, open_uses, (level,))
        while open_uses:
            left = self._once(settled, step, open_uses, (_MATRIX,))
            if len(left) == len(open_uses):
                left = self._once(settled, step, open_uses, (_ADDED,), most=1)
            if len(left) == len(open_uses):
                break
            open_uses = left
        # The rest waits for numbers that are not zero.
        self._late = True
        progress = True
        while progress:
            progress = False
            for tensor, use, groups in self._order:
                for place, group in enumerate(groups):
                    sums = settled.sums(group.terms, group.count)
                    if sums.silent.any():
                        before = int(sums.silent.sum())
                        step(tensor, use, groups, place)
                        progress |= int(settled.sums(group.terms, group.count).silent.sum()) < before

    def _once(
        self,
        settled: Settled,
        step: Step,
        open_uses: list[int],
        levels: tuple[int, ...],
        most: int | None = None,
    ) -> list[int]:
        """Go through the uses in order; those with something left to decide are returned."""
        left, done = [], 0
        for number in open_uses:
            tensor, use, groups = self._order[number]
            waiting = []
            for place, group in enumerate(groups):
                sums = settled.sums(group.terms, group.count)
                if bool((sums.open & ~sums.silent).any()):
                    waiting.append(place)
            if len(waiting) == 1 and self._levels[id(use)] in levels and (most is None or done < most):
                done += 1
                step(tensor, use, groups, waiting[0])
            elif waiting:
                left.append(number)
        return left

    # One use.

    def _scale(self, tensor: LabelledTensor, use: Use, groups: Sequence[ScaleGroup], place: int) -> None:
        found = self._measure(tensor, use, groups, place, cubes=False)
        group = groups[place]
        sums = self.logs.sums(group.terms, group.count)
        chosen = np.flatnonzero(sums.open)
        classes, first = same(sums, chosen)
        squares = found.squares.reshape(-1)[chosen] * np.exp2(2 * sums.constants[chosen])
        counts = np.bincount(classes)
        norms = np.bincount(classes, squares) / counts
        live = norms > _SMALLEST
        if not live.all() and not self._late:
            self.zeros[tensor.name] = self.zeros.get(tensor.name, 0) + int((~live).sum())
        # The stored variance becomes 1, which is never too small.
        target = np.log2(1 + use.stored[0].value) if is_variance(use) else 0.0
        wanted = target - 0.5 * np.log2(norms[live])
        wanted[np.abs(wanted) <= 4 * self.precision] = 0.0  # a network that is normal already keeps every bit
        self._conclude(self.logs, sums, first, live, wanted + sums.constants[first[live]], np.ones(int(live.sum())))

    def _sign(self, tensor: LabelledTensor, use: Use, groups: Sequence[ScaleGroup], place: int) -> None:
        found = self._measure(tensor, use, groups, place, cubes=True)
        group = groups[place]
        sums = self.signs.sums(group.terms, group.count)
        factor = self._factor(group, signed=False).reshape(-1)
        chosen = np.flatnonzero(sums.open)
        classes, first = same(sums, chosen)
        turned = np.where(sums.constants == 1, -1.0, 1.0)
        cubes = np.bincount(classes, (found.cubes.reshape(-1) * turned * factor**3)[chosen])
        sizes = np.bincount(classes, (found.sizes.reshape(-1) * factor**3)[chosen])
        strength = np.abs(cubes) / np.where(sizes > 0, sizes, 1.0)
        # Roundings of many numbers mostly cancel.
        counts = np.bincount(classes) * (math.prod(use.shape) / group.count)
        live = strength > _WEAK * self.precision / np.sqrt(counts)
        if live.any():
            self.least = min(self.least, float(strength[live].min()))
        wanted = (cubes[live] < 0).astype(np.float64) + sums.constants[first[live]]
        self._conclude(self.signs, sums, first, live, wanted, strength[live])

    def _measure(
        self, tensor: LabelledTensor, use: Use, groups: Sequence[ScaleGroup], place: int, *, cubes: bool
    ) -> Moments:
        """Sums over the slices of a use along a group's axes; the other groups' factors are applied, its own is not."""
        factors = []
        for number, group in enumerate(groups):
            if number != place:
                factor = self._factor(group, signed=cubes)
                if cubes:
                    open_signs = self.signs.sums(group.terms, group.count).open.reshape(group.shape)
                    factor = np.where(open_signs, 0.0, factor)
                factors.append(factor)
        axes = groups[place].axes
        kinds = ("sizes", "cubes") if cubes else ("squares",)
        # A use that waits is measured several times, mostly with the same factors.
        key = (id(use), place, cubes)
        before, found = self._measured.get(key, (None, None))
        if found is None or before is None or not all(map(np.array_equal, before, factors)):
            found = moments(self.reader.read(tensor), use, factors, [axes], kinds)[axes]
            self._measured[key] = (factors, found)
        return found

    @staticmethod
    def _conclude(
        settled: Settled,
        sums: Sums,
        first: NDArray[np.int64],
        live: NDArray[np.bool_],
        wanted: Floats,
        weights: Floats,
    ) -> None:
        settled.silence(sums, first[~live], first[live])
        if live.any():
            settled.settle(sums, first[live], wanted, weights)


def _levels(architecture: LabelledArchitecture) -> dict[int, int]:
    """What kind of number each use holds, by its identity."""
    modules: dict[str, list[tuple[str, Use]]] = {}
    for tensor, use in all_uses(architecture):
        prefix, _, last = tensor.name.rpartition(".")
        modules.setdefault(prefix, []).append((last, use))
    found = {}
    for uses in modules.values():
        matrix = any(_is_matrix(use) for _, use in uses)
        gains = 0
        for last, use in uses:
            if is_variance(use):
                level = _VARIANCE
            elif _is_matrix(use):
                level = _MATRIX
            elif matrix or gains or any(word in last for word in _ADDED_NAMES):
                level = _ADDED
            else:
                level, gains = _GAIN, gains + 1
            found[id(use)] = level
    return found


def _is_matrix(use: Use) -> bool:
    """Whether slices have several numbers."""
    spoken = {axis for group in scale_groups(use) for axis in group.axes}
    return len(scale_groups(use)) > 1 or any(size > 1 and axis not in spoken for axis, size in enumerate(use.shape))
