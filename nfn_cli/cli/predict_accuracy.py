"""`nfn predict-accuracy`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.failures import leave_with
from nfn_cli.cli.options import (
    ActivationOption,
    Device,
    DeviceOption,
    FormatOption,
    complete_head,
    refuse_existing,
)
from nfn_cli.cli.progress import advance


def predict_accuracy(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Checkpoints, or folders of them.", show_default=False)
    ],
    head: Annotated[
        str | None,
        typer.Option(
            help="A shipped head's name or a head's folder; otherwise the shipped one that fits.",
            autocompletion=complete_head,
        ),
    ] = None,
    device: DeviceOption = Device.auto,
    activation: ActivationOption = None,
    format: FormatOption = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of stdout.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file.")] = False,
) -> None:
    """Predict how well trained networks generalise, from their weights alone.

    Reads safetensors and PyTorch checkpoints; nothing in a file is ever executed. One row a checkpoint: predicted test
    accuracy, a 90 % interval, the head that said so, and whether the network looks like those the head was trained on.
    """
    from tqdm import tqdm

    from nfn_cli.checkpoints import find_checkpoints, require_writable, write_text_atomically
    from nfn_cli.cli.output import render_rows, write_rows
    from nfn_cli.cli.predictions_table import predictions_table
    from nfn_cli.scoring import ScoreRow, score

    if output is not None:
        refuse_existing(output, overwrite=overwrite)
        require_writable(output, overwrite=overwrite)
    notes: list[str] = []
    found = find_checkpoints(paths)
    with tqdm(total=len(found), unit="file", file=sys.stderr, disable=_silent(len(found)), leave=False) as bar:
        rows = list(
            score(
                found,
                head=head,
                device=device.value,
                activation=activation,
                on_row=partial(advance, bar, 1),
                on_note=notes.append,
            )
        )
    if output is None:
        write_rows(rows, ScoreRow, predictions_table, format, sys.stdout)
    else:
        write_text_atomically(output, render_rows(rows, ScoreRow, predictions_table, format), overwrite=overwrite)
    leave_with([row.error for row in rows], notes)


def _silent(files: int) -> bool:
    return files < 2 or not sys.stderr.isatty()
