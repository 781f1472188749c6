"""`nfn zoo import`: published zoos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.command import Command
from nfn_cli.cli.failures import failure_lines, tell
from nfn_cli.cli.options import INPUT, OUTPUT, READING, QuietOption
from nfn_cli.cli.program import Group
from nfn_cli.cli.progress.zoo_progress import import_progress
from nfn_cli.cli.takes import Hidden, argument, option, takes
from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    from nfn_cli.zoo import ImportReport

imports = typer.Typer(cls=Group, no_args_is_help=True)


@imports.callback()
def _imports() -> None:
    """Turn published zoos into packed ones.

    Those are what `nfn train` and `nfn train-inr` and their like read.

    Examples:
        nfn zoo import small-cnn-zoo cifar10 --activation relu --last-step -o zoo
        nfn zoo import siren siren_cifar_wts -o inrs
    """


class Places(str, Enum):
    """In which order networks take a place."""

    row_first = "row-first"
    column_first = "column-first"


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What every import asks for."""

    folder: Annotated[Path, argument("DIR", "The zoo as downloaded and unpacked.")]
    output: Annotated[
        Path, option(OUTPUT, "Folder of the zoo to write, new or empty.", "--output", "-o"), Hidden("--out")
    ]
    count: Annotated[int | None, option(INPUT, "This many training runs (or pictures), drawn at random.", min=1)] = None
    seed: Annotated[int, option(INPUT, "Decides which ones --count draws.")] = 0
    quiet: QuietOption = False


ActivationChoice = Annotated[
    str | None, option(INPUT, "Only networks of this activation; needed where there are several.")
]


@imports.command("small-cnn-zoo", cls=Command)
@takes
def small_cnn_zoo(
    options: ImportOptions,
    activation: ActivationChoice = None,
    step: Annotated[
        list[int] | None, option(INPUT, "Only networks of this step (epoch); repeat. [default: all]", min=0)
    ] = None,
    last_step: Annotated[bool, option(INPUT, "Only the last network of each run.", "--last-step")] = False,
) -> None:
    """Import the Small CNN Zoo of Unterthiner et al. 2020.

    It reads weights.npy, layout.csv and metrics.csv.gz, one data set at a time; steps are epochs. Weights go from
    TensorFlow's order of axes to PyTorch's. Networks that are not finite are dropped and counted.

    Examples:
        nfn zoo import small-cnn-zoo cifar10 --activation relu --last-step -o zoo
        nfn zoo import small-cnn-zoo mnist --activation tanh --count 500 -o zoo
    """
    from nfn_cli.zoo import Selection, import_small_cnn_zoo

    _refuse_both(step, last_step, "--step")
    selection = Selection(activation, tuple(sorted(set(step or ()))), last_step, options.count, options.seed)
    with import_progress(options.output, "networks", quiet=options.quiet) as progress:
        report = import_small_cnn_zoo(
            options.folder, options.output, selection, on_start=progress.start, on_networks=progress.steps
        )
    _end(options, _summary(report))


@imports.command("model-zoo", cls=Command)
@takes
def model_zoo(
    options: ImportOptions,
    activation: ActivationChoice = None,
    epoch: Annotated[
        list[int] | None, option(INPUT, "Only networks of this epoch; repeat. [default: all]", min=0)
    ] = None,
    last_epoch: Annotated[bool, option(INPUT, "Only the last network of each trial.", "--last-epoch")] = False,
    where: Annotated[
        list[str] | None,
        option(INPUT, "Only trials whose params.json says so, such as model::type=CNN; repeat.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Import a zoo of Ray Tune trials (Schürholt et al. 2022).

    As published on modelzoos.cc: each trial has params.json, result.json and its checkpoints. Trials that cannot be
    read are skipped and named, and the exit code is then 1; networks that are not finite are dropped and counted.

    Examples:
        nfn zoo import model-zoo tune_zoo_mnist_uniform --last-epoch -o zoo
        nfn zoo import model-zoo trials --where model::type=CNN -o zoo
    """
    from nfn_cli.zoo import Selection, import_model_zoo

    _refuse_both(epoch, last_epoch, "--epoch")
    selection = Selection(activation, tuple(sorted(set(epoch or ()))), last_epoch, options.count, options.seed)
    with import_progress(options.output, "trials", quiet=options.quiet) as progress:
        report = import_model_zoo(
            options.folder,
            options.output,
            selection,
            _conditions(where or ()),
            on_start=progress.start,
            on_trials=progress.steps,
        )
    _end(options, _summary(report), report.skipped)


@imports.command("siren", cls=Command)
@takes
def siren(
    options: ImportOptions,
    split: Annotated[
        Path | None,
        option(INPUT, "A split file (JSON): only what it lists, divided and labelled as it says.", metavar="FILE"),
    ] = None,
    data: Annotated[
        str | None, option(INPUT, "Name of the set, such as mnist or randinit_smaller; needed where DIR holds several.")
    ] = None,
    fits: Annotated[int | None, option(INPUT, "At most so many fits to one picture. [default: all]", min=1)] = None,
    test_from: Annotated[
        int | None, option(INPUT, "The files net<N>.pth from this N on are the test part. [default: 50000]", min=0)
    ] = None,
    omega_0: Annotated[
        float | None, option(READING, "Frequency of the sines. [default: as the files say, else 30]", min=1e-3, max=1e4)
    ] = None,
    value_range: Annotated[
        tuple[float, float] | None,
        option(READING, "What the networks give for black and white. [default: as the set has it]", metavar="LOW HIGH"),
    ] = None,
    places: Annotated[
        Places | None, option(READING, "Order of the networks' inputs. [default: as the set has it]")
    ] = None,
) -> None:
    """Import a published set of SIRENs, for nfn train-inr.

    Either folders of one class each (randinit_smaller_7s/net123.pth, Zhou et al. 2023), or of one network each
    (mnist_png_training_7_123/checkpoints/model_final.pth, Navon et al. 2023). The networks come to take (row, column).
    Files that cannot be read are skipped and named, and the exit code is then 1.

    Examples:
        nfn zoo import siren siren_cifar_wts -o inrs
        nfn zoo import siren mnist-inrs --split mnist_splits.json -o inrs
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
        count=options.count,
        seed=options.seed,
        fits=fits,
        omega_0=omega_0,
        value_range=value_range,
        column_first=column_first,
    )
    if test_from is not None:
        selection = replace(selection, test_from=test_from)
    with import_progress(options.output, "networks", quiet=options.quiet) as progress:
        report = import_sirens(
            options.folder, options.output, selection, on_start=progress.start, on_networks=progress.steps
        )
    skipped = f", {len(report.skipped):,} skipped" if report.skipped else ""
    summary = (
        f"{report.networks:,} networks of {report.pictures:,} pictures"
        f" ({report.networks - report.test:,} to train on, {report.test:,} to test on{skipped})"
    )
    _end(options, summary, report.skipped)


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


def _summary(report: ImportReport) -> str:
    skipped = f", {len(report.skipped):,} trials skipped" if report.skipped else ""
    return f"{report.networks:,} networks of {report.runs:,} runs ({report.dropped:,} not finite, dropped{skipped})"


def _end(options: ImportOptions, summary: str, skipped: Sequence[str] = ()) -> None:
    """Say what was skipped, a line each, and what was imported; leave with 1 where something was skipped."""
    for line in failure_lines((line.partition(": ")[0], line) for line in skipped):
        tell(line)
    if not options.quiet:
        tell(f"{options.output}: {summary}")
    if skipped:
        raise typer.Exit(1)
