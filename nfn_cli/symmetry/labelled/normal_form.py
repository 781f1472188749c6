"""The normal form of a network on labels: one point that stands for its whole orbit.

Scales are found first, then signs, then the order: no later step changes what an earlier one was found from.

- Scale: in every class of neurons one slice gets the norm 1 (see `anchors`): gains become 1, stored running
  variances 1, and the rows of what feeds a neuron have the root mean square norm 1 over all slices that share a scale.
- Sign: the third powers of one slice's numbers have a sum that is not negative.
- Order: units ascend by the sums of squares and cubes over all their slices, each relative to the mean of its class.

Slices that are equal but for rounding decide nothing: their neurons keep their order, and the form is not called
unique.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture, LabelledTensor
from nfn_cli.symmetry.labelled.anchors import Anchors, Reader
from nfn_cli.symmetry.labelled.element import Element, element_of
from nfn_cli.symmetry.labelled.settled_scales import Settled
from nfn_cli.symmetry.labelled.slice_sums import moments, role_targets
from nfn_cli.symmetry.labelled.sort_keys import Keys, Order
from nfn_cli.symmetry.labelled.unit_orders import goes_of, nested_orders

_DOUBT = 16  # in units of rounding: how much keys may differ between two points of one orbit
_LEAST_ROUNDING = 2.0**-47  # sums of many float64 numbers lose some digits


@dataclass(frozen=True)
class LabelledForm:
    """The element that brings a network to its normal form, and how sure that form is.

    Attributes:
        element: g, so that g·U is normal.
        gap: the smallest relative difference of keys that decided, or should have, between two units side by side;
            infinite where nothing is ordered.
        sign_gap: the smallest |Σ x³| / Σ |x|³ that decided a sign; infinite where none is decided.
        rounding: both gaps must be larger than this; smaller ones may come from rounding to the precision.
        sure: whether rounding to the precision cannot have changed how units were compared.
        ties: names of blocks, and how many of their units have a neighbour with the same key but for rounding.
        zeros: names of tensors, and how many of their slices are zero where they should have settled a scale.
        silent: names of tensors with scales or signs that occur beside zeros only: they are left alone.
        unsettled: names of tensors with scales or signs that no single slice decides: they are left alone.
    """

    element: Element
    gap: float
    sign_gap: float
    rounding: float
    sure: bool
    ties: tuple[tuple[str, int], ...]
    zeros: tuple[tuple[str, int], ...]
    silent: tuple[str, ...]
    unsettled: tuple[str, ...]

    @property
    def unique(self) -> bool:
        """Whether each point of the orbit has this form, whatever rounding does."""
        clear = self.gap > self.rounding and self.sign_gap > self.rounding
        return clear and self.sure and not self.unsettled


def normal_form(
    architecture: LabelledArchitecture,
    tensors: Mapping[str, Tensor],
    *,
    scale: Literal["unit", "none"] = "unit",
    sign: bool = True,
    permute: bool = True,
    precision: torch.dtype | None = None,
) -> LabelledForm:
    """Find the normal form of one network.

    Args:
        tensors: by name; each is asked for when it is needed, once or twice, and not kept.
        scale, sign, permute: which parts of the group to use up.
        precision: the dtype that the numbers were rounded to, which decides what counts as equal; by default the least
            precise of the tensors'.

    Raises:
        ValueError: a tensor is not there, or has another shape.
    """
    if precision is None:
        precision = _least_precise(architecture, tensors)
    unit = rounding_unit(precision)
    logs = Settled(architecture.logs, mod2=False, everything=scale == "none")
    signs = Settled(architecture.signs, mod2=True, everything=not sign)
    anchors = Anchors(architecture, Reader(tensors), logs, signs, unit)
    anchors.settle_scales()
    keys = _KeyReader(architecture, anchors) if permute else None
    anchors.settle_signs(keys.visit if keys else lambda _: None)
    order = keys.order(_DOUBT * unit) if keys else Order((None,) * len(architecture.blocks), float("inf"), ())
    goes = goes_of(architecture, nested_orders(architecture, order.places)) if permute else None
    element = element_of(architecture, goes=goes, free_logs=logs.values(), free_signs=signs.values() == 1)
    silent, unsettled = anchors.unsettled()
    return LabelledForm(
        element,
        order.gap,
        anchors.least,
        _DOUBT * unit,
        order.sure,
        order.ties,
        tuple(anchors.zeros.items()),
        tuple(silent),
        tuple(unsettled),
    )


class _KeyReader:
    """Adds each tensor to the keys once, when it is first read after the scales are decided."""

    def __init__(self, architecture: LabelledArchitecture, anchors: Anchors) -> None:
        self._architecture, self._anchors, self._keys = architecture, anchors, Keys(architecture)
        self._numbers = {id(tensor): place for place, tensor in enumerate(architecture.tensors)}
        self._seen: set[int] = set()

    def visit(self, tensor: LabelledTensor) -> None:
        number = self._numbers[id(tensor)]
        if number in self._seen:
            return
        self._seen.add(number)
        for place, use in enumerate(tensor.uses):
            targets = role_targets(use)
            if targets:
                found = moments(
                    self._anchors.reader.read(tensor), use, self._anchors.factors(use), targets, ("squares", "sizes")
                )
                self._keys.add(number << 16 | place, use, found)

    def order(self, rounding: float) -> Order:
        for tensor in self._architecture.tensors:
            self.visit(tensor)
        return self._keys.order(rounding)


def rounding_unit(precision: torch.dtype) -> float:
    """Half of a dtype's eps or, of one so fine that sums lose more, what these lose."""
    return max(torch.finfo(precision).eps / 2, _LEAST_ROUNDING)


def _least_precise(architecture: LabelledArchitecture, tensors: Mapping[str, Tensor]) -> torch.dtype:
    dtypes = [_dtype(tensors, name) for tensor in architecture.tensors for name in tensor.names if name in tensors]
    floating = [dtype for dtype in dtypes if dtype.is_floating_point]
    return max(floating, key=lambda dtype: torch.finfo(dtype).eps, default=torch.float64)


def _dtype(tensors: Mapping[str, Tensor], name: str) -> torch.dtype:
    """A tensor's dtype, without reading it where the mapping knows it."""
    known = getattr(tensors, "dtype", None)
    return known(name) if callable(known) else tensors[name].dtype
