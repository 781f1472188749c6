"""`nfn edit-inr`."""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.destinations import Destination, OutputOption, SkipExistingOption, planned, refuse_both
from nfn_cli.cli.many_files import leave_after, write_each
from nfn_cli.cli.options import (
    ActivationOption,
    Device,
    DeviceOption,
    FormatOption,
    OverwriteOption,
    QuietOption,
    complete_head,
)
from nfn_cli.errors import CheckpointError, HeadError, NfnError, UsageError
from nfn_cli.phrases import assumption

if TYPE_CHECKING:
    from nfn_cli.cli.tables.layout import Table
    from nfn_cli.nn import Head


class Edit(str, Enum):
    """What is done to the picture."""

    dilate = "dilate"
    erode = "erode"
    contrast = "contrast"


@dataclass(frozen=True)
class EditedRow:
    """One file edited.

    Attributes:
        change: of the weights, ‖new − old‖ / ‖old‖.
        assumed: what nothing tells of the network.
    """

    path: str
    output: str
    change: float | None = None
    head: str | None = None
    assumed: str | None = None
    error: str | None = None


def edit_inr(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="IN...", help="Implicit neural representations, or folders.", show_default=False),
    ],
    output: OutputOption,
    edit: Annotated[
        Edit | None, typer.Option(help="What to do to the picture. [default: what --head does]", show_default=False)
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help="A head's name or folder. [default: the shipped head for the edit that reads the network]",
            autocompletion=complete_head,
            show_default=False,
        ),
    ] = None,
    gamma: Annotated[float, typer.Option(help="How much of the edit.")] = 1.0,
    activation: ActivationOption = None,
    device: DeviceOption = Device.auto,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
    skip_existing: SkipExistingOption = False,
    quiet: QuietOption = False,
) -> None:
    """Edit the pictures that implicit neural representations show, by their weights alone.

    The new file has the layout, names and dtype of the old one. Moving a network by its symmetries and editing it
    commute.
    """
    refuse_both(skip_existing, overwrite)
    if edit is None and head is None:
        raise UsageError("--edit", "no edit is named", "give dilate, erode or contrast, or --head")
    if not math.isfinite(gamma):
        raise UsageError("--gamma", f"{gamma:g} is no amount", "give a number, such as 1")

    from nfn_cli.cli.output import write_rows
    from nfn_cli.scoring.device import resolve_device

    heads = _Heads(edit.value if edit else None, head, resolve_device(device.value))
    plan = planned(paths, output)

    def work(each: Destination) -> EditedRow:
        return _edited(each.source, each.target, heads, gamma, activation, overwrite=overwrite)

    def failed(each: Destination, error: NfnError) -> EditedRow:
        return EditedRow(str(each.source), str(each.target), error=str(error))

    outcome = write_each(plan, work, failed, stage="editing", skip_existing=skip_existing, quiet=quiet)
    rows = outcome.rows
    write_rows(rows, EditedRow, _table, format, sys.stdout)
    counts = Counter(row.assumed for row in rows if row.assumed)
    notes = [assumption(what, count) for what, count in counts.items()]
    leave_after(outcome, notes, overwrite=overwrite)


class _Heads:
    """The head that was asked for, or the shipped ones for an edit; each is loaded once.

    Raises:
        UsageError: the head makes another edit.
        HeadError: it cannot be read, or none is shipped for the edit.
    """

    def __init__(self, edit: str | None, name: str | None, device: str) -> None:
        from nfn_cli.nn import load_head, shipped_heads_of

        self._device = device
        self._loaded: dict[str, Head] = {}
        if name is None:
            shipped = shipped_heads_of("edit-inr")
            self.configs = {own: config for own, config in shipped.items() if edit in (None, config.details.edit)}
            return
        editor = load_head(name, device, task="edit-inr")
        if edit not in (None, editor.config.details.edit):
            raise UsageError(
                f"--edit {edit}", f"{name} does {editor.config.details.edit}", "leave out --edit or --head"
            )
        self.configs, self._loaded = {name: editor.config}, {name: editor}

    def named(self, name: str) -> Head:
        """The head of that name."""
        from nfn_cli.nn import load_head

        if name not in self._loaded:
            self._loaded[name] = load_head(name, self._device, task="edit-inr")
        return self._loaded[name]


def _edited(
    path: Path, target: Path, heads: _Heads, gamma: float, activation: str | None, *, overwrite: bool
) -> EditedRow:
    from nfn_cli.architectures import Told, read_network
    from nfn_cli.checkpoints import population_of, rewrite_checkpoint
    from nfn_cli.nn import choose_head
    from nfn_cli.nn.inr.edit_file import edited_tensors

    if os.path.exists(target) and not overwrite:
        raise CheckpointError(target, "exists already", "pass --overwrite to replace it")
    if population_of(path) is not None:
        raise CheckpointError(path, "a packed file of many networks", "give files of one network each")
    # A sine is what these heads read; a file that says nothing of its activation is taken for one.
    checkpoint, network = read_network(path, Told(activation=activation), default_activation="sin")
    network.plain()
    try:
        name, _ = choose_head(network.weights.architecture, heads.configs)
    except HeadError as error:
        raise HeadError(path, error.cause, "name a head for it with --head") from error
    new = edited_tensors(checkpoint, network, heads.named(name), gamma)
    rewrite_checkpoint(checkpoint, new.tensors, target, overwrite=overwrite)
    assumed = ["activation sin"] if network.activation.source == "assumed" else []
    assumed += [f"omega_0 {network.activation.omega_0:g}"] if network.assumes_frequency else []
    return EditedRow(str(path), str(target), new.change, name, " and ".join(assumed) or None)


def _table(rows: Iterable[EditedRow]) -> Table:
    from nfn_cli.cli.tables.layout import Cell, Column, Kind, Table

    columns = (
        Column("checkpoint", Kind.name),
        Column("written to", Kind.other),
        Column("change", right=True),
        Column("head", Kind.other),
    )
    return Table(
        columns,
        [
            [row.path, Cell("failed", "red"), "", ""]
            if row.error is not None
            else [row.path, row.output, f"{row.change:.1%}", row.head or ""]
            for row in rows
        ],
    )
