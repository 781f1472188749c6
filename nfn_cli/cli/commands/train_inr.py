"""`nfn train-inr`."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nfn_cli.cli.failures import tell
from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, QuietOption, refuse_existing
from nfn_cli.cli.outsiders import OutsidersOption, parsed_outsiders
from nfn_cli.cli.progress.fit_progress import fit_progress
from nfn_cli.errors import UsageError


class InrKindName(str, Enum):
    """Kinds of heads that classify INRs."""

    coordinate_probe = "coordinate-probe"
    monomial_inr = "monomial-inr"


def train_inr(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A zoo of INRs.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the head to write; an unfinished fit in it is continued.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with columns file, label and split. [default: labels.csv in the folder]", show_default=False
        ),
    ] = None,
    kind: Annotated[
        InrKindName,
        typer.Option(help="coordinate-probe asks a network for its values at places, monomial-inr reads its weights."),
    ] = InrKindName.coordinate_probe,
    classes: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help="Names of the classes 0, 1, ... [default: numbers]")
    ] = None,
    side: Annotated[int, typer.Option(min=8, max=256, help="Places along a side (coordinate-probe).")] = 24,
    channels: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Channels of the head's first layers. [default: the kind's own]"),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="A picture mirrored left to right keeps its class (coordinate-probe).")
    ] = False,
    messages: Annotated[
        bool, typer.Option("--messages", help="Layers multiply what neurons and their neighbours know (monomial-inr).")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the training networks. [default: the kind's own]", show_default=False),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Fit to this many networks. [default: all]", show_default=False)
    ] = None,
    members: Annotated[int, typer.Option(min=1, max=64, help="Networks in the head's ensemble.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Decides initial weights and batches.")] = 0,
    outsiders: OutsidersOption = None,
    activation: ActivationOption = None,
    device: DeviceOption = Device.auto,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a head or another unfinished fit that is there.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a head that classifies INRs, and write it as a folder with its model card.

    Networks of the training part fit the head (one picture in twenty sets its temperature instead), those of the test
    part measure it. The same command continues a fit that was stopped.
    """
    from nfn_cli.cli.tables.class_report import print_class_report
    from nfn_cli.learning import ClassifierSettings, FitSettings, is_unfinished, train_head
    from nfn_cli.nn import sizes_of
    from nfn_cli.scoring.device import resolve_device

    if mirror and kind is not InrKindName.coordinate_probe:
        raise UsageError("--mirror", f"does not apply to {kind.value}", "leave it out")
    if messages and kind is not InrKindName.monomial_inr:
        raise UsageError("--messages", f"does not apply to {kind.value}", "leave it out")
    if not is_unfinished(out):
        refuse_existing(out, overwrite=overwrite)
    settings = ClassifierSettings(
        kind=kind.value,
        sizes=sizes_of(kind.value, side=side, channels=channels, mirror=mirror, messages=messages),
        members=members,
        fit=FitSettings(epochs=epochs, seed=seed),
        count=count,
        class_names=_names(classes),
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
    print_class_report(report, sys.stdout)
    if not quiet:
        tell(f"head written to {out}")


def _names(classes: str | None) -> tuple[str, ...] | None:
    if classes is None:
        return None
    names = tuple(name.strip() for name in classes.split(","))
    if len(set(names)) < len(names) or not all(name and name.isprintable() for name in names) or len(names) < 2:
        raise UsageError("--classes", f"{classes} does not name several different classes", "give such as cat,dog,bird")
    return names
