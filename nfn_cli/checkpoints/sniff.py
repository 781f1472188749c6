"""Tell a file's format from its first bytes, never from its name."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path
from typing import Literal

from nfn_cli.errors import CheckpointError

Sniffed = Literal["safetensors", "torch", "torch-legacy", "index"]

_REMEDY = "save the state dict with safetensors, or with torch.save(model.state_dict(), ...)"
_FOREIGN = {
    b"GGUF": "a GGUF file",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file (Keras)",
    b"\x93NUMPY": "a NumPy array",
    b"\x08\x07\x12": "an ONNX model",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a Git LFS pointer: the checkpoint itself was not downloaded",
}
# Every legacy file starts with a pickle of this number (torch.serialization.MAGIC_NUMBER).
_LEGACY_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")


def sniff(path: Path) -> Sniffed:
    """The format of a file.

    Raises:
        CheckpointError: it cannot be read, is empty, or is none of the formats that nfn reads.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise CheckpointError(path, "not a regular file", "give a checkpoint file or a folder of them")
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        cause = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise CheckpointError(path, cause, "check the path and its permissions") from error
    if not head:
        raise CheckpointError(path, "the file is empty", "copy or save it again")
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise CheckpointError(path, f"this is {name}, which nfn does not read", _REMEDY)
    if head.startswith(b"PK"):
        return _sniff_zip(path)
    if head[8:9] == b"{":
        return "safetensors"
    if head.lstrip()[:1] == b"{":
        return "index"
    if _LEGACY_MAGIC in head:
        return "torch-legacy"
    if head[:1] == b"\x80":
        raise CheckpointError(
            path,
            "this is a bare pickle, which could run any code when it is loaded; it was not loaded",
            _REMEDY,
        )
    raise CheckpointError(path, "not a checkpoint in a format that nfn reads (or a damaged one)", _REMEDY)


def _sniff_zip(path: Path) -> Sniffed:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(path, f"a truncated or damaged archive ({error})", "copy or save it again") from error
    if any(name.split("/")[1:2] == ["code"] or name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(path, "this is a TorchScript archive, which holds code", _REMEDY)
    if not any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        raise CheckpointError(path, "a zip archive that PyTorch did not write", _REMEDY)
    return "torch"
