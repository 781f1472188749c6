"""Find a file's format from its first bytes, never from its name. No torch here."""

from __future__ import annotations

import re
import stat
import zipfile
from pathlib import Path

from nfn_cli.checkpoints.formats.checkpoint_format import CheckpointFormat
from nfn_cli.checkpoints.formats.registry import FOREIGN, FORMATS, SAVE, SUFFIXES
from nfn_cli.checkpoints.printable import printable, printable_list
from nfn_cli.errors import CheckpointError

_COPY = "copy or save it again"


def sniff(path: Path) -> CheckpointFormat:
    """The format of a file.

    Raises:
        CheckpointError: it cannot be read, is empty, or is none of the formats that nfn reads.
    """
    head = _head(path)
    if not head:
        raise CheckpointError(path, "the file is empty", _COPY)
    for format in FORMATS:
        if format.certain and re.match(format.certain, head, re.DOTALL):
            return format
    for magic, name, remedy in FOREIGN:
        if re.match(magic, head):
            raise CheckpointError(path, f"this is {name}", remedy)
    if head.startswith(b"PK"):
        return _sniff_zip(path)
    for format in FORMATS:
        if format.begins and re.match(format.begins, head, re.DOTALL):
            return format
    if head.startswith(b"\x80"):
        cause = "this is a bare pickle, which could run any code when it is loaded; it was not loaded"
        raise CheckpointError(path, cause, SAVE)
    raise CheckpointError(path, "not a checkpoint in a format that nfn reads (or a damaged one)", SAVE)


def sniff_shard(path: Path) -> CheckpointFormat:
    """The format of a file that an index names.

    Raises:
        CheckpointError: as `sniff`; or it is an index itself.
    """
    format = sniff(path)
    if format.sharded:
        raise CheckpointError(path, "an index where a shard should be", "download the whole checkpoint again")
    return format


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


def _sniff_zip(path: Path) -> CheckpointFormat:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:
        # Damage meets zipfile in ways without number (BadZipFile, struct.error, NotImplementedError ...).
        raise CheckpointError(path, f"a truncated or damaged archive ({printable(error)})", _COPY) from error
    names = [entry.filename for entry in entries]
    if any(name.split("/")[1:2] == ["code"] or name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(path, "this is a TorchScript archive, which holds code", SAVE)
    format = next(
        (own for own in FORMATS if own.member and any(re.fullmatch(own.member, name) for name in names)), None
    )
    if format is None:
        if {"policy.pth", "data"} <= set(names):
            cause = "a Stable-Baselines3 archive; policy.pth inside is the network"
            raise CheckpointError(path, cause, "unzip it, and give that file")
        if inside := [name for name in names if name.lower().endswith(SUFFIXES)]:
            cause = f"a zip archive of checkpoints ({printable_list(inside)})"
            raise CheckpointError(path, cause, "unzip it, and give the one you mean")
        raise CheckpointError(path, "a zip archive that torch.save did not write", SAVE)
    # Mapped compressed bytes would pass for weights, unpacked ones fill any memory.
    if format.stored and any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(path, f"{format.title} that was packed again, with compression", SAVE)
    return format
