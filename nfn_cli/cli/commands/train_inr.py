"""`nfn train-inr`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from nfn_cli.cli.head_work import ClassLabels, FitOptions, Inrs, fit_head
from nfn_cli.cli.named_folders import named_folders
from nfn_cli.cli.options import FIT, INPUT, ClassKind, OodOption, kind_option
from nfn_cli.cli.takes import Hidden, option, takes
from nfn_cli.errors import UsageError
from nfn_cli.shipped import CLASSIFY

_PROBE = ClassKind("coordinate-probe")


@takes
def train_inr(
    data: Inrs,
    options: FitOptions,
    labels: ClassLabels = None,
    kind: Annotated[ClassKind, kind_option(CLASSIFY)] = _PROBE,
    classes: Annotated[
        str | None, option(INPUT, "Names of the classes 0, 1, ... [default: numbers]", metavar="NAME,NAME,...")
    ] = None,
    side: Annotated[int, option(FIT, "Points along a side (coordinate-probe).", min=8, max=256)] = 24,
    channels: Annotated[
        int | None, option(FIT, "Channels of the head's first layers. [default: the kind's own]", min=1, max=1024)
    ] = None,
    mirror: Annotated[
        bool, option(FIT, "A picture mirrored left to right keeps its class (coordinate-probe).", "--mirror")
    ] = False,
    messages: Annotated[
        bool,
        option(
            FIT, "Layers that multiply features of neurons with those of their neighbours (monomial-inr).", "--messages"
        ),
    ] = False,
    sines: Annotated[
        bool,
        option(
            FIT,
            "Sines between the layers; with --messages the channels start at places of the picture (monomial-inr).",
            "--sines",
        ),
    ] = False,
    augment: Annotated[
        bool,
        option(FIT, "Pictures are turned, stretched and moved at random in the fit (monomial-inr).", "--augment"),
    ] = False,
    also: Annotated[
        list[Path] | None,
        option(INPUT, "Another zoo whose training part is fitted to as well; repeatable.", metavar="DIR"),
    ] = None,
    epochs: Annotated[
        int | None, option(FIT, "Passes over the training networks. [default: the kind's own]", min=1)
    ] = None,
    limit: Annotated[
        int | None, option(INPUT, "Fit to this many networks. [default: all]", min=1), Hidden("--count")
    ] = None,
    members: Annotated[int, option(FIT, "Networks in the head's ensemble.", min=1, max=64)] = 1,
    ood: OodOption = None,
) -> None:
    """Fit a head that classifies INRs.

    The head is written as a folder, with its model card. Networks of the training part fit it (one picture in twenty
    sets its temperature instead), those of the test part measure it. The same command continues a fit that was stopped.

    Examples:
        nfn train-inr inrs -o my-inr-head
        nfn train-inr inrs --kind monomial-inr --sines --messages -o my-inr-head
    """
    from nfn_cli.cli.tables.class_report import print_class_report
    from nfn_cli.learning import ClassifierSettings, FitSettings
    from nfn_cli.nn import sizes_of

    if mirror and kind is not _PROBE:
        raise UsageError("--mirror", f"does not apply to {kind.value}", "leave it out")
    for name, given in {"--messages": messages, "--sines": sines, "--augment": augment}.items():
        if given and kind.value != "monomial-inr":
            raise UsageError(name, f"does not apply to {kind.value}", "leave it out")
    settings = ClassifierSettings(
        kind=kind.value,
        sizes=sizes_of(
            kind.value,
            side=side,
            channels=channels,
            mirror=mirror,
            messages=messages,
            sines=sines,
            augment=augment,
        ),
        members=members,
        fit=FitSettings(epochs=epochs, seed=options.seed),
        count=limit,
        also=tuple(also or ()),
        class_names=_names(classes),
        activation=options.activation,
        out_of_distribution=named_folders("--ood", ood),
    )
    fit_head(data, labels, settings, options, "epochs", print_class_report)


def _names(classes: str | None) -> tuple[str, ...] | None:
    if classes is None:
        return None
    names = tuple(name.strip() for name in classes.split(","))
    if len(set(names)) < len(names) or not all(name and name.isprintable() for name in names) or len(names) < 2:
        raise UsageError("--classes", f"{classes} does not name several different classes", "give such as cat,dog,bird")
    return names
