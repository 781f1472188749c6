"""`nfn classify-inr`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.failures import leave_with
from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, FormatOption, complete_head, refuse_existing
from nfn_cli.cli.progress import advance


def classify_inr(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="INRs (one SIREN a file), or folders of them.", show_default=False),
    ],
    head: Annotated[
        str | None,
        typer.Option(
            help="A shipped head's name or a head's folder; otherwise the shipped one that fits.",
            autocompletion=complete_head,
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Tell the probabilities of so many classes.")] = 3,
    device: DeviceOption = Device.auto,
    activation: ActivationOption = None,
    format: FormatOption = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of stdout.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output files.")] = False,
) -> None:
    """Tell what implicit neural representations show, from their weights alone.

    One row an INR: the most probable class, its probability, the entropy of all classes' probabilities (0 bit: the head
    is sure), and the probabilities of the --top classes.
    """
    from tqdm import tqdm

    from nfn_cli.checkpoints import find_checkpoints, require_writable, write_text_atomically
    from nfn_cli.cli.classes_table import classes_table
    from nfn_cli.cli.output import render_rows, write_rows
    from nfn_cli.scoring import ClassRow, classify

    if output is not None:
        refuse_existing(output, overwrite=overwrite)
        require_writable(output, overwrite=overwrite)
    notes: list[str] = []
    found = find_checkpoints(paths)
    silent = len(found) < 2 or not sys.stderr.isatty()
    with tqdm(total=len(found), unit="file", file=sys.stderr, disable=silent, leave=False) as bar:
        rows = list(
            classify(
                found,
                head=head,
                top=top,
                device=device.value,
                activation=activation,
                on_row=partial(advance, bar, 1),
                on_note=notes.append,
            )
        )
    if output is None:
        write_rows(rows, ClassRow, classes_table, format, sys.stdout)
    else:
        write_text_atomically(output, render_rows(rows, ClassRow, classes_table, format), overwrite=overwrite)
    leave_with([row.error for row in rows], notes)
