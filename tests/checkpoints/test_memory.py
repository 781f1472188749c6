"""A small file does not fill the memory, whatever it claims."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import CheckpointError

Write = Callable[..., Path]

MEGABYTE = 1 << 20
# What the bombs of these tests would take, and less than half of it.
BOMB, ALLOWED = 256 * MEGABYTE, 100 * MEGABYTE


@pytest.fixture
def peak() -> Callable[[], int]:
    """The most memory that this process has had so far, in bytes."""
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def test_entries_repeated_by_strides_are_not_written_out(
    torch_format: str, tmp_path: Path, write: Write, peak: Callable[[], int]
) -> None:
    repeated = torch.zeros(1).expand(BOMB // 4 // 1024, 1024)
    path = write(tmp_path / "model.pt", {"fc.weight": repeated}, torch_format)
    before = peak()
    with pytest.raises(CheckpointError, match=r"tensor 'fc.weight' claims 67108864 entries, more than the file can"):
        read_checkpoint(path)
    assert peak() - before < ALLOWED


def replaced(data: bytes, format: str, old: bytes, new: bytes) -> bytes:
    """A PyTorch file with a part of its pickle replaced."""
    if format == "torch-legacy":
        assert old in data
        return data.replace(old, new)
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("/data.pkl"):
                assert old in content
                content = content.replace(old, new)
            target.writestr(name, content)
    return changed.getvalue()


# The pickle has the storage's length 9, the shape (3, 3) and the strides (3, 1). Instead: 8192 x 8192 entries.
STORAGE = (b"cpuq\x06K\x09", b"cpuq\x06J" + struct.pack("<i", BOMB // 4))
SHAPE = (b"K\x03K\x03\x86", b"M\x00\x20M\x00\x20\x86")
STRIDES = (b"K\x03K\x01\x86", b"M\x00\x20K\x01\x86")


@pytest.mark.parametrize("lies", [[SHAPE], [SHAPE, STRIDES], [STORAGE, SHAPE, STRIDES]], ids=len)
def test_entries_that_the_file_does_not_have_are_not_made_up(
    lies: list[tuple[bytes, bytes]], torch_format: str, tmp_path: Path, write: Write, peak: Callable[[], int]
) -> None:
    path = write(tmp_path / "model.pt", {"fc.weight": torch.eye(3)}, torch_format)
    for old, new in lies:
        path.write_bytes(replaced(path.read_bytes(), torch_format, old, new))
    before = peak()
    with pytest.raises(CheckpointError, match=r"more than the file can hold|unknown kind of file"):
        read_checkpoint(path)
    assert peak() - before < ALLOWED


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path, write: Write, peak: Callable[[], int]) -> None:
    plain = write(tmp_path / "plain.pt", {"fc.weight": torch.eye(3)}, "torch")
    path = tmp_path / "model.pt"
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for name in source.namelist():
            with target.open(name, "w") as entry:
                entry.write(source.read(name))
                if name.endswith("/data.pkl"):
                    for _ in range(BOMB // MEGABYTE):
                        entry.write(bytes(MEGABYTE))
    assert path.stat().st_size < 8 * MEGABYTE
    before = peak()
    with pytest.raises(CheckpointError, match="packed again, with compression"):
        read_checkpoint(path)
    assert peak() - before < ALLOWED
