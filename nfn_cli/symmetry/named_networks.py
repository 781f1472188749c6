"""Networks by the names that rows give them: a file, an address in a store, or one of a packed file (`FILE#3`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nfn_cli.architectures import Stated
from nfn_cli.checkpoints import fetched, is_address, population_of, read_members
from nfn_cli.errors import NfnError
from nfn_cli.symmetry.sources import read_any
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.symmetry.sources import AnySource

_MARK = "#"


def each_network(paths: Iterable[str]) -> Iterator[str]:
    """The names of all networks in some files: of a packed one those of its networks.

    Raises:
        CheckpointError: a store cannot be reached.
    """
    for path in paths:
        count = population_of(path)
        if count is None:
            yield path
        else:
            yield from (f"{path}{_MARK}{position}" for position in range(count))


def read_named(name: str, stated: Stated, tracer: NetworkTracer) -> AnySource:
    """Read a network by its name. What comes from a store is in memory.

    Raises:
        CheckpointError, ArchitectureError, UsageError: as `read_any`.
    """
    file, mark, number = name.rpartition(_MARK)
    if mark and number.isdecimal() and not os.path.exists(name) and population_of(file) is not None:
        checkpoint, _ = read_members(file, int(number), int(number) + 1)
        return read_any(replace(checkpoint, path=Path(name)), stated, tracer)
    if not is_address(name):
        return read_any(Path(name), stated, tracer)
    with fetched(name) as local:
        try:
            source = read_any(local, stated, tracer)
            if isinstance(source, Source):
                return source
            return replace(source, checkpoint=replace(source.checkpoint, tensors=dict(source.checkpoint.tensors)))
        except NfnError as error:
            if error.subject == str(local):  # which is gone when the message is read
                raise type(error)(name, error.cause, error.remedy) from error
            raise
