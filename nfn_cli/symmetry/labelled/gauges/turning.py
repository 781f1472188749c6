"""A checkpoint's tensors under turns that are found one after the other, each tensor computed when it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.labelled.action import act_on_tensor, present
from nfn_cli.symmetry.labelled.element import Element
from nfn_cli.symmetry.labelled.gauges.turns import Turn, acted, read_gain, touched


class Turning:
    """Tensors under steps that may grow in number.

    Args:
        tensors: by name, as they lie.
        dtype: in which all is computed.
    """

    def __init__(self, architecture: LabelledArchitecture, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        self.architecture, self.tensors, self.dtype = architecture, tensors, dtype
        self._steps: list[tuple[Turn, tuple[Tensor, ...]] | Element] = []

    def now(self, place: int) -> Tensor:
        """A tensor after all steps."""
        tensor = self.at_first(place).to(self.dtype)
        for step in self._steps:
            if isinstance(step, Element):
                if self.architecture.tensors[place].uses:
                    tensor = act_on_tensor(step, self.architecture.tensors[place], tensor)
            else:
                tensor = acted(step[0], place, tensor, step[1])
        return tensor

    def at_first(self, place: int) -> Tensor:
        """A tensor before any step, in its own dtype."""
        return self.tensors[present(self.architecture.tensors[place], self.tensors)[0]]

    def gains(self, turn: Turn) -> tuple[Tensor, ...]:
        """The gains that a turn absorbs, as they are now."""
        return tuple(read_gain(turn.known, own, self.now(own.gain)) for own in turn.known.action.gains)

    def turn(self, turn: Turn) -> None:
        """One more step."""
        self._steps.append((turn, self.gains(turn)))

    def move(self, element: Element) -> None:
        """One more step, by an element of the group."""
        self._steps.append(element)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Those among the steps."""
        return tuple(step[0] for step in self._steps if not isinstance(step, Element))

    def finished(self) -> dict[str, Tensor]:
        """All tensors that a step changes, by name, each rounded to its dtype."""
        moved = any(isinstance(step, Element) for step in self._steps)
        places = {place for turn in self.turns for place in touched(turn)}
        if moved:
            places = {place for place, tensor in enumerate(self.architecture.tensors) if tensor.uses}
        found: dict[str, Tensor] = {}
        for place in sorted(places):
            own = self.now(place).to(self.at_first(place).dtype)
            found.update({name: own for name in self.architecture.tensors[place].names if name in self.tensors})
        return found


def act_by(
    turns: Sequence[Turn], tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """All tensors by name after turns of one architecture, one turn after the other, each rounded to its dtype once.

    Args:
        dtype: in which all is computed.

    Raises:
        ValueError: a tensor is not there.
    """
    if not turns:
        return dict(tensors)
    turning = Turning(turns[0].known.architecture, tensors, dtype)
    for turn in turns:
        turning.turn(turn)
    return {**tensors, **turning.finished()}


class Overlaid(Mapping[str, Tensor]):
    """Tensors by name, some of them replaced."""

    def __init__(self, below: Mapping[str, Tensor], above: Mapping[str, Tensor]) -> None:
        self._below, self._above = below, above

    def __getitem__(self, name: str) -> Tensor:
        return self._above[name] if name in self._above else self._below[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._below)

    def __len__(self) -> int:
        return len(self._below)
