"""What the folder of a zoo of INRs says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nfn_cli.zoo.inr.siren_recipe import InrSettings
from nfn_cli.zoo.record import read_record

RECIPE = InrSettings.recipe


def read_inr_record(folder: Path) -> dict[str, Any] | None:
    """`zoo.yaml` of a zoo of INRs, None where there is none or it is of another kind.

    Raises:
        DataError: it is damaged.
    """
    return read_record(folder, InrSettings)
