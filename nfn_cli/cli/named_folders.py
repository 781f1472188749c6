"""Options of the form NAME=DIR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nfn_cli.errors import UsageError


def named_folders(option: str, given: Sequence[str] | None) -> dict[str, Path]:
    """Folders by their names.

    Raises:
        UsageError: not of the form NAME=DIR, or a name twice.
    """
    folders: dict[str, Path] = {}
    for text in given or ():
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise UsageError(option, f"{text} is not of the form NAME=DIR", "give such as mnist=zoo-mnist")
        if name in folders:
            raise UsageError(option, f"the name {name} is given twice", "give each folder its own name")
        folders[name] = Path(folder)
    return folders
