"""Normal forms as `nfn canonicalize` makes and shows them, of chains and of traced networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from nfn_cli.cli.moving import MovedRow
from nfn_cli.errors import ArchitectureError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from nfn_cli.symmetry import GroupElement, Source
    from nfn_cli.symmetry.labelled import Element
    from nfn_cli.symmetry.labelled.source import LabelledSource
    from nfn_cli.symmetry.sources import AnySource, AnyTransformed

_DRAWN = 8  # weights of a traced network


def chain_form(
    source: Source, row: MovedRow, scale: str, *, sign: bool, permute: bool
) -> tuple[GroupElement, MovedRow]:
    """The element that brings a chain to its normal form, and what is said of it."""
    from nfn_cli.symmetry import NormalFormSettings, named_places, normal_form

    kind: Literal["unit", "balanced", "none"] = "balanced" if scale == "balanced" else _unit_or_none(scale)
    settings = NormalFormSettings(kind, sign, permute)
    form = normal_form(source.network.weights, settings, precision=source.precision)
    duplicates = tuple(tuple(place for places in group for place in places.tolist()) for group in form.duplicates)
    return form.element, replace(
        row,
        residual=form.residual if scale == "balanced" else None,
        dead=named_places(source.stored, [places.tolist() for places in form.dead]),
        duplicates=named_places(source.stored, duplicates),
    )


def traced_form(
    source: LabelledSource, row: MovedRow, scale: str, *, sign: bool, permute: bool
) -> tuple[Element, MovedRow]:
    """The element that brings a traced network to its normal form, and what is said of it.

    Raises:
        UsageError: balanced scales, which only chains have.
    """
    from nfn_cli.symmetry.labelled.normal_form import normal_form

    if scale == "balanced":
        raise UsageError("--scale", "balanced is for chains of layers", "give unit or none")
    try:
        form = normal_form(
            source.architecture,
            source.checkpoint.tensors,
            scale=_unit_or_none(scale),
            sign=sign,
            permute=permute,
            precision=source.precision,
        )
    except ValueError as error:
        remedy = "leave its scales (--scale none)"
        raise ArchitectureError(source.checkpoint.path, f"it has no normal form ({error})", remedy) from error
    gap = min(form.gap, form.sign_gap)
    unsure = [*(f"{count:,} of {name}" for name, count in form.ties), *form.unsettled]
    if not form.unique and not unsure:
        unsure = ["signs that rounding decides"]
    return form.element, replace(
        row,
        gap=gap if gap != float("inf") else None,
        unique=form.unique,
        unsure=", ".join(unsure[:4]) + (f" and {len(unsure) - 4} more" if len(unsure) > 4 else "") or None,
    )


def _unit_or_none(scale: str) -> Literal["unit", "none"]:
    return "none" if scale == "none" else "unit"


def drawn_weights(source: AnySource, moved: AnyTransformed) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The weights that a picture shows, before and after: those of a chain's layers, or a network's first few."""
    from nfn_cli.symmetry import Source

    if isinstance(source, Source):
        for module in source.network.modules:
            yield module.name, module.weight, moved[f"{module.prefix}weight"]
        return
    names = [tensor.name for tensor in source.architecture.tensors if len(tensor.shape) > 1]
    for name in names[:_DRAWN]:
        yield name, source.checkpoint.tensors[name], moved[name]
