"""Whether listed networks are of several architectures, as far as this can be told without reading them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nfn_cli.errors import NfnError
from nfn_cli.zoo.listed_classifiers import listed_classifiers, shapes_differ


def are_several(data: Sequence[Path], labels: Path | None, column: str, run_column: str) -> bool:
    """Whether there are several folders, or the checkpoints of one hold tensors of different shapes.

    Not of what cannot be read: who reads it says why.

    Args:
        data, labels, column, run_column: as in `listed_classifiers`.
    """
    if len(data) > 1:
        return True
    if not os.path.isdir(data[0]):
        return False
    try:
        return shapes_differ(listed_classifiers(data, labels, column=column, run_column=run_column))
    except NfnError:
        return False
