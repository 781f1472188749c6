"""Make folders."""

from __future__ import annotations

from pathlib import Path

from nfn_cli.errors import DataError


def make_folder(folder: Path) -> None:
    """Make a folder and those that it is in, where they are not there.

    Raises:
        DataError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(folder, f"cannot be made a folder ({error.strerror})", "choose another place") from error
