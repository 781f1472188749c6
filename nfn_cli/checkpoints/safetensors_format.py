"""Read a safetensors file."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

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
