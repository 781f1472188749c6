"""`nfn train-editor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from nfn_cli.cli.head_work import FitOptions, Inrs, fit_head
from nfn_cli.cli.options import FIT, INPUT, MEASURE, Edit, EditKind, kind_option
from nfn_cli.cli.sizes import parsed_size
from nfn_cli.cli.takes import Hidden, TwoNumbers, option, takes
from nfn_cli.shipped import EDIT

_KIND = EditKind("function-editor")


@takes
def train_editor(
    data: Inrs,
    edit: Annotated[Edit, option(FIT, "What the head does to the picture.")],
    options: FitOptions,
    labels: Annotated[
        Path | None, option(INPUT, "CSV with columns file and split. [default: labels.csv in the folder]")
    ] = None,
    kind: Annotated[EditKind, kind_option(EDIT)] = _KIND,
    size: Annotated[
        str, option(INPUT, "Height and width of the pictures, in pixels.", metavar="HxW"), TwoNumbers()
    ] = "28x28",
    epochs: Annotated[int, option(FIT, "Passes over the training networks.", min=1)] = 20,
    tuning: Annotated[
        int, option(FIT, "Steps that train the parameters of the solver afterwards (function-editor).", min=0)
    ] = 60,
    limit: Annotated[int, option(INPUT, "Fit to the first N networks.", min=1), Hidden("--count")] = 4_000,
    test_count: Annotated[int, option(MEASURE, "Measure on this many test networks.", min=1)] = 500,
) -> None:
    """Fit a head that edits INRs.

    The head is written as a folder, with its model card. Networks of the training part fit it, those of the test part
    measure it. The target is the edit of the picture that a network shows, so no pictures are needed. The same command
    continues a fit that was stopped. Use the head by `nfn edit-inr --head`.

    Examples:
        nfn train-editor inrs --edit dilate -o my-editor
        nfn train-editor inrs --edit erode --size 32x32 --limit 2000 -o my-editor
    """
    from nfn_cli.cli.tables.edit_report import print_edit_report
    from nfn_cli.learning import EditFit, EditSettings
    from nfn_cli.nn.tasks.editing import LARGEST_SIDE

    settings = EditSettings(
        edit=edit.value,
        kind=kind.value,
        picture=parsed_size("--size", size, most=LARGEST_SIDE),
        fit=EditFit(epochs=epochs, tuning=tuning, seed=options.seed),
        count=limit,
        test_count=test_count,
        activation=options.activation,
    )
    fit_head(data, labels, settings, options, "steps", print_edit_report)
