"""Where a head goes."""

from __future__ import annotations

import os
from pathlib import Path

from nfn_cli.errors import DataError


def require_place(out: Path) -> None:
    """Check, before long work, that a head's folder can be made or written to.

    Raises:
        DataError: it cannot.
    """
    there = next(place for place in (out, *out.resolve().parents) if os.path.exists(place))
    if not os.path.isdir(there) or not os.access(there, os.W_OK):
        raise DataError(out, f"{there} is no folder that can be written to", "choose another place")
