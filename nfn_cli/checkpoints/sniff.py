"""Tell a file's format from its first bytes, never from its name."""

from __future__ import annotations

import re
import stat
import zipfile
from pathlib import Path
from typing import Literal

from nfn_cli.checkpoints.discover import SUFFIXES
from nfn_cli.checkpoints.printable import printable, printable_list
from nfn_cli.errors import CheckpointError

Sniffed = Literal["safetensors", "torch", "torch-legacy", "index"]

_COPY = "copy or save it again"
_SAVE = "save the state dict with safetensors, or with torch.save(model.state_dict(), ...)"
# What other files begin with, what they are, and what to do.
_FOREIGN = (
    (rb"GGUF", "a GGUF file, which nfn does not read", _SAVE),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras), which nfn does not read", _SAVE),
    (rb"\x93NUMPY", "a NumPy array, which nfn does not read", _SAVE),
    # The version of the format, then the name of the program or the graph.
    (rb"\x08[\x01-\x20][\x12\x3a\x42]", "an ONNX model, which nfn does not read", _SAVE),
    (rb"\x1f\x8b", "a gzip archive", "unpack it"),
    (rb"version https://git-lfs", "a Git LFS pointer: the checkpoint itself is not here", "run `git lfs pull`"),
    (rb"(?i)\s*<(!doctype|html)", "a web page, perhaps of a failed download", "download the checkpoint again"),
)
# Every legacy file starts with a pickle of this number (torch.serialization.MAGIC_NUMBER).
_LEGACY_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")


def sniff(path: Path) -> Sniffed:
    """The format of a file.

    Raises:
        CheckpointError: it cannot be read, is empty, or is none of the formats that nfn reads.
    """
    head = _head(path)
    if not head:
        raise CheckpointError(path, "the file is empty", _COPY)
    # First of all: the length of a safetensors header may spell what other files begin with.
    if head[4:9] == b"\0\0\0\0{":
        return "safetensors"
    for magic, name, remedy in _FOREIGN:
        if re.match(magic, head):
            raise CheckpointError(path, f"this is {name}", remedy)
    if head.startswith(b"PK"):
        return _sniff_zip(path)
    if head.lstrip()[:1] == b"{":
        return "index"
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"\x80") and _LEGACY_MAGIC in head:
        return "torch-legacy"
    if head.startswith(b"\x80"):
        cause = "this is a bare pickle, which could run any code when it is loaded; it was not loaded"
        raise CheckpointError(path, cause, _SAVE)
    raise CheckpointError(path, "not a checkpoint in a format that nfn reads (or a damaged one)", _SAVE)


def _head(path: Path) -> bytes:
    try:
        # Opening a pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(path, "not a regular file", "give a checkpoint file or a folder of them")
        with path.open("rb") as file:
            return file.read(64)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        cause = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({reason})"
        raise CheckpointError(path, cause, "check the path and its permissions") from error


def _sniff_zip(path: Path) -> Sniffed:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:
        # Damage meets zipfile in ways without number (BadZipFile, struct.error, NotImplementedError ...).
        raise CheckpointError(path, f"a truncated or damaged archive ({printable(error)})", _COPY) from error
    names = [entry.filename for entry in entries]
    if any(name.split("/")[1:2] == ["code"] or name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(path, "this is a TorchScript archive, which holds code", _SAVE)
    if not any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        if {"policy.pth", "data"} <= set(names):
            cause = "a Stable-Baselines3 archive; policy.pth inside is the network"
            raise CheckpointError(path, cause, "unzip it, and give that file")
        if inside := [name for name in names if name.lower().endswith(SUFFIXES)]:
            cause = f"a zip archive of checkpoints ({printable_list(inside)})"
            raise CheckpointError(path, cause, "unzip it, and give the one you mean")
        raise CheckpointError(path, "a zip archive that torch.save did not write", _SAVE)
    # PyTorch stores without compression. Mapped compressed bytes would pass for weights, unpacked ones fill any memory.
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(path, "a PyTorch file that was packed again, with compression", _SAVE)
    return "torch"
