"""`nfn inspect`."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.failures import leave_with
from nfn_cli.cli.options import ActivationOption, Format, PoolOption
from nfn_cli.cli.plots import Panel, PlotOption, check_plot, draw, write_plot
from nfn_cli.errors import NfnError

if TYPE_CHECKING:
    from nfn_cli.cli.inspection_table import Inspected


class InspectFormat(str, Enum):
    """How the facts are written."""

    table = "table"
    json = "json"


def inspect_checkpoints(
    paths: Annotated[
        list[Path], typer.Argument(metavar="CKPT", help="Checkpoints, or folders of them.", show_default=False)
    ],
    activation: ActivationOption = None,
    pool: PoolOption = None,
    plot: PlotOption = None,
    format: Annotated[
        InspectFormat | None, typer.Option(help="A table on a terminal, else plain lines.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the picture that is there.")] = False,
) -> None:
    """Show what a network is made of, which symmetries it has, and which heads read it.

    For each checkpoint: layers, activation, the group that acts on each layer's neurons, the dimension of its orbit,
    how far its scales are from balance, dead and duplicate neurons. In a pipe, one line a layer.
    """
    from tqdm import tqdm

    from nfn_cli.architectures import canonical_activation
    from nfn_cli.checkpoints import find_checkpoints, read_checkpoint
    from nfn_cli.cli.inspection_table import Inspected, write_inspections
    from nfn_cli.nn import shipped_configs
    from nfn_cli.nn.inr.choose_classifier import shipped_classifiers
    from nfn_cli.symmetry import inspect_network, read_leniently

    if plot is not None:
        check_plot(plot, paths, overwrite=overwrite)
    if activation is not None:
        canonical_activation(activation, "--activation")  # wrong for one file is wrong for all
    accepted = {name: config.accepted for name, config in (shipped_configs() | shipped_classifiers()).items()}
    found = find_checkpoints(paths)
    rows: list[Inspected] = []
    silent = len(found) < 2 or not sys.stderr.isatty()
    for path in tqdm(found, unit="file", file=sys.stderr, disable=silent, leave=False):
        try:
            checkpoint = read_checkpoint(path)
            network = read_leniently(checkpoint, activation=activation, pool=pool.value if pool else None)
            row = Inspected.of(path, inspect_network(checkpoint, network), accepted)
            if plot is not None:
                panels = [Panel(module.name, module.weight) for module in network.modules]
                write_plot(plot, draw(panels, path.name), overwrite=overwrite)
        except NfnError as error:
            row = Inspected(str(path), error=str(error))
        rows.append(row)
    write_inspections(rows, Format(format.value) if format else None, sys.stdout)
    leave_with([row.error for row in rows])
