"""Checkpoints rewritten along their orbits: the new file, and the configuration that belongs beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nfn_cli.architectures.config_file import CONFIG_NAME
from nfn_cli.checkpoints import rewrite_checkpoint, write_text_atomically
from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from torch import Tensor

    from nfn_cli.symmetry.sources import AnySource


def write_moved(
    source: AnySource, moved: Mapping[str, Tensor], target: Path, *, overwrite: bool = False, with_config: bool = False
) -> list[str]:
    """Write transformed weights as a checkpoint of the layout, names and dtype of the old one.

    Args:
        with_config: put a copy of the configuration by which the network was read beside the file, if none is there.

    Returns:
        Entries of the file beside the weights, such as an optimizer's state, that still belong to the old ones.

    Raises:
        CheckpointError: a file cannot be written, or the configuration of another network is there; nothing is written
            then.
    """
    configs = _configs(source, target) if with_config else None
    if configs is not None and os.path.lexists(configs[1]) and not _same(*configs):
        cause = f"beside it would stand another configuration than that of {source.checkpoint.path}"
        raise CheckpointError(target, cause, "choose another folder")
    kept = rewrite_checkpoint(source.checkpoint, moved, target, overwrite=overwrite)
    if configs is not None and not os.path.lexists(configs[1]):
        write_text_atomically(configs[1], configs[0].read_text(encoding="utf-8"))
    return list(kept)


def _configs(source: AnySource, target: Path) -> tuple[Path, Path] | None:
    """The configuration by which a network was read, and its place beside the target; None where none was used."""
    if isinstance(source, Source) or source.network.how != "config":
        return None
    own = source.checkpoint.path.parent / CONFIG_NAME
    return (own, target.parent / CONFIG_NAME) if own.is_file() else None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return False
