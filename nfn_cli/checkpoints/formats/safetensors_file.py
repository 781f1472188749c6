"""Read a safetensors file, and write it back with other values."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

from nfn_cli.checkpoints.atomic import write_atomically
from nfn_cli.checkpoints.checkpoint import Fact
from nfn_cli.checkpoints.find_state_dict import FACTS
from nfn_cli.checkpoints.formats.reader import MAPPED_FROM, Changes, Contents
from nfn_cli.checkpoints.printable import is_utf8, printable
from nfn_cli.checkpoints.replacement import changed_since
from nfn_cli.checkpoints.tensor_map import placed as placed_at
from nfn_cli.checkpoints.ties import stated_ties
from nfn_cli.errors import CheckpointError

# A file whose tensors have a leading axis of networks carries this key in its metadata.
POPULATION_KEY = "nfn.population"
_COPIED = 1 << 20  # bytes copied at once
_CONVERTED = 1 << 20  # entries converted at once
Result = TypeVar("Result")


class PackedError(CheckpointError):
    """The file holds a population of networks, and one was asked for."""


def read(path: Path, entry: str | None = None, *, placed: bool = False) -> Contents:
    """As `Reader.read`; the tensors of a large file, and those that are placed, are memory-mapped.

    Raises:
        PackedError: it holds a population.
        CheckpointError: a header that does not describe the file, or a truncated file.
    """
    if not placed:
        tensors, metadata = _tensors(path)
        _require_one(path, metadata)
        return Contents(tensors, _facts(metadata), stated_ties(tensors, metadata))

    def with_starts() -> tuple[dict[str, Tensor], dict[str, str], dict[str, int]]:
        tensors, metadata = _mapped(path)  # checks the header first of all
        return tensors, metadata, _starts(path, tensors)

    tensors, metadata, starts = _opened(path, with_starts)
    _require_one(path, metadata)
    places = {name: placed_at(path, starts[name], tensor) for name, tensor in tensors.items()}
    return Contents(tensors, _facts(metadata), stated_ties(tensors, metadata), places)


def read_all(path: Path) -> Contents:
    """As `Reader.read_all`; of a packed population too.

    Raises:
        CheckpointError: a header that does not describe the file, or a truncated file.
    """
    tensors, metadata = _tensors(path)
    return Contents(tensors, _facts(metadata))


def _require_one(path: Path, metadata: Mapping[str, str]) -> None:
    if POPULATION_KEY in metadata:
        cause = f"a packed population of {printable(metadata[POPULATION_KEY])} networks"
        raise PackedError(path, cause, "read it with `nfn train` or `nfn evaluate`, or generate without --packed")


def _facts(metadata: Mapping[str, str]) -> dict[str, Fact]:
    return {key: metadata[key] for key in FACTS if key in metadata}


def _tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, those of a large file memory-mapped, and the metadata."""
    return _opened(path, lambda: _read(path) if path.stat().st_size < MAPPED_FROM else _mapped(path))


def _opened(path: Path, read: Callable[[], Result]) -> Result:
    if not is_utf8(os.fspath(path)):
        raise CheckpointError(
            path, "its name is not UTF-8, and the safetensors library opens no such file", "rename it"
        )
    try:
        return read()
    except Exception as error:
        # SafetensorError, and what torch raises for a kind of number that it lacks.
        cause = f"the safetensors header does not fit the file ({printable(error)})"
        raise CheckpointError(path, cause, "copy or save it again") from error


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    content = path.read_bytes()
    tensors = load(content)  # checks the header first of all
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return {name: tensors[name] for name in sorted(tensors)}, header.get("__metadata__") or {}


def _mapped(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        return tensors, dict(file.metadata() or {})


def _starts(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Where each tensor's bytes begin in the file, in bytes.

    Raises:
        ValueError, KeyError: the header does not say of these tensors what the library has read in it.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise ValueError("it has changed")
        entries = json.loads(file.read(size))
    ranges = {name: tuple(entries[name]["data_offsets"]) for name in tensors}
    end = 0
    # Of two entries of one name, each reader might take another one: what is left would leave a hole.
    for name, (start, stop) in sorted(ranges.items(), key=lambda item: item[1]):
        if start != end or stop - start != tensors[name].numel() * tensors[name].element_size():
            raise ValueError("its tensors do not follow each other")
        end = stop
    return {name: 8 + size + start for name, (start, _) in ranges.items()}


def rewrite(
    source: Path, entry: str | None, changes: Changes, out: Path, *, overwrite: bool = False
) -> tuple[str, ...]:
    """As `Reader.rewrite`, part by part, so that the values are never all in memory; the header stays as it is.

    Raises:
        CheckpointError: the file exists (without `overwrite`), cannot be written, or `source` is no longer what was
            read; and whatever the parts raise. Nothing is left behind.
    """

    def write(temporary: Path) -> None:
        with source.open("rb") as old, temporary.open("wb") as file:
            length = old.read(8)
            size = int.from_bytes(length, "little")
            if size > source.stat().st_size:  # never make room for what is not there
                raise changed_since(source)
            header = old.read(size)
            try:
                entries = json.loads(header)
                # The data follow the header in the order of their offsets, without holes.
                ranges = {name: entries[name]["data_offsets"] for name in entries if name != "__metadata__"}
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise changed_since(source) from error
            changing = changes(ranges, by_tensor=True)
            file.write(length + header)
            for name, (start, stop) in sorted(ranges.items(), key=lambda item: item[1]):
                if name not in changing:
                    old.seek(8 + len(header) + start)
                    _copy(old, file, stop - start)
                    continue
                tensor, parts = changing[name]
                if tensor.numel() * tensor.element_size() != stop - start:
                    raise changed_since(source)
                size = 0
                for part in parts:
                    size += _write(file, part, tensor.dtype)
                    del part  # or it would be in memory while the next one is made
                if size != stop - start:
                    raise ValueError(f"{name!r}: {size} of {stop - start} bytes")

    write_atomically(out, write, overwrite=overwrite)
    return ()


def _write(file: BinaryIO, part: Tensor, dtype: torch.dtype) -> int:
    """Write entries in another dtype, a few of them at a time; returns how many bytes."""
    rows = torch.atleast_1d(part)
    count = max(1, _CONVERTED // max(1, rows[:1].numel()))
    for some in rows.split(count):
        file.write(some.to(dtype).contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return part.numel() * dtype.itemsize


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size > 0 and (data := source.read(min(size, _COPIED))):
        target.write(data)
        size -= len(data)
