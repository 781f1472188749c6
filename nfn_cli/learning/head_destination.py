"""Check the folder that a head is to be written to."""

from __future__ import annotations

import os
from pathlib import Path

from nfn_cli.errors import DataError
from nfn_cli.learning.fit_state import has_state
from nfn_cli.nn.head_folder import CONFIG_FILE


def require_head_destination(out: Path) -> None:
    """Check, before long work, that a head's folder can be made or written to, and that nothing else is in it.

    Raises:
        DataError: it cannot, or it holds other files, among which a head's would replace those of the same names.
    """
    there = next(path for path in (out, *out.resolve().parents) if os.path.exists(path))
    if not os.path.isdir(there) or not os.access(there, os.W_OK):
        raise DataError(out, f"{there} is no folder that can be written to", "choose another place")
    if not os.path.isdir(out) or (out / CONFIG_FILE).exists() or has_state(out):
        return
    if any(not entry.name.startswith(".") for entry in os.scandir(out)):
        raise DataError(out, "holds files, and no head", "choose a new or an empty folder")
