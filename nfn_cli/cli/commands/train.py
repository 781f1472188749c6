"""`nfn train`."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.failures import tell
from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, QuietOption, refuse_existing
from nfn_cli.cli.outsiders import OutsidersOption, parsed_outsiders
from nfn_cli.cli.progress.fit_progress import fit_progress
from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    from nfn_cli.nn import ForwardPass

_VALIDATION = 0.15


class Kind(str, Enum):
    """Kinds of heads."""

    auto = "auto"
    monomial_probe = "monomial-probe"
    monomial_nfn = "monomial-nfn"


def train(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A folder of checkpoints, or a packed file.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the head to write; an unfinished fit in it is continued.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with columns file and --target, and --run-column. [default: labels.csv in the folder]",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Column with the accuracy to predict, between 0 and 1.")
    ] = "test_accuracy",
    run_column: Annotated[
        str, typer.Option(help="Column with the training run; without one, each checkpoint is a run of its own.")
    ] = "run",
    activation: ActivationOption = None,
    kind: Annotated[
        Kind,
        typer.Option(
            help="monomial-probe runs the networks on learned inputs, monomial-nfn reads their weights alone; auto is"
            " the first where it is known how the networks are run."
        ),
    ] = Kind.auto,
    input_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Sides of an image that the networks read, such as 32x32 (convolutions).",
            show_default=False,
        ),
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Of every convolution; goes with --input-size.")] = 1,
    padding: Annotated[int, typer.Option(min=0, help="Of every convolution; goes with --input-size.")] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Passes over the training networks. [default: 20 (monomial-probe), 60 (monomial-nfn); more for few"
            " networks]",
            show_default=False,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop a member after so many epochs without a better validation loss.", show_default=False
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Share of the training runs that validate: the best epoch's weights are kept."
            " [default: 0.15 with --patience, else 0]",
            show_default=False,
        ),
    ] = None,
    members: Annotated[int, typer.Option(min=1, max=64, help="Networks in the head's ensemble.")] = 4,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Decides initial weights and batches.")] = 0,
    outsiders: OutsidersOption = None,
    device: DeviceOption = Device.auto,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a head or another unfinished fit that is there.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a head to labelled checkpoints and write it as a folder, with its model card.

    Checkpoints of one training run stay together: 70 % of the runs train the head, 12 % calibrate its interval, 18 %
    measure it. The same command continues a fit that was stopped, and ends in the same head.
    """
    from nfn_cli.cli.tables.report import print_report
    from nfn_cli.learning import AccuracySettings, FitSettings, is_unfinished, train_head
    from nfn_cli.scoring.device import resolve_device

    if not is_unfinished(out):
        refuse_existing(out, overwrite=overwrite)
    settings = AccuracySettings(
        members=members,
        fit=FitSettings(
            epochs=epochs, seed=seed, validation=_validation_share(validation, patience), patience=patience
        ),
        kind=None if kind is Kind.auto else kind.value,
        forward_pass=_forward_pass(input_size, stride, padding),
        column=target,
        run_column=run_column,
        activation=activation,
        out_of_distribution=parsed_outsiders(outsiders),
    )
    with fit_progress(out, "epochs", quiet=quiet) as progress:
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
    print_report(report, sys.stdout)
    if not quiet:
        tell(f"head written to {out}")


def _forward_pass(size: str | None, stride: int, padding: int) -> ForwardPass | None:
    from nfn_cli.nn import ForwardPass

    if size is None:
        if (stride, padding) != (1, 0):
            raise UsageError("--stride, --padding", "they need the size of the input", "give --input-size too")
        return None
    try:
        return ForwardPass(tuple(int(side) for side in size.split("x")), stride, padding)
    except ValueError as error:
        raise UsageError("--input-size", f"{size} is no size of an image", "give such as 32x32") from error


def _validation_share(validation: float | None, patience: int | None) -> float:
    if validation is None:
        return _VALIDATION if patience else 0.0
    if not 0 <= validation <= 0.5:
        raise UsageError("--validation", f"{validation:g} is no share of the training runs", "give 0 to 0.5")
    if validation == 0 and patience:
        raise UsageError("--patience", "needs validation runs", "give --validation 0.15")
    return validation
