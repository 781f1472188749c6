"""`nfn zoo import`: published zoos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.failures import failure_lines, tell
from nfn_cli.cli.options import QuietOption
from nfn_cli.cli.progress.zoo_progress import import_progress
from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    from nfn_cli.zoo import ImportReport

imports = typer.Typer(help="Turn published zoos into packed ones.", no_args_is_help=True)


@imports.callback()
def _imports() -> None:
    """Turn published zoos into packed ones, which `nfn train` and `nfn train-inr` and their like read."""


class Places(str, Enum):
    """In which order networks take a place."""

    row_first = "row-first"
    column_first = "column-first"


FolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="The zoo as downloaded and unpacked.", show_default=False)
]
OutOption = Annotated[Path, typer.Option(help="Folder of the zoo to write, new or empty.")]
ActivationChoice = Annotated[
    str | None, typer.Option(help="Only networks of this activation; needed where there are several.")
]
CountOption = Annotated[int | None, typer.Option(min=1, help="This many training runs, drawn at random.")]
SeedOption = Annotated[int, typer.Option(help="Decides which runs --count draws.")]


@imports.command("small-cnn-zoo")
def small_cnn_zoo(
    folder: FolderArgument,
    out: OutOption,
    activation: ActivationChoice = None,
    step: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Only networks of this step (epoch); repeat. [default: all]", show_default=False),
    ] = None,
    last_step: Annotated[bool, typer.Option("--last-step", help="Only the last network of each run.")] = False,
    count: CountOption = None,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
) -> None:
    """Import the Small CNN Zoo: weights.npy, layout.csv and metrics.csv.gz.

    That of Unterthiner et al. 2020, one data set at a time; its steps are epochs. Weights go from TensorFlow's order of
    axes to PyTorch's. Networks that are not finite are dropped and counted.
    """
    from nfn_cli.zoo import Selection, import_small_cnn_zoo

    _refuse_both(step, last_step, "--step")
    selection = Selection(activation, tuple(sorted(set(step or ()))), last_step, count, seed)
    with import_progress(out, "networks", quiet=quiet) as progress:
        report = import_small_cnn_zoo(folder, out, selection, on_start=progress.start, on_networks=progress.steps)
    if not quiet:
        _tell(out, report)


@imports.command("model-zoo")
def model_zoo(
    folder: FolderArgument,
    out: OutOption,
    activation: ActivationChoice = None,
    epoch: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Only networks of this epoch; repeat. [default: all]", show_default=False),
    ] = None,
    last_epoch: Annotated[bool, typer.Option("--last-epoch", help="Only the last network of each trial.")] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Only trials whose params.json says so, such as model::type=CNN; repeat.",
            show_default=False,
        ),
    ] = None,
    count: CountOption = None,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
) -> None:
    """Import a model zoo: a folder of Ray Tune trials.

    As published by Schürholt et al. 2022 (modelzoos.cc). Each trial has params.json, result.json and its checkpoints.
    Trials that cannot be read are skipped and named, and the exit code is then 1; networks that are not finite are
    dropped and counted.
    """
    from nfn_cli.zoo import Selection, import_model_zoo

    _refuse_both(epoch, last_epoch, "--epoch")
    selection = Selection(activation, tuple(sorted(set(epoch or ()))), last_epoch, count, seed)
    with import_progress(out, "trials", quiet=quiet) as progress:
        report = import_model_zoo(
            folder,
            out,
            selection,
            _conditions(where or ()),
            on_start=progress.start,
            on_trials=progress.steps,
        )
    for line in failure_lines((line.partition(": ")[0], line) for line in report.skipped):
        tell(line)
    if not quiet:
        _tell(out, report)
    if report.skipped:
        raise typer.Exit(1)


@imports.command("siren")
def siren(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The set as downloaded and unpacked.", show_default=False)
    ],
    out: OutOption,
    split: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A split file (JSON): only what it lists, divided and labelled as it says."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Name of the set, such as mnist or randinit_smaller; needed where DIR holds several."),
    ] = None,
    fits: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many fits to one picture. [default: all]", show_default=False),
    ] = None,
    test_from: Annotated[
        int | None,
        typer.Option(
            min=0, help="The files net<N>.pth from this N on are the test part. [default: 50000]", show_default=False
        ),
    ] = None,
    omega_0: Annotated[
        float | None,
        typer.Option(
            min=1e-3, max=1e4, help="Frequency of the sines. [default: as the files say, else 30]", show_default=False
        ),
    ] = None,
    value_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="What the networks give for black and white. [default: as the set has it]",
            show_default=False,
        ),
    ] = None,
    places: Annotated[
        Places | None,
        typer.Option(help="Order of the networks' inputs. [default: as the set has it]", show_default=False),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="This many pictures, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which pictures --count draws.")] = 0,
    quiet: QuietOption = False,
) -> None:
    """Import a published set of SIRENs, for nfn train-inr.

    Either folders of one class each (randinit_smaller_7s/net123.pth, Zhou et al. 2023), or of one network each
    (mnist_png_training_7_123/checkpoints/model_final.pth, Navon et al. 2023). The networks come to take (row, column).
    Files that cannot be read are skipped and named, and the exit code is then 1.
    """
    from nfn_cli.zoo import InrSelection, import_sirens

    for value, name in ((data, "--data"), (test_from, "--test-from")):
        if split is not None and value is not None:
            raise UsageError(name, "is given by the split file already", "give one of the two")
    if value_range is not None and not (isfinite(sum(value_range)) and value_range[0] != value_range[1]):
        raise UsageError("--value-range", "is no range", "give two different numbers, such as -1 1")
    column_first = None if places is None else places is Places.column_first
    selection = InrSelection(
        split_file=split,
        data=data,
        count=count,
        seed=seed,
        fits=fits,
        omega_0=omega_0,
        value_range=value_range,
        column_first=column_first,
    )
    if test_from is not None:
        selection = replace(selection, test_from=test_from)
    with import_progress(out, "networks", quiet=quiet) as progress:
        report = import_sirens(folder, out, selection, on_start=progress.start, on_networks=progress.steps)
    for line in failure_lines((line.partition(": ")[0], line) for line in report.skipped):
        tell(line)
    skipped = f", {len(report.skipped):,} skipped" if report.skipped else ""
    if not quiet:
        tell(
            f"{out}: {report.networks:,} networks of {report.pictures:,} pictures"
            f" ({report.networks - report.test:,} to train on, {report.test:,} to test on{skipped})"
        )
    if report.skipped:
        raise typer.Exit(1)


def _conditions(where: Sequence[str]) -> dict[str, str]:
    conditions = {}
    for condition in where:
        key, equals, value = condition.partition("=")
        if not (key and equals):
            raise UsageError("--where", f"{condition} is no condition", "give KEY=VALUE")
        conditions[key] = value
    return conditions


def _refuse_both(numbers: list[int] | None, last: bool, name: str) -> None:
    if numbers and last:
        raise UsageError(name, "contradicts the last one", "give one of the two")


def _tell(out: Path, report: ImportReport) -> None:
    skipped = f", {len(report.skipped):,} trials skipped" if report.skipped else ""
    tell(
        f"{out}: {report.networks:,} networks of {report.runs:,} runs ({report.dropped:,} not finite, dropped{skipped})"
    )
