"""The networks of a zoo that something is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nfn_cli.errors import DataError
from nfn_cli.zoo import LabelledInrs, read_inrs

Split = Literal["train", "test", "all"]


def chosen_inrs(
    data: Path, labels: Path | None, split: Split, count: int | None, activation: str | None = None
) -> LabelledInrs:
    """Read a zoo, and take the networks that count.

    Args:
        data, labels, activation: as in `read_inrs`.
        split: by the column `split`.
        count: as many of them, the first ones; None takes all.

    Raises:
        DataError: there are none, or unusable data.
        CheckpointError, ArchitectureError: a listed checkpoint cannot be read.
    """
    networks = read_inrs(data, labels, activation=activation)
    if split != "all":
        networks = networks.part(split)
    if not len(networks):
        raise DataError(data, f"none of its networks is of the {split} part", "use --split all")
    return networks.first(count)
