"""Normal forms of checkpoints, read as chains or traced: the group element that leads there, and facts about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nfn_cli.errors import ArchitectureError, UsageError
from nfn_cli.symmetry.normal_form import NormalFormSettings, normal_form
from nfn_cli.symmetry.transform import Source, named_places

if TYPE_CHECKING:
    from torch import Tensor

    from nfn_cli.symmetry import GroupElement
    from nfn_cli.symmetry.labelled import Element
    from nfn_cli.symmetry.labelled.source import LabelledSource
    from nfn_cli.symmetry.sources import AnyElement, AnySource, AnyTransformed

_DRAWN = 8  # weights of a traced network
_NAMED = 4  # reasons why a form is not unique


@dataclass(frozen=True)
class FormFacts:
    """Facts about a normal form.

    Attributes:
        residual: of a balanced scale, the largest |incoming norm / outgoing norm − 1| of a neuron.
        dead, duplicates: neurons without incoming or without outgoing weights, and neurons with the same incoming
            weights as another, as `layer:position` in the new file.
        gap: of a traced network's normal form, the smallest relative difference that decided its order or a sign.
        unique: whether that is more than rounding, so that the whole orbit has this form.
        unsure: where it is not: how many neurons of a layer differ from a neighbour by rounding alone.
    """

    residual: float | None = None
    dead: str | None = None
    duplicates: str | None = None
    gap: float | None = None
    unique: bool | None = None
    unsure: str | None = None


def find_form(source: AnySource, settings: NormalFormSettings) -> tuple[AnyElement, FormFacts]:
    """The element that brings a network to its normal form, and facts about that form.

    Raises:
        UsageError: balanced scales, which only chains have, for another network.
        ArchitectureError: it has no such form.
    """
    return _of_chain(source, settings) if isinstance(source, Source) else _of_traced(source, settings)


def _of_chain(source: Source, settings: NormalFormSettings) -> tuple[GroupElement, FormFacts]:
    form = normal_form(source.network.weights, settings, precision=source.precision)
    duplicates = tuple(tuple(place for positions in group for place in positions.tolist()) for group in form.duplicates)
    return form.element, FormFacts(
        residual=form.residual if settings.scale == "balanced" else None,
        dead=named_places(source.stored, [positions.tolist() for positions in form.dead]),
        duplicates=named_places(source.stored, duplicates),
    )


def _of_traced(source: LabelledSource, settings: NormalFormSettings) -> tuple[Element, FormFacts]:
    from nfn_cli.symmetry.labelled.normal_form import normal_form as labelled_form

    if settings.scale == "balanced":
        raise UsageError("--scale", "balanced is for chains of layers", "give unit or none")
    scale: Literal["unit", "none"] = "none" if settings.scale == "none" else "unit"
    try:
        form = labelled_form(
            source.architecture,
            source.checkpoint.tensors,
            scale=scale,
            sign=settings.sign,
            permute=settings.permute,
            precision=source.precision,
        )
    except ValueError as error:
        remedy = "leave its scales (--scale none)"
        raise ArchitectureError(source.checkpoint.path, f"it has no normal form ({error})", remedy) from error
    gap = min(form.gap, form.sign_gap)
    unsure = [*(f"{count:,} of {name}" for name, count in form.ties), *form.unsettled]
    if not form.unique and not unsure:
        unsure = ["signs that rounding decides"]
    more = f" and {len(unsure) - _NAMED} more" if len(unsure) > _NAMED else ""
    return form.element, FormFacts(
        gap=gap if gap != float("inf") else None,
        unique=form.unique,
        unsure=", ".join(unsure[:_NAMED]) + more or None,
    )


def drawn_weights(source: AnySource, moved: AnyTransformed) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The weights that a picture shows, before and after: those of a chain's layers, or a network's first few."""
    if isinstance(source, Source):
        for module in source.network.modules:
            yield module.name, module.weight, moved[f"{module.prefix}weight"]
        return
    names = [tensor.name for tensor in source.architecture.tensors if len(tensor.shape) > 1]
    for name in names[:_DRAWN]:
        yield name, source.checkpoint.tensors[name], moved[name]
