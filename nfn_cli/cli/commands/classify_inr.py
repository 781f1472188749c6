"""`nfn classify-inr`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, OverwriteOption, QuietOption
from nfn_cli.cli.scoring_options import (
    BatchSizeOption,
    Dtype,
    DtypeOption,
    Engine,
    EngineOption,
    ExcludeOption,
    FromFileOption,
    HashOption,
    HeadOption,
    IncludeOption,
    JobsOption,
    LimitOption,
    OrderedOption,
    OutputOption,
    PathsArgument,
    ResumeOption,
    ScoreFormat,
    ScoreFormatOption,
    ScoringCall,
    parsed_batch_size,
)


def classify_inr(
    paths: PathsArgument = None,
    head: HeadOption = None,
    top: Annotated[int, typer.Option(min=1, help="Tell the probabilities of so many classes.")] = 3,
    device: DeviceOption = Device.auto,
    activation: ActivationOption = None,
    format: ScoreFormatOption = None,
    output: OutputOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
    hash: HashOption = False,
    from_file: FromFileOption = None,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    limit: LimitOption = None,
    jobs: JobsOption = None,
    ordered: OrderedOption = True,
    batch_size: BatchSizeOption = "auto",
    dtype: DtypeOption = Dtype.float32,
    engine: EngineOption = Engine.local,
    render: Annotated[
        bool,
        typer.Option("--render", help="Draw the pictures in the terminal as well; on stderr, where rows are no table."),
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the pictures on a contact sheet.", show_default=False),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the true classes (file, label), for the pictures. [default: labels.csv beside the files]",
            show_default=False,
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Tell what implicit neural representations show, from their weights alone.

    One row an INR: the most probable class, its probability, the entropy of all classes' probabilities (0 bit: the head
    is sure), and the probabilities of the --top classes.
    """
    from nfn_cli.cli.class_pictures import ClassPictures, PictureOptions
    from nfn_cli.cli.scoring_run import run_scoring
    from nfn_cli.cli.tables.classes_table import classes_table
    from nfn_cli.scoring import ClassificationTask, ClassRow

    call = ScoringCall(
        paths=paths or [],
        from_file=from_file,
        include=include or [],
        exclude=exclude or [],
        limit=limit,
        head=head,
        activation=activation,
        device=device.value,
        dtype=dtype.value,
        batch_size=parsed_batch_size(batch_size),
        jobs=jobs,
        ordered=ordered,
        engine=engine.value,
        format=format,
        output=output,
        overwrite=overwrite,
        resume=resume,
        hashed=hash,
        quiet=quiet,
    )
    table = format is ScoreFormat.table or (format is None and sys.stdout.isatty())
    pictures = PictureOptions(sheet, render, labels, activation, aside=output is None and not table)
    shown = ClassPictures(pictures, overwrite=overwrite) if pictures.wanted else None
    run_scoring(ClassificationTask(top), ClassRow, classes_table, call, shown)
