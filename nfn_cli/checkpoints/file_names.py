"""Check that the name of a file to write fits its format: a checkpoint is written back in its own. No torch here."""

from __future__ import annotations

import os
from pathlib import Path

from nfn_cli.checkpoints.formats.registry import SAFETENSORS, SUFFIXES
from nfn_cli.checkpoints.shard_index import INDEX_SUFFIX, is_index
from nfn_cli.checkpoints.sniff import sniff
from nfn_cli.errors import CheckpointError, UsageError

# What other programs read by their names.
_OTHERS = (".npz", ".npy", ".pkl", ".onnx", ".h5", ".keras", ".gguf", ".msgpack", ".json", ".csv", ".png", ".zip")


def require_same_format(source: Path, target: Path) -> None:
    """Check that a checkpoint is not written back under the name of another format.

    A name that ends as the source's does is taken, whatever that holds, and so is one of no known format.

    Raises:
        UsageError: the name is that of another format.
    """
    if source.suffix.lower() == target.suffix.lower() and is_index(source) == is_index(target):
        return
    try:
        format = sniff(source)
    except CheckpointError:  # reading it will say why
        return
    if format.sharded:
        if not is_index(target):
            cause = "the checkpoint is sharded, and is written back as an index with its shards beside it"
            raise UsageError(
                target, cause, f"give a folder (with a / at its end), or a name that ends in {INDEX_SUFFIX}"
            )
        return
    if is_foreign(target, format.suffixes):
        cause = f"the name of another format: the checkpoint is {format.title}, and is written back as one"
        raise UsageError(target, cause, f"give a name that ends in {' or '.join(format.suffixes)}")


def require_folder_name(folder: str) -> None:
    """Check that what would be made a folder is not called like a file. A separator at the end says that it is meant.

    Raises:
        UsageError: it is.
    """
    path = Path(folder)
    if not os.path.isdir(path) and not folder.endswith(os.sep) and (path.suffix.lower() in SUFFIXES or is_index(path)):
        raise UsageError(path, "would be made a folder, and is called like a file", "give the name of a folder")


def require_safetensors_name(path: Path) -> None:
    """Check the name of a file that is written as safetensors.

    Raises:
        UsageError: it is that of another format.
    """
    if is_foreign(path, SAFETENSORS.suffixes):
        raise UsageError(path, "it is written as a safetensors file", "give a name that ends in .safetensors")


def is_foreign(path: Path, own: tuple[str, ...]) -> bool:
    """Whether a file is called like one of a known format that does not end in one of `own`."""
    suffix = path.suffix.lower()
    return suffix not in own and suffix in (*SUFFIXES, *_OTHERS)
