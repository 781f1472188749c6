"""Random networks on labels and elements of their group, for `assert_equivariant` and `assert_invariant`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from nfn_cli.nn.labelled.acting import FieldAction
from nfn_cli.nn.labelled.layout import LabelledLayout
from nfn_cli.symmetry.labelled import Element, inverse, sample

_SHOWN = 8  # numbers of an element in a message


@dataclass(frozen=True, eq=False)
class LabelledCase:
    """Random networks U and an element g.

    Attributes:
        point, moved: U and g·U, as fields or as tensors by name.
    """

    layout: LabelledLayout
    element: Element
    on_fields: bool
    point: Any
    moved: Any

    def back(self, found: Any) -> Any:
        """g⁻¹ on what a layer made of `moved`."""
        action = FieldAction(inverse(self.layout.architecture, self.element), self.layout)
        if self.on_fields:
            return action(found)
        return self.layout.unpack(action(self.layout.pack(found)))

    def named(self, found: Sequence[Tensor] | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a layer gives, with names for messages."""
        if isinstance(found, Mapping):
            return {name: found[name] for name in self.layout.shapes}
        names = [", ".join(piece.name for piece in field.pieces) for field in self.layout.fields]
        return {f"the field of {name}": values for name, values in zip(names, found, strict=True)}

    def lines(self) -> Iterator[str]:
        """The element, block by block, and its scales."""
        for block in self.layout.architecture.blocks:
            labels = block.labels[:, :1].ravel()
            yield f"  {block.name}: its neurons go to {_few(self.element.goes[labels].tolist())}"
        factors = np.where(self.element.signs, -1.0, 1.0) * np.exp2(self.element.logs)
        yield f"  scales {_few([round(value, 4) for value in factors[factors != 1].tolist()])}"


def labelled_cases(
    layout: LabelledLayout,
    on: Literal["fields", "weights"],
    samples: int,
    networks: int,
    scale_range: tuple[float, float],
    generator: torch.Generator | None,
) -> Iterator[LabelledCase]:
    """Draw elements, each with networks of its own; see `assert_equivariant` for what is drawn."""
    generator = generator or torch.Generator().manual_seed(0)
    for _ in range(samples):
        element = sample(layout.architecture, generator, scale_range=scale_range)
        fields = []
        for field in layout.fields:
            shape = (networks, *field.sizes, field.features)
            values = torch.randn(shape, generator=generator, dtype=torch.float64)
            # What is stored as a logarithm or behind an addition, such as a variance, is positive.
            fields.append(values.abs() if any(piece.stored for piece in field.pieces) else values)
        moved = FieldAction(element, layout)(fields)
        both = (fields, moved) if on == "fields" else (layout.unpack(fields), layout.unpack(moved))
        yield LabelledCase(layout, element, on == "fields", *both)


def _few(values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:_SHOWN])
    return f"[{shown}, ...]" if len(values) > _SHOWN else f"[{shown}]"
