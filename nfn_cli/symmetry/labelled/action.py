"""The action of an element on tensors: in float64, a chunk at a time, in each tensor's own dtype and layout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, LabelledTensor, Stored
from nfn_cli.symmetry.labelled.element import Element, require_of
from nfn_cli.symmetry.labelled.use_plans import Box, UsePlan
from nfn_cli.threads import threads_for

# Numbers held in float64 at once, a megabyte: they fit into a processor's cache, and one thread is enough for them.
CHUNK = 1 << 17


class TensorAction:
    """What an element does to one tensor.

    Attributes:
        largest: the largest number that came out so far, in absolute value.
        lost: the largest error of rounding to the tensor's dtype so far, or a bound of it below float64's range.
        beyond: whether a number left the range of the dtype.
        negative: whether a running variance became negative, which `bounded` prevents.

    Raises:
        ValueError: the element does not act on the tensor; the message names it.
    """

    def __init__(self, tensor: LabelledTensor, element: Element) -> None:
        self.tensor = tensor
        self.largest = self.lost = 0.0
        self.beyond = self.negative = False
        count = torch.Size(tensor.shape).numel()
        try:
            self.plans = [UsePlan.of(use, element, count) for use in tensor.uses]
            if sum(torch.Size(plan.shape).numel() for plan in self.plans) > count:
                raise ValueError("its views overlap")
        except ValueError as error:
            raise ValueError(f"tensor {tensor.name!r}: {error}") from error

    def rows(self, old: Tensor) -> Iterator[Tensor]:
        """The tensor's rows after the action, some at a time, in its dtype. What is only permuted keeps every bit.

        Raises:
            ValueError: a tensor of another shape; or numbers are to be multiplied that are no floating-point numbers.
        """
        if tuple(old.shape) != self.tensor.shape:
            raise ValueError(f"tensor {self.tensor.name!r}: a shape of {tuple(old.shape)}, not {self.tensor.shape}")
        if not old.is_floating_point() and any(plan.factors for plan in self.plans):
            raise ValueError(f"tensor {self.tensor.name!r}: {_kind(old)} cannot be multiplied by any factor")
        flat = old.detach().contiguous().reshape(-1)
        wide = max(1, old[:1].numel()) if old.ndim else 1
        step = max(1, CHUNK // wide) * wide
        # Tiles within a row that is longer than a chunk end where its own rows do.
        small = wide
        for size in old.shape[1:]:
            if small <= CHUNK:
                break
            small //= size
        small = min(step, max(1, CHUNK // small) * small)
        for start in range(0, flat.numel(), step):
            with threads_for(CHUNK):
                part = flat[start : start + step].clone()
                for low in range(0, len(part), small):
                    self._fill(flat, part, start, start + low, min(start + low + small, start + len(part)))
            yield part.view(-1, *old.shape[1:]) if old.ndim else part.view(())

    def _fill(self, flat: Tensor, part: Tensor, start: int, low: int, high: int) -> None:
        """Act on the numbers from `low` to `high`; `part` begins at `start`."""
        for plan in self.plans:
            for box in plan.boxes(low, high):
                shape, stride, offset = plan.place(box)
                bits = plan.taken(_bits(flat), box)
                if not plan.factors:
                    _bits(part).as_strided(shape, stride, offset - start).copy_(bits)
                    continue
                taken = bits.view(part.dtype)
                exact = _multiplied(plan, taken, box)
                if plan.stored and bool((exact.isnan() & ~taken.isnan()).any()):
                    raise ValueError(f"tensor {self.tensor.name!r}: a factor has no place behind what is stored")
                if plan.variance:
                    self.negative |= bool(((exact < 0) & (taken >= 0)).any())
                place = part.as_strided(shape, stride, offset - start)
                place.copy_(exact)
                if taken.dtype == torch.float64:
                    # Nothing is rounded to it, but products lose digits below its range.
                    tiny = torch.finfo(torch.float64).tiny
                    faded = (exact.abs() < tiny) & (taken.abs() > exact.abs())
                    self.lost = max(self.lost, tiny if bool(faded.any()) else 0.0)
                self._measure(exact, place)

    def _measure(self, exact: Tensor, rounded: Tensor) -> None:
        # A dtype of one byte has no infinity, or saturates, so that an overflow does not show in the rounded number.
        size = _size(exact if rounded.element_size() == 1 else rounded)
        self.largest = max(self.largest, size)
        self.beyond |= size > torch.finfo(rounded.dtype).max
        if rounded.dtype != torch.float64:
            self.lost = max(self.lost, _size(exact.sub_(rounded.double())))


def act_on_tensor(element: Element, tensor: LabelledTensor, old: Tensor) -> Tensor:
    """The action on one tensor, rounded to its dtype.

    Raises:
        ValueError: as `TensorAction` and its `rows`.
    """
    rows = list(TensorAction(tensor, element).rows(old))
    return torch.cat(rows) if old.ndim and rows else rows[0] if rows else old.clone()


def act(element: Element, architecture: LabelledArchitecture, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """g·U on a state dict: all its tensors by name; those on which the group does not act are not changed.

    Raises:
        ValueError: the element is of another architecture, or a tensor has another shape or is not there.
    """
    require_of(architecture, element)
    transformed = dict(tensors)
    for tensor in architecture.tensors:
        names = present(tensor, tensors)
        if names:
            new = act_on_tensor(element, tensor, tensors[names[0]])
            transformed.update({name: new.to(tensors[name].dtype) for name in names})
    return transformed


def present(tensor: LabelledTensor, tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of a tensor on which something acts that are there; none where nothing acts.

    Raises:
        ValueError: the group acts on it, and none of its names is there: the rest would be another network.
    """
    names = [name for name in tensor.names if name in tensors] if tensor.uses else []
    if tensor.uses and not names:
        raise ValueError(f"there is no tensor {tensor.name!r}")
    return names


def _multiplied(plan: UsePlan, taken: Tensor, box: Box) -> Tensor:
    """What a box's entries become, in float64."""
    old = taken.to(torch.float64, copy=True)
    parts = [
        factor[tuple(slice(*own) if size > 1 else slice(None) for own, size in zip(box, factor.shape, strict=True))]
        for factor in plan.factors
    ]
    if not plan.stored:
        for part in parts:
            old *= part
        return old
    values = forward(old, plan.stored)
    whole = torch.ones((), dtype=torch.float64)
    for part in parts:
        values = values * part
        whole = whole * part
    # What is not multiplied keeps every bit.
    return torch.where(whole == 1, old, backward(values, plan.stored))


def forward(values: Tensor, steps: Sequence[Stored]) -> Tensor:
    """The numbers that the function uses, from those that are stored."""
    for step in steps:
        if step.kind == "add":
            values = values + step.value
        elif step.kind == "mul":
            values = values * step.value
        elif step.kind == "exp":
            values = values.exp()
        elif step.kind == "neg":
            values = -values
        else:
            raise ValueError(f"no step {step.kind!r} is known")
    return values


def backward(values: Tensor, steps: Sequence[Stored]) -> Tensor:
    """The way back from `forward`."""
    for step in reversed(steps):
        if step.kind == "add":
            values = values - step.value
        elif step.kind == "mul":
            values = values / step.value
        elif step.kind == "exp":
            values = values.log()  # NaN where a number is not positive, which does not happen under the group
        else:
            values = -values
    return values


def _bits(tensor: Tensor) -> Tensor:
    """The same memory as integers, so that copying keeps every bit."""
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.view(kinds.get(tensor.element_size(), tensor.dtype))


def _size(values: Tensor) -> float:
    low, high = values.aminmax()
    size = max(-low.item(), high.item())
    if math.isnan(size):
        numbers = values[~values.isnan()]
        return _size(numbers) if numbers.numel() else 0.0
    return size


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
