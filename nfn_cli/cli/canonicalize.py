"""`nfn canonicalize`."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.destinations import (
    Destination,
    OutputOption,
    SkipExistingOption,
    check_element,
    planned,
    refuse_both,
)
from nfn_cli.cli.moving import MovedRow, move_files, with_reading
from nfn_cli.cli.options import (
    ActivationOption,
    ChainOption,
    EntryOption,
    FormatOption,
    OmegaOption,
    OverwriteOption,
    PoolOption,
    PrefixOption,
    QuietOption,
    StrictOption,
)
from nfn_cli.cli.plots import Panel, PlotOption, check_plot, draw, write_plot
from nfn_cli.cli.telling import told_by
from nfn_cli.errors import UsageError


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
    of the old one; through a BatchNorm the group acts on its weight and bias.
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

    def work(each: Destination) -> MovedRow:
        from nfn_cli.checkpoints import rewrite_checkpoint
        from nfn_cli.symmetry import NormalFormSettings, move, named_places, normal_form, read_source
        from nfn_cli.symmetry import save_element as save

        path, target = each.source, each.target
        source = read_source(path, told)
        form = normal_form(
            source.network.weight_space, NormalFormSettings(scale.value, sign, permute), precision=source.precision
        )
        moved = move(source, form.element)
        # Drawn before anything is written: a file that cannot be drawn leaves nothing behind.
        panels = []
        for module in source.network.modules if plot is not None else ():
            after = moved[f"{module.prefix}weight"]
            panels += [Panel(f"{module.name} before", module.weight), Panel(f"{module.name} after", after)]
        picture = draw(panels, f"{path.name}: normal form", columns=2) if plot is not None else None
        kept = rewrite_checkpoint(source.checkpoint, moved, target, overwrite=overwrite)
        if save_element is not None:
            save(save_element, form.element, source.stored, overwrite=overwrite)
        if plot is not None and picture is not None:
            write_plot(plot, picture, overwrite=overwrite)
        duplicates = tuple(tuple(place for places in group for place in places.tolist()) for group in form.duplicates)
        row = MovedRow(
            str(path),
            str(target),
            rounding=moved.rounding,
            residual=form.residual if scale is Scale.balanced else None,
            dead=named_places(source.stored, [places.tolist() for places in form.dead]),
            duplicates=named_places(source.stored, duplicates),
            kept=", ".join(kept) or None,
        )
        return with_reading(row, source.network.reading)

    move_files(plan, work, format, overwrite=overwrite, skip_existing=skip_existing, quiet=quiet)
