"""`nfn canonicalize`."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import Annotated

from nfn_cli.cli.destinations import Destination, RewriteOptions, check_element, planned
from nfn_cli.cli.options import OUTPUT, ReadingOptions
from nfn_cli.cli.plots import Panel, PlotOption, check_plot, draw, write_plot
from nfn_cli.cli.rewriting import RewrittenRow, rewrite_files, write_row
from nfn_cli.cli.takes import option, takes
from nfn_cli.errors import UsageError

_FORM = "Normal form"


class Scale(str, Enum):
    """Normal scales."""

    unit = "unit"
    balanced = "balanced"
    none = "none"


@takes
def canonicalize(
    options: RewriteOptions,
    reading: ReadingOptions,
    scale: Annotated[
        Scale, option(_FORM, "unit: incoming norms of 1. balanced: least sum of squares. none: scales stay.")
    ] = Scale.unit,
    sign: Annotated[bool, option(_FORM, "Normal signs, and phases of sines.", "--sign/--no-sign")] = True,
    permute: Annotated[bool, option(_FORM, "Normal order of neurons.", "--permute/--no-permute")] = True,
    save_element: Annotated[Path | None, option(OUTPUT, "Save the group element that was applied.")] = None,
    plot: PlotOption = None,
) -> None:
    """Bring networks to the normal form of their orbit.

    It computes the same function, and is the same for the whole orbit: scales, signs and order of hidden neurons are
    fixed layer by layer. The new file has the layout, names and dtype of the old one; through a BatchNorm the group
    acts on its weight and bias. Of a network that is no chain the smallest gap between neighbours in the order is
    shown: where rounding is as large, the form is not unique.

    Examples:
        nfn canonicalize model.safetensors -o normal.safetensors
        nfn canonicalize runs/ -o normal/ --scale balanced
    """
    options.check()
    overwrite = options.overwrite
    if save_element is not None and (len(options.paths) > 1 or os.path.isdir(options.paths[0])):
        raise UsageError("--save-element", "there is one element for each file", "give a single file")
    plan = planned(options.paths, options.output)
    done = options.skip_existing and os.path.exists(plan.destinations[0].target)
    if save_element is not None and not done:
        check_element(save_element, overwrite=overwrite, target=plan.destinations[0].target)
    if plot is not None and not done:
        check_plot(plot, options.paths, overwrite=overwrite)
    stated, tracer = reading.stated(), reading.tracer()

    def work(each: Destination) -> RewrittenRow:
        from nfn_cli.symmetry import NormalFormSettings
        from nfn_cli.symmetry.any_form import drawn_weights, find_form
        from nfn_cli.symmetry.sources import read_any, transformed_by, write_element

        source = read_any(each.source, stated, tracer)
        element, facts = find_form(source, NormalFormSettings(scale.value, sign, permute))
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
        row = write_row(plan, each, source, moved, overwrite=overwrite)
        if save_element is not None:
            write_element(source, element, save_element, overwrite=overwrite)
        if plot is not None and picture is not None:
            write_plot(plot, picture, overwrite=overwrite)
        return replace(row, **asdict(facts))

    rewrite_files(plan, work, options)
