"""How many linear maps between weight spaces commute with a group: counted from sampled elements, without the layers.

An element of the group takes entry oᵢ of U to entry i, times fᵢ. A linear map M commutes with it exactly if
M[oᵢ, oⱼ] = fⱼ / fᵢ · M[i, j] for all i, j. So M is 0 where scales or signs tell i from j, and has one value on each
orbit of pairs under the permutations: the dimension is the number of these orbits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfn_cli.nn.labelled.acting import monomial
from nfn_cli.nn.labelled.layout import LabelledLayout
from nfn_cli.nn.labelled.linear import LabelledLinear
from nfn_cli.symmetry.labelled import sample

_EQUAL = 1e-9  # relative; scales are drawn far apart
_SAMPLES = 12


@dataclass(frozen=True, eq=False)
class Commutant:
    """The linear maps that commute with a group, as orbits of pairs of entries.

    Attributes:
        orbit: int64 [entries, entries], the orbit of each pair (out, in); −1 where a map is zero.
        dimension: of the space of maps: the number of orbits.
    """

    orbit: NDArray[np.int64]
    dimension: int

    @classmethod
    def of(
        cls, layout: LabelledLayout, *, samples: int = _SAMPLES, generator: torch.Generator | None = None
    ) -> Commutant:
        """Count from sampled elements, for networks of at most a few hundred parameters.

        Args:
            samples: elements of each kind: permutations alone, scales and signs alone, and both.
            generator: draws them; by default one of seed 0.

        Raises:
            ArithmeticError: an element does not keep what the others say, so that they form no group of this kind.
        """
        generator = generator or torch.Generator().manual_seed(0)
        count = layout.entries
        alike = np.ones((count, count), bool)
        orders: list[NDArray[np.int64]] = []
        for _ in range(samples):
            scaling = sample(layout.architecture, generator, scale_range=(0.1, 10.0), permute=False)
            _, factor = monomial(scaling, layout)
            alike &= np.abs(factor[:, None] / factor[None] - 1) < _EQUAL
            moving = sample(layout.architecture, generator, scale=False, flip=False)
            orders.append(monomial(moving, layout)[0])
        orbit = _orbits(count, orders)
        size = np.bincount(orbit.ravel())
        kept = np.bincount(orbit[alike], minlength=len(size)) == size
        for _ in range(samples):
            order, factor = monomial(sample(layout.architecture, generator, scale_range=(0.1, 10.0)), layout)
            same = np.abs(factor[:, None] / factor[None] - 1) < _EQUAL
            moved = orbit[np.ix_(order, order)]
            if not np.array_equal(moved, orbit) or not same[kept[orbit]].all():
                raise ArithmeticError("a sampled element does not keep the orbits of the others")
        number = np.where(kept, np.cumsum(kept) - 1, -1)
        return cls(number[orbit], int(kept.sum()))

    def spanned(self, layer: LabelledLinear, *, generator: torch.Generator | None = None) -> int:
        """The dimension of the space that a layer from the weight space to itself spans, by the rank of random ones.

        Raises:
            ArithmeticError: a map of the layer does not commute with the group.
        """
        generator = generator or torch.Generator().manual_seed(0)
        parameters = sum(weight.numel() for weight in layer.parameters())
        chosen, where = np.unique(self.orbit.ravel(), return_index=True)
        first = torch.from_numpy(where[chosen >= 0])
        orbit = torch.from_numpy(self.orbit)
        rows = []
        for _ in range(min(parameters, self.dimension) + 2):
            found = matrix_of(layer, generator)
            values = found.flatten()[first]
            whole = torch.where(orbit >= 0, values[orbit.clamp(min=0)], 0.0) if len(values) else torch.zeros_like(found)
            if not torch.allclose(whole, found, rtol=1e-9, atol=1e-12):
                raise ArithmeticError("a map of the layer does not commute with the group")
            rows.append(values)
        return int(torch.linalg.matrix_rank(torch.stack(rows)))


def matrix_of(layer: LabelledLinear, generator: torch.Generator) -> Tensor:
    """The matrix of a layer from the weight space to itself, float64 [entries, entries], with random parameters."""
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
        count = layer.layout.entries
        unit, fields = torch.eye(count, dtype=torch.float64), []
        for field in layer.layout.fields:
            own, unit = unit[:, : field.entries], unit[:, field.entries :]
            fields.append(own.reshape(count, *field.sizes, field.features))
        return torch.cat([values.reshape(count, -1) for values in layer.double()(fields)], 1).T


def _orbits(count: int, orders: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Numbers 0 … of the orbits of pairs, [count, count], under permutations of entries."""
    label = np.arange(count * count).reshape(count, count)
    while True:
        before = label
        for order in orders:
            there = label[np.ix_(order, order)]
            label = np.minimum(label, there)
            back = np.empty_like(order)
            back[order] = np.arange(count)
            label = np.minimum(label, label[np.ix_(back, back)])
        if np.array_equal(label, before):
            break
    numbers = np.unique(label, return_inverse=True)[1]
    return numbers.reshape(count, count).astype(np.int64)
