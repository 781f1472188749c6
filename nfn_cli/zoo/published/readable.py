"""What importers of many files do alike: list them, skip what cannot be read, and require one architecture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.checkpoints import natural_key
from nfn_cli.errors import DataError, NfnError

Item = TypeVar("Item")
Found = TypeVar("Found")


def readable(
    items: Iterable[Item],
    read: Callable[[Item], Found],
    skipped: list[str],
    on_items: Callable[[int], None] = lambda items: None,
) -> Iterator[tuple[Item, Found]]:
    """Each item that can be read, and what was read.

    Args:
        read: raises `NfnError` for an item that is to be skipped.
        skipped: gets the reason of each that was, one line.
        on_items: called with how many were read or skipped since the last call.
    """
    for item in items:
        try:
            found = read(item)
        except NfnError as error:
            skipped.append(str(error))
            continue
        finally:
            on_items(1)
        yield item, found


def listed(folder: Path, remedy: str) -> list[str]:
    """The names in a folder, in natural order.

    Raises:
        DataError: it cannot be read; its remedy as given.
    """
    try:
        return sorted(os.listdir(folder), key=lambda name: (natural_key(name), name))
    except OSError as error:
        raise DataError(folder, f"no readable folder ({error.strerror})", remedy) from error


def require_same(
    path: Path,
    network: NetworkWeights,
    other: Path,
    reference: NetworkWeights,
    remedy: str,
    describe: Callable[[Architecture], str] = Architecture.describe,
) -> None:
    """Check that two networks are of one architecture, apart from names.

    Raises:
        DataError: they are not; its remedy as given.
    """
    own, first = network.architecture, reference.architecture
    if own.signature != first.signature:
        raise DataError(path, f"is {describe(own)}, while {other} is {describe(first)}", remedy)
