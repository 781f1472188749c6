"""A checkpoint's tensors after an element on labels has acted, each computed when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.checkpoints import PartedTensors
from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry.labelled.action import TensorAction, present
from nfn_cli.symmetry.labelled.element import Element, require_of


class TransformedTensors(PartedTensors):
    """The tensors of a file on which an element acts, after the action and in the file's dtype.

    Each is computed in float64 when it is asked for, rounded, and not kept, so that memory never holds a large network
    twice. Tied tensors, of which the file has several names, get the same numbers.

    Args:
        path: of the file, for messages.
        tensors: the file's, by name; those that the architecture does not name are left out of the result.
        exact: refuse numbers that would be rounded; scales that are powers of two round none.

    Attributes:
        rounding: the largest error of rounding among the tensors asked for, relative to the largest entry of the same
            tensor.

    Raises:
        CheckpointError: on asking, where a number leaves the range of the dtype, or is rounded where none may be.
        ValueError: the element is of another architecture, a tensor is not there, or, on asking, has another shape.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tensors: Mapping[str, Tensor],
        architecture: LabelledArchitecture,
        element: Element,
        *,
        exact: bool = False,
    ) -> None:
        require_of(architecture, element)
        self.path, self.tensors, self.element, self.exact = path, tensors, element, exact
        self.labelled = {name: tensor for tensor in architecture.tensors for name in present(tensor, tensors)}
        self.rounding = 0.0

    def __getitem__(self, name: str) -> Tensor:
        old = self.tensors[name]
        new = torch.empty_like(old, memory_format=torch.contiguous_format)
        rows, start = torch.atleast_1d(new), 0
        for part in self.parts(name):
            part = torch.atleast_1d(part)
            rows[start : start + len(part)] = part
            start += len(part)
        return new

    def parts(self, name: str) -> Iterator[Tensor]:
        """The tensor's rows, a few at a time."""
        tensor, own = self.labelled[name], self.tensors[name]
        old = self.tensors[next(other for other in tensor.names if other in self.tensors)]
        if old.dtype != own.dtype:
            cause = f"tensors {tensor.name!r} and {name!r} are one, and have two dtypes"
            raise CheckpointError(self.path, cause, "save them again in one dtype")
        action = TensorAction(tensor, self.element)
        kind = str(own.dtype).removeprefix("torch.")
        for part in action.rows(old):
            if action.beyond:
                cause = f"tensor {name!r} would leave the range of {kind}"
                raise CheckpointError(self.path, cause, "convert the checkpoint to float32 first")
            if self.exact and action.lost:
                cause = f"tensor {name!r} would be rounded, as numbers below the range of {kind} are"
                raise CheckpointError(self.path, cause, "convert the checkpoint to float32 first")
            if action.negative:
                cause = f"tensor {name!r} would hold a negative variance"
                raise CheckpointError(self.path, cause, "use an element whose scales are nearer to 1")
            yield part
        self.rounding = max(self.rounding, action.lost / action.largest if action.largest else 0.0)

    def __iter__(self) -> Iterator[str]:
        return iter(self.labelled)

    def __len__(self) -> int:
        return len(self.labelled)
