"""Read a PyTorch file, zip or legacy, without PyTorch's own reader: see `unpickle` for why.

The two formats, `formats.torch_zip` and `formats.torch_legacy`, are read alike but for `zipped`.
"""

from __future__ import annotations

import io
import mmap
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from nfn_cli.checkpoints.find_state_dict import find_facts, find_state_dict, plain
from nfn_cli.checkpoints.formats.reader import MAPPED_FROM, Contents
from nfn_cli.checkpoints.printable import printable
from nfn_cli.checkpoints.rebuild import Storage, StorageType
from nfn_cli.checkpoints.tensor_map import Place
from nfn_cli.checkpoints.tensor_map import placed as placed_at
from nfn_cli.checkpoints.unpickle import AttackError, FindStorage, OpcodeError, Unpickler
from nfn_cli.checkpoints.unread_objects import unread_kind
from nfn_cli.checkpoints.zip_records import Record, contents_of, find_records
from nfn_cli.errors import CheckpointError

_COPY = "copy or save it again"
_REMEDY = "save the state dict instead: torch.save(model.state_dict(), ...)"
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
# Containers in one another. A training state has its optimizer's at a depth of five or six.
_DEEPEST = 16


@dataclass(frozen=True)
class StoredBytes:
    """A storage of a zip file, and where its bytes are.

    Attributes:
        untyped: the storage, as tensors have it.
        record: the archive's record with the bytes.
        start: where these begin, in bytes from the file's beginning.
        swapped: the kind of number whose bytes are in the file in the other order than in memory; None for the same.
    """

    untyped: torch.UntypedStorage
    record: Record
    start: int
    swapped: torch.dtype | None


@dataclass(frozen=True)
class Loaded:
    """What a PyTorch file holds.

    Attributes:
        value: tensors, plain containers, and a `Husk` for everything else.
        lossy: whether something of the file is not in `value`.
        storages: those of a zip file.
    """

    value: Any
    lossy: bool
    storages: tuple[StoredBytes, ...] = ()


def state_dict_of(path: Path, entry: str | None, *, zipped: bool, placed: bool) -> Contents:
    """As `Reader.read`."""
    loaded = read_torch(path, zipped=zipped, mapped=True if placed else None)
    tensors, facts = find_state_dict(path, loaded.value, entry), find_facts(loaded.value, entry)
    if not placed:
        return Contents(tensors, facts)
    starts = {own.untyped.data_ptr(): own.start for own in loaded.storages if own.swapped is None}
    return Contents(tensors, facts, places={name: _place(path, starts, tensor) for name, tensor in tensors.items()})


def all_tensors_of(path: Path, *, zipped: bool) -> Contents:
    """As `Reader.read_all`."""
    loaded = read_torch(path, zipped=zipped).value
    facts = find_facts(loaded)
    try:
        return Contents(find_state_dict(path, loaded), facts)
    except CheckpointError as error:
        return Contents(_everywhere(loaded), facts, no_state_dict=error)


def read_torch(path: Path, *, zipped: bool, mapped: bool | None = None, subject: Path | None = None) -> Loaded:
    """What a PyTorch file holds; of the objects in it only tensors and plain containers are made.

    Args:
        zipped: the format, zip or legacy.
        mapped: map the tensors of a zip file instead of reading them; if not given, those of a large file.
        subject: the file that errors name.

    Raises:
        CheckpointError: it names what could run code, or is damaged.
    """
    subject = subject or path
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            if not zipped:
                return _read_legacy(file, size)
            return _read_zip(file, size, mapped=size >= MAPPED_FROM if mapped is None else mapped)
    except AttackError as error:
        cause = f"it holds more than tensors ({printable(error)}), which could run code; it was not loaded"
        raise CheckpointError(subject, cause, _REMEDY) from error
    except OpcodeError as error:
        cause = f"a pickle that nfn does not load safely ({error}), or damaged; it was not loaded"
        raise CheckpointError(subject, cause, _REMEDY) from error
    except Exception as error:
        # Damage meets zipfile and the unpickler in ways without number (KeyError, IndexError, struct.error ...).
        cause = f"a truncated, damaged or unknown kind of file ({type(error).__name__})"
        raise CheckpointError(subject, cause, _COPY) from error


def _place(path: Path, starts: Mapping[int, int], tensor: Tensor) -> Place | Tensor:
    """
    Args:
        starts: by a storage's address, where its bytes begin in the file.
    """
    if unread_kind(tensor) or not tensor.numel():  # refused behind this, or of no entries
        return tensor.clone()
    start = starts.get(tensor.untyped_storage().data_ptr())
    offset = int(tensor.storage_offset()) * tensor.element_size()
    return tensor if start is None else placed_at(path, start + offset, tensor)


def _everywhere(loaded: Any) -> dict[str, Tensor]:
    """Every tensor in a loaded object, by the dotted name of its place. What is in several places is entered once."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()

    def enter(value: Any, place: tuple[str, ...]) -> None:
        if isinstance(value, Tensor):
            name = ".".join(place)
            # The key `a.b` and the key `b` below `a` look the same.
            found[name if name not in found else f"{name} ({len(found)})"] = plain(value)
        elif isinstance(value, dict | list | tuple) and id(value) not in seen and len(place) < _DEEPEST:
            seen.add(id(value))
            for key, item in _items(value):
                enter(item, (*place, key))

    enter(loaded, ())
    return found


def _items(value: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """What is in a container, read past what a file may have put over its methods."""
    if isinstance(value, dict):
        return ((str(key), item) for key, item in dict.items(value) if isinstance(key, str | int))
    return ((str(place), item) for place, item in enumerate(value))


def _read_zip(file: BinaryIO, size: int, *, mapped: bool) -> Loaded:
    records = find_records(file)
    whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if mapped else None
    order = _content(file, records["byteorder"]) if "byteorder" in records else b"little"
    if order not in (b"little", b"big"):
        raise ValueError("an unknown order of bytes")
    swapped = order.decode() != sys.byteorder
    stored: dict[str, StoredBytes] = {}

    def find_storage(named: tuple[Any, ...]) -> Storage:
        _, kind, key, _, count = named
        dtype = _dtype(kind)
        nbytes = _bytes(count, dtype)
        if key not in stored:
            record = records[f"data/{_key(key)}"]
            if nbytes > record.size:
                raise EOFError("a storage beyond its record")
            start = contents_of(file, record)
            # Numbers at odd places in memory are not for every processor.
            if whole is not None and nbytes and not swapped and start % 16 == 0:
                untyped = torch.frombuffer(whole, dtype=torch.uint8, count=nbytes, offset=start).untyped_storage()
            else:
                file.seek(start)
                untyped = _filled(torch.UntypedStorage(nbytes), file)
                if swapped:
                    untyped.byteswap(dtype)
            stored[key] = StoredBytes(untyped, record, start, dtype if swapped else None)
        elif stored[key].untyped.nbytes() < nbytes:
            raise EOFError("a storage of two sizes")
        return Storage(stored[key].untyped, dtype)

    content = _content(file, records["data.pkl"])
    unpickler = Unpickler(io.BytesIO(content), len(content), find_storage)
    value = unpickler.load()
    return Loaded(value, unpickler.lossy, tuple(stored.values()))


def _content(file: BinaryIO, record: Record) -> bytes:
    file.seek(contents_of(file, record))
    return file.read(record.size)


def _read_legacy(file: BinaryIO, size: int) -> Loaded:
    """Five pickles, then the storages in the order of the last one, each behind the number of its entries."""

    def unpickled(find_storage: FindStorage | None = None) -> Unpickler:
        return Unpickler(file, size, find_storage)

    if unpickled().load() != _MAGIC or unpickled().load() != _VERSION:
        raise ValueError("another version")
    unpickled().load()  # what the machine was like
    stored: dict[Any, Storage] = {}
    views: dict[Any, Storage] = {}
    promised = 0

    def find_storage(named: tuple[Any, ...]) -> Storage:
        nonlocal promised
        _, kind, key, _, count, view = named
        dtype = _dtype(kind)
        nbytes = _bytes(count, dtype)
        if _key(key) not in stored:
            promised += nbytes
            if promised > size:
                raise EOFError("storages beyond the file")
            stored[key] = Storage(torch.UntypedStorage(nbytes), dtype)
        elif stored[key].untyped.nbytes() < nbytes:
            raise EOFError("a storage of two sizes")
        if view is None:
            return stored[key]
        view_key, offset, length = view
        if _key(view_key) not in views:
            start, wide = _bytes(offset, dtype), _bytes(length, dtype)
            if start + wide > stored[key].untyped.nbytes():
                raise EOFError("a view beyond its storage")
            views[view_key] = Storage(stored[key].untyped[start : start + wide], dtype)
        return views[view_key]

    unpickler = unpickled(find_storage)
    value = unpickler.load()
    keys = unpickled().load()
    # What is not in the file would be whatever the memory held.
    if type(keys) is not list or len(keys) != len(stored) or set(map(_key, keys)) != set(stored):
        raise ValueError("other storages than the pickle names")
    for key in keys:
        storage = stored[key]
        count = int.from_bytes(file.read(8), "little", signed=True)
        if count * storage.dtype.itemsize != storage.untyped.nbytes():
            raise ValueError("a storage of another size")
        _filled(storage.untyped, file)
        if sys.byteorder == "big":
            storage.untyped.byteswap(storage.dtype)
    return Loaded(value, unpickler.lossy)


def _filled(untyped: torch.UntypedStorage, file: BinaryIO) -> torch.UntypedStorage:
    nbytes = untyped.nbytes()
    if nbytes:
        view = torch.empty(0, dtype=torch.uint8).set_(untyped, 0, (nbytes,), (1,)).numpy().data
        if file.readinto(view) != nbytes:  # type: ignore[attr-defined]
            raise EOFError
    return untyped


def _dtype(kind: Any) -> torch.dtype:
    if not isinstance(kind, StorageType):
        raise ValueError("no kind of storage")
    return kind.dtype


def _bytes(count: Any, dtype: torch.dtype) -> int:
    if type(count) is not int or count < 0:
        raise ValueError("no size")
    return count * dtype.itemsize


def _key(key: Any) -> Any:
    if type(key) not in (str, int):
        raise ValueError("no key")
    return key
