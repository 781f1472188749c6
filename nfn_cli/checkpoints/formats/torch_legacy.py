"""PyTorch's files from before version 1.6. One is written back in the zip format, unless that would lose something."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.checkpoints.atomic import write_atomically
from nfn_cli.checkpoints.find_state_dict import find_container, other_tensors
from nfn_cli.checkpoints.formats.reader import Changes, Contents
from nfn_cli.checkpoints.torch_format import all_tensors_of, read_torch, state_dict_of
from nfn_cli.errors import CheckpointError


def read(path: Path, entry: str | None = None, *, placed: bool = False) -> Contents:
    """As `Reader.read`; the file is always read whole."""
    return state_dict_of(path, entry, zipped=False, placed=placed)


def read_all(path: Path) -> Contents:
    """As `Reader.read_all`."""
    return all_tensors_of(path, zipped=False)


def rewrite(
    source: Path, entry: str | None, changes: Changes, out: Path, *, overwrite: bool = False
) -> tuple[str, ...]:
    """As `Reader.rewrite`.

    Raises:
        CheckpointError: as `write_atomically`; or the file holds objects that nfn does not read.
    """
    loaded = read_torch(source, zipped=False)
    if loaded.lossy:
        cause = "a PyTorch file of the old format with objects that nfn does not read, which would be lost"
        raise CheckpointError(source, cause, "load it and save it again with torch.save, which writes the new format")
    container = find_container(source, loaded.value, entry)
    keys = {str(key): key for key, value in dict.items(container) if isinstance(value, Tensor)}
    changing = changes(keys)
    for name, key in keys.items():
        old = container[key]
        dict.__setitem__(container, key, _changed(name, old, changing[name][1]) if name in changing else old)

    def write(temporary: Path) -> None:
        try:
            torch.save(loaded.value, temporary)
        except RuntimeError as error:  # such as a full disk
            raise OSError(str(error)) from error

    write_atomically(out, write, overwrite=overwrite)
    return other_tensors(loaded.value, container)


def _changed(name: str, old: Tensor, parts: Iterable[Tensor]) -> Tensor:
    if not old.numel():
        return old
    new = [torch.atleast_1d(part) for part in parts]
    # A tensor in one part is not copied: it may share its memory with another one.
    whole = torch.cat(new) if len(new) > 1 else new[0]
    if whole.numel() != old.numel():
        raise ValueError(f"{name!r}: {len(whole)} of {len(old)} rows")
    value = whole.reshape(old.shape).to(old.dtype)
    return torch.nn.Parameter(value, requires_grad=old.requires_grad) if isinstance(old, torch.nn.Parameter) else value
