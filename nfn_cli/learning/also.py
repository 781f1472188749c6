"""Networks that a head is fitted to besides those of a zoo: others of its training runs, such as those between
epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nfn_cli.architectures import joined
from nfn_cli.errors import DataError
from nfn_cli.learning.accuracy_settings import AccuracySettings
from nfn_cli.nn import Accepted
from nfn_cli.zoo import BetweenSettings, LabelledNetworks, read_networks, read_record


def read_also(folders: Sequence[Path], train: LabelledNetworks, settings: AccuracySettings) -> LabelledNetworks:
    """The networks of some folders that are of the training runs.

    Raises:
        DataError: a folder cannot be read, has networks of another architecture, or none of the training runs.
        CheckpointError, ArchitectureError: a checkpoint cannot be read.
    """
    accepted, runs = Accepted.of(train.point.architecture), set(train.runs)
    found: list[LabelledNetworks] = []
    for folder in folders:
        own = read_networks(
            folder,
            column=settings.column,
            run_column=settings.run_column,
            unique=True,
            activation=settings.activation,
            default_activation=train.point.architecture.activation,
        )
        reason = accepted.mismatch(own.point.architecture)
        if reason is None and own.point.architecture.hidden_widths != train.point.architecture.hidden_widths:
            reason = "its networks have other hidden widths"
        if reason:
            raise DataError(folder, reason, "give networks of the same architecture")
        chosen = [position for position, run in enumerate(own.runs) if run in runs]
        if not chosen:
            cause = "none of its networks is of a run that is fitted to"
            raise DataError(folder, cause, "give networks of the same runs, such as those of `nfn zoo between`")
        found.append(own.select(chosen))
    first, *others = found
    for own in others:
        first = together(first, own)
    return first


def together(networks: LabelledNetworks, also: LabelledNetworks | None) -> LabelledNetworks:
    """Both, one after the other; halves of accuracies are left out."""
    if also is None:
        return networks
    return LabelledNetworks(
        joined([networks.point, also.point]),
        torch.cat([networks.targets, also.targets]),
        runs=networks.runs + also.runs,
        files=networks.files + also.files,
        splits=networks.splits + also.splits,
    )


def also_record(folders: Sequence[Path], also: LabelledNetworks | None) -> dict[str, Any]:
    """What the card needs to know of them: the folders, and the networks that were fitted to."""
    if also is None:
        return {}
    told = [{"data": folder.resolve().name, "zoo": read_record(folder, BetweenSettings)} for folder in folders]
    return {"also": told, "also_networks": len(also)}
