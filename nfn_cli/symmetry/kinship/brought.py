"""One network's numbers brought to another's places, tensor by tensor and a few rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nfn_cli.architectures.traced import COUNTS
from nfn_cli.symmetry.action import acted_rows
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.interpolated import names_of_pairs
from nfn_cli.symmetry.neurons import CHUNK
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    # Chains, which are read by the thousand, need none of these.
    from nfn_cli.architectures.labels import LabelledArchitecture, LabelledTensor
    from nfn_cli.symmetry.sources import AnyElement, AnySource

_NEAR = 0.05  # of a scale's logarithm to the base 2, from a whole number


@dataclass(frozen=True)
class Brought:
    """A network X, and another one Y that an element brings near to it.

    Attributes:
        fixed, moving: X and Y.
        element: g; g·Y is near to X.
    """

    fixed: AnySource
    moving: AnySource
    element: AnyElement

    @cached_property
    def pairs(self) -> dict[str, str]:
        """X's name of every tensor of the network by Y's, counters apart.

        Raises:
            ArchitectureError: the two files do not store their networks alike.
        """
        return {
            mine: other
            for mine, other in names_of_pairs(self.fixed, self.moving).items()
            if not mine.endswith(COUNTS) and not mine.endswith(".num_batches_tracked")
        }

    def rows(self, name: str) -> Iterator[Tensor]:
        """The rows of one of Y's tensors under g, some at a time: float64, at least as exact as float32."""
        old, element = self.moving.checkpoint.tensors[name], self.element
        if isinstance(self.moving, Source):
            assert isinstance(element, GroupElement)
            specs = {spec.name: spec for spec in self.moving.stored.tensors}
            if name in specs:
                count = max(1, CHUNK // max(1, old[:1].numel()))
                yield from acted_rows(element, old, specs[name], self.moving.stored.omegas_of_groups, count)
                return
        else:
            from nfn_cli.symmetry.labelled import TensorAction

            assert not isinstance(element, GroupElement)
            if name in self._acted_on:
                wide = old.to(torch.promote_types(old.dtype, torch.float32))
                action = TensorAction(self._acted_on[name], element)
                yield from (torch.atleast_1d(part).double() for part in action.rows(wide))
                return
        whole = torch.atleast_1d(old)
        yield from (part.double() for part in whole.split(max(1, CHUNK // max(1, whole[:1].numel()))))

    def added(self, name: str) -> float:
        """What is added to a vector's numbers before they are rounded, at most: phases, and what a norm adds to its
        gains."""
        if isinstance(self.moving, Source):
            assert isinstance(self.element, GroupElement)
            spec = next((spec for spec in self.moving.stored.tensors if spec.name == name), None)
            omegas = self.moving.stored.omegas_of_groups
            groups = [] if spec is None or len(spec.shape) > 1 else [role.group for role in spec.roles]
            turns = [(self.element.half_turns[own], omegas[own]) for own in groups if own is not None]
            return max((own.abs().amax().item() * math.pi / omega for own, omega in turns if own.numel()), default=0.0)
        found = next((tensor for tensor in self.moving.architecture.tensors if name in tensor.names), None)
        steps = [] if found is None else [step for use in found.uses for step in use.stored if step.kind == "add"]
        return max((abs(step.value) for step in steps), default=0.0)

    @cached_property
    def _acted_on(self) -> dict[str, LabelledTensor]:
        """Y's tensors on which g acts, by each of their names, of a network that was traced."""
        assert not isinstance(self.moving, Source)
        return {name: tensor for tensor in self.moving.architecture.tensors if tensor.uses for name in tensor.names}

    @cached_property
    def labels(self) -> LabelledArchitecture:
        """The labels of Y's tensors; of sines' phases there are none."""
        if isinstance(self.moving, Source):
            from nfn_cli.symmetry.labelled import label_chain

            return label_chain(self.moving.stored)
        return self.moving.architecture

    def settled(self) -> Brought | None:
        """The same with scales that are whole powers of two, which round nothing; None where those of g are not."""
        element = self.element
        if isinstance(element, GroupElement):
            logs = [own.abs().log2() for own in element.diagonals]
            if any(bool(((own - own.round()).abs() > _NEAR).any()) for own in logs):
                return None
            diagonals = zip(element.diagonals, logs, strict=True)
            return replace(
                self, element=replace(element, diagonals=tuple(d.sign() * n.round().exp2() for d, n in diagonals))
            )
        whole = np.rint(element.logs)
        if bool((np.abs(element.logs - whole) > _NEAR).any()):
            return None
        return replace(self, element=replace(element, logs=whole))

    def scaled(self, logs: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Brought:
        """The same after further scales: log₂ of each of `labels`' scale variables [scales], in X's order."""
        element = self.element
        if isinstance(element, GroupElement):
            parts = torch.from_numpy(logs).exp2().split([len(own) for own in element.diagonals])
            diagonals = tuple(d * own for d, own in zip(element.diagonals, parts, strict=True))
            return replace(self, element=replace(element, diagonals=diagonals))
        from nfn_cli.symmetry.labelled import Element, compose, identity

        still = identity(self.labels)
        return replace(self, element=compose(self.labels, Element(still.goes, logs, still.signs), element))
