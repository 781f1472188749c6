"""Read a safetensors file."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nfn_cli.errors import CheckpointError

# A file whose tensors have a leading axis of networks carries this key in its metadata.
POPULATION_KEY = "nfn.population"


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, memory-mapped, and the metadata.

    Raises:
        CheckpointError: a header that does not describe the file, or a truncated file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (SafetensorError, OSError, ValueError, RuntimeError, AttributeError, TypeError) as error:
        cause = f"the safetensors header does not fit the file ({error})"
        raise CheckpointError(path, cause, "copy or save it again") from error
    if POPULATION_KEY in metadata:
        cause = f"a packed population of {metadata[POPULATION_KEY]} networks"
        raise CheckpointError(path, cause, "read it with `nfn train` or `nfn evaluate`, or generate without --packed")
    return tensors, metadata
