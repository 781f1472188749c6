"""`nfn train-editor`."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.commands.edit_inr import Edit
from nfn_cli.cli.failures import tell
from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, QuietOption, refuse_existing
from nfn_cli.cli.progress.fit_progress import fit_progress
from nfn_cli.errors import UsageError


class EditorKindName(str, Enum):
    """Kinds of heads that edit INRs."""

    function_editor = "function-editor"
    monomial_editor = "monomial-editor"


def train_editor(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A zoo of INRs.", show_default=False)],
    edit: Annotated[Edit, typer.Option(help="What the head shall do to the picture.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the head to write.", show_default=False)],
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV with columns file and split. [default: labels.csv in the folder]", show_default=False),
    ] = None,
    kind: Annotated[
        EditorKindName,
        typer.Option(
            help="function-editor looks at the picture and solves for the weights, monomial-editor reads the weights."
        ),
    ] = EditorKindName.function_editor,
    size: Annotated[
        tuple[int, int], typer.Option(metavar="H W", help="Height and width of the pictures, in pixels.")
    ] = (28, 28),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training networks.")] = 20,
    tuning: Annotated[
        int, typer.Option(min=0, help="Steps on the numbers of the solver, afterwards (function-editor).")
    ] = 60,
    count: Annotated[int, typer.Option(min=1, help="Fit to this many networks, the first ones.")] = 4_000,
    test_count: Annotated[int, typer.Option(min=1, help="Measure on this many test networks.")] = 500,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Decides initial weights and batches.")] = 0,
    activation: ActivationOption = None,
    device: DeviceOption = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a head that is there.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a head that edits INRs, and write it as a folder with its model card.

    Networks of the training part fit the head, those of the test part measure it. The target is the edit of the picture
    that a network shows, so no pictures are needed. The same command continues a fit that was stopped. Use the head by
    `nfn edit-inr --head`.
    """
    from nfn_cli.cli.tables.edit_report import print_edit_report
    from nfn_cli.learning import EditFit, EditSettings, is_unfinished, train_head
    from nfn_cli.nn.tasks.editing import LARGEST_SIDE
    from nfn_cli.scoring.device import resolve_device

    if not all(1 <= side <= LARGEST_SIDE for side in size):
        raise UsageError("--size", f"{size[0]} {size[1]} is no size", f"give two numbers from 1 to {LARGEST_SIDE}")
    if not is_unfinished(out):
        refuse_existing(out, overwrite=overwrite)
    settings = EditSettings(
        edit=edit.value,
        kind=kind.value,
        picture=size,
        fit=EditFit(epochs=epochs, tuning=tuning, seed=seed),
        count=count,
        test_count=test_count,
        activation=activation,
    )
    with fit_progress(out, "steps", quiet=quiet) as progress:
        report = train_head(
            data,
            labels,
            out,
            settings,
            device=resolve_device(device.value),
            overwrite=overwrite,
            on_plan=progress.plan,
            on_epoch=progress.step,
            on_skip=progress.skip,
            on_stage=progress.stage,
        )
    print_edit_report(report, sys.stdout)
    if not quiet:
        tell(f"head written to {out}")
