"""`nfn canonicalize`."""

from __future__ import annotations

import os
from dataclasses import replace
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.destinations import (
    Destination,
    OutputOption,
    SkipExistingOption,
    check_element,
    planned,
    refuse_both,
)
from nfn_cli.cli.moving import MovedRow, check_config, keep_config, move_files, with_reading
from nfn_cli.cli.normal_forms import chain_form, drawn_weights, traced_form
from nfn_cli.cli.options import (
    ActivationOption,
    ChainOption,
    EntryOption,
    FormatOption,
    InputShapeOption,
    ModelOption,
    OmegaOption,
    OverwriteOption,
    PoolOption,
    PrefixOption,
    QuietOption,
    StrictOption,
)
from nfn_cli.cli.plots import Panel, PlotOption, check_plot, draw, write_plot
from nfn_cli.cli.telling import parsed_shape, told_by
from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.symmetry.sources import AnyElement


class Scale(str, Enum):
    """Normal scales."""

    unit = "unit"
    balanced = "balanced"
    none = "none"


def canonicalize(
    paths: Annotated[
        list[Path], typer.Argument(metavar="IN", help="Checkpoints, or folders of them.", show_default=False)
    ],
    output: OutputOption,
    scale: Annotated[
        Scale,
        typer.Option(help="unit: incoming norms of 1. balanced: least sum of squares. none: scales stay."),
    ] = Scale.unit,
    sign: Annotated[bool, typer.Option("--sign/--no-sign", help="Normal signs, and phases of sines.")] = True,
    permute: Annotated[bool, typer.Option("--permute/--no-permute", help="Normal order of neurons.")] = True,
    save_element: Annotated[
        Path | None, typer.Option(help="Save the group element that was applied.", show_default=False)
    ] = None,
    model: ModelOption = None,
    input_shape: InputShapeOption = None,
    activation: ActivationOption = None,
    pool: PoolOption = None,
    omega_0: OmegaOption = None,
    chain: ChainOption = False,
    prefix: PrefixOption = None,
    entry: EntryOption = None,
    strict: StrictOption = False,
    plot: PlotOption = None,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
    skip_existing: SkipExistingOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring networks to the normal form of their orbit: the same function, and the same weights for the whole orbit.

    Scales, signs and order of hidden neurons are settled layer by layer. The new file has the layout, names and dtype
    of the old one; through a BatchNorm the group acts on its weight and bias. Of a network that is no chain the
    smallest gap between neighbours in the order is shown: where rounding is as large, the form is not unique.
    """
    refuse_both(skip_existing, overwrite)
    if save_element is not None and (len(paths) > 1 or os.path.isdir(paths[0])):
        raise UsageError("--save-element", "there is one element for each file", "give a single file")
    plan = planned(paths, output)
    if save_element is not None and not (skip_existing and os.path.exists(plan.destinations[0].target)):
        check_element(save_element, overwrite=overwrite)
    if plot is not None and not (skip_existing and os.path.exists(plan.destinations[0].target)):
        check_plot(plot, paths, overwrite=overwrite)

    told = told_by(activation, pool, omega_0, chain, prefix, entry, strict)

    shape = parsed_shape(input_shape)

    @lru_cache(maxsize=1)
    def tracer() -> NetworkTracer:
        from nfn_cli.architectures.traced import NetworkTracer

        return NetworkTracer(model, shape)

    def work(each: Destination) -> MovedRow:
        from nfn_cli.checkpoints import rewrite_checkpoint
        from nfn_cli.symmetry import Source
        from nfn_cli.symmetry.sources import read_any, transformed_by, write_element

        source = read_any(each.source, told, tracer())
        row = MovedRow(str(each.source), str(each.target))
        element: AnyElement
        if isinstance(source, Source):
            element, row = chain_form(source, row, scale.value, sign=sign, permute=permute)
        else:
            element, row = traced_form(source, row, scale.value, sign=sign, permute=permute)
        moved = transformed_by(source, element)
        # Drawn before anything is written: a file that cannot be drawn leaves nothing behind.
        picture = None
        if plot is not None:
            panels = [
                Panel(f"{name} {when}", weight)
                for name, before, after in drawn_weights(source, moved)
                for when, weight in (("before", before), ("after", after))
            ]
            picture = draw(panels, f"{each.source.name}: normal form", columns=2)
        if plan.folder is not None:
            check_config(source, each.target)
        kept = rewrite_checkpoint(source.checkpoint, moved, each.target, overwrite=overwrite)
        if plan.folder is not None:
            keep_config(source, each.target)
        if save_element is not None:
            write_element(source, element, save_element, overwrite=overwrite)
        if plot is not None and picture is not None:
            write_plot(plot, picture, overwrite=overwrite)
        row = replace(row, rounding=moved.rounding, kept=", ".join(kept) or None)
        return with_reading(row, source.reading)

    move_files(plan, work, format, overwrite=overwrite, skip_existing=skip_existing, quiet=quiet)
