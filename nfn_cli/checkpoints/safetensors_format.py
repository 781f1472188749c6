"""Read a safetensors file, and write it back with other values."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from nfn_cli.checkpoints.atomic import write_atomically
from nfn_cli.checkpoints.printable import is_utf8, printable
from nfn_cli.errors import CheckpointError

# A file whose tensors have a leading axis of networks carries this key in its metadata.
POPULATION_KEY = "nfn.population"


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, memory-mapped, and the metadata.

    Raises:
        CheckpointError: a header that does not describe the file, or a truncated file.
    """
    if not is_utf8(os.fspath(path)):
        raise CheckpointError(
            path, "its name is not UTF-8, and the safetensors library opens no such file", "rename it"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except Exception as error:
        # SafetensorError, and what torch raises for a kind of number that it lacks.
        cause = f"the safetensors header does not fit the file ({printable(error)})"
        raise CheckpointError(path, cause, "copy or save it again") from error
    if POPULATION_KEY in metadata:
        cause = f"a packed population of {printable(metadata[POPULATION_KEY])} networks"
        raise CheckpointError(path, cause, "read it with `nfn train` or `nfn evaluate`, or generate without --packed")
    return tensors, metadata


def rewrite_safetensors(
    source: Path,
    tensors: Mapping[str, Tensor],
    new_value: Callable[[str], Tensor | None],
    out: Path,
    *,
    overwrite: bool = False,
) -> None:
    """Write a file with the header of another one, tensor by tensor, so that the values are never all in memory.

    Args:
        source: a file that `read_safetensors` has read.
        tensors: its tensors, by name.
        new_value: the new value of a tensor, of its shape, or None where it stays; asked once for each.

    Raises:
        CheckpointError: the file exists (without `overwrite`) or cannot be written; and whatever `new_value` raises.
            Nothing is left behind.
    """

    def write(temporary: Path) -> None:
        with source.open("rb") as old, temporary.open("wb") as file:
            length = old.read(8)
            header = old.read(int.from_bytes(length, "little"))
            file.write(length + header)
            entries = json.loads(header)
            # The data follow the header in the order of their offsets, without holes.
            for name in sorted(tensors, key=lambda name: entries[name]["data_offsets"]):
                value = new_value(name)
                value = tensors[name] if value is None else value.to(tensors[name].dtype)
                file.write(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)

    write_atomically(out, write, overwrite=overwrite)
