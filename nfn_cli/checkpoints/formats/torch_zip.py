"""PyTorch's zip files. One is written back with other numbers in some tensors, and everything else byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from nfn_cli.checkpoints.atomic import write_atomically
from nfn_cli.checkpoints.find_state_dict import find_container, other_tensors
from nfn_cli.checkpoints.formats.reader import Change, Changes, Contents
from nfn_cli.checkpoints.printable import printable
from nfn_cli.checkpoints.replacement import changed_since
from nfn_cli.checkpoints.ties import shared_memory
from nfn_cli.checkpoints.torch_format import StoredBytes, all_tensors_of, read_torch, state_dict_of
from nfn_cli.checkpoints.zip_records import DamagedZipError, contents_of, renew_checksums
from nfn_cli.errors import CheckpointError

_COPIED = 1 << 20  # bytes copied at once
_SEPARATE = "save it with tensors of their own first: {name: tensor.clone() for ...}"


def read(path: Path, entry: str | None = None, *, placed: bool = False) -> Contents:
    """As `Reader.read`."""
    return state_dict_of(path, entry, zipped=True, placed=placed)


def read_all(path: Path) -> Contents:
    """As `Reader.read_all`."""
    return all_tensors_of(path, zipped=True)


def rewrite(
    source: Path, entry: str | None, changes: Changes, out: Path, *, overwrite: bool = False
) -> tuple[str, ...]:
    """As `Reader.rewrite`: copy the file, and write the new numbers over the old ones in the copy.

    Tensors that share memory go on sharing it: those beside the state dict too, such as a second state dict of the
    same network. Only the storage that is being written is in memory.

    Raises:
        CheckpointError: as `write_atomically`; the file has changed since it was read; or two names of one memory
            would have different values. Nothing is left behind.
    """
    others: tuple[str, ...] = ()

    def write(temporary: Path) -> None:
        nonlocal others
        with source.open("rb") as old, temporary.open("wb") as copy:
            while data := old.read(_COPIED):
                copy.write(data)
        loaded = read_torch(temporary, zipped=True, mapped=True, subject=source)
        container = find_container(source, loaded.value, entry)
        tensors = {str(key): Tensor.detach(item) for key, item in dict.items(container) if isinstance(item, Tensor)}
        changing = changes(tensors)
        moved = {tensors[name].data_ptr() for name in changing}
        others = other_tensors(loaded.value, container, lambda tensor: tensor.data_ptr() in moved)
        own: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if tensor.numel():
                own.setdefault(tensor.untyped_storage().data_ptr(), {})[name] = tensor
        try:
            with temporary.open("r+b") as file:
                written = []
                for stored in loaded.storages:
                    here = own.get(stored.untyped.data_ptr(), {}) if stored.untyped.nbytes() else {}
                    if here.keys() & changing.keys():
                        _replace(source, file, stored, here, changing)
                        written.append(stored.record)
                renew_checksums(file, written)
        except DamagedZipError as error:
            raise changed_since(source) from error

    write_atomically(out, write, overwrite=overwrite)
    return others


def _replace(
    source: Path, file: BinaryIO, stored: StoredBytes, tensors: Mapping[str, Tensor], changing: Mapping[str, Change]
) -> None:
    """Write the bytes of a storage with the new values of the tensors in it."""
    size = sum(tensor.numel() * tensor.element_size() for name, tensor in tensors.items() if name in changing)
    # What is written over as a whole need not be read before.
    whole = size == stored.untyped.nbytes() and not shared_memory(tensors)
    new = torch.UntypedStorage(size) if whole else stored.untyped.clone()
    views = {
        name: torch.empty(0, dtype=old.dtype).set_(new, old.storage_offset(), old.shape, old.stride())
        for name, old in tensors.items()
    }
    tied = {name for group in shared_memory(views) for name in group}
    wanted: dict[str, Tensor] = {}
    for name, view in views.items():
        if name in changing:
            _fill(source, name, view, *changing[name])
        if name in tied:
            wanted[name] = (view if name in changing else tensors[name]).clone()
    for name, values in wanted.items():
        if not torch.equal(views[name], values):
            others = next(group for group in shared_memory(views) if name in group)
            listed = " and ".join(f"'{printable(other)}'" for other in others[:2])
            cause = f"tensors {listed} are tied (they share memory in the file), and would have different values"
            raise CheckpointError(source, cause, _SEPARATE)
    if stored.swapped is not None:
        new.byteswap(stored.swapped)
    file.seek(contents_of(file, stored.record))
    file.write(torch.empty(0, dtype=torch.uint8).set_(new, 0, (new.nbytes(),), (1,)).numpy().data)


def _fill(source: Path, name: str, view: Tensor, old: Tensor, parts: Any) -> None:
    if old.shape != view.shape or old.dtype != view.dtype:
        raise changed_since(source)
    if _repeats(view):
        cause = f"tensor '{printable(name)}' repeats its entries in the file, and each would have its own value"
        raise CheckpointError(source, cause, _SEPARATE)
    view, at = torch.atleast_1d(view), 0
    for part in parts:
        part = torch.atleast_1d(part)
        view[at : at + len(part)].copy_(part)
        at += len(part)
        del part  # or it would be in memory while the next one is made
    if at != len(view):
        raise ValueError(f"{name!r}: {at} of {len(view)} rows")


def _repeats(tensor: Tensor) -> bool:
    """Whether several entries may be one place in memory."""
    reach = 0
    for step, length in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if length > 1:
            if step <= reach:
                return True
            reach += (length - 1) * step
    return False
