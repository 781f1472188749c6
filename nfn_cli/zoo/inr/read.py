"""Read a zoo of INRs: networks with the classes of their pictures."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import torch

from nfn_cli.errors import DataError
from nfn_cli.zoo.inr.labels import read_inr_rows
from nfn_cli.zoo.labels import LABELS_FILE, Label
from nfn_cli.zoo.listed_networks import confined
from nfn_cli.zoo.networks import LabelledNetworks, read_labelled


def read_inrs(data: Path, labels: Path | None = None, *, activation: str | None = None) -> LabelledNetworks:
    """Read the networks that a CSV file lists; their targets are classes, and those of one picture are one run.

    Args:
        data: a folder of INRs.
        labels: the CSV file with the columns `file` and `label`; by default `labels.csv` in the folder.
        activation: of all networks, over what their files say.

    Raises:
        DataError: labels or data are unusable, or the networks are of several architectures.
        CheckpointError, ArchitectureError: a listed checkpoint cannot be read.
    """
    if not os.path.isdir(data):
        raise DataError(data, "no such folder", "give a zoo of INRs")
    table = labels or data / LABELS_FILE
    return read_labelled(
        [Label(row.file, row.index, row.run, row.label, row.split) for row in read_inr_rows(table)],
        partial(confined, data, table=table),
        dtype=torch.int64,
        activation=activation,
        default_activation="sin",
    )
