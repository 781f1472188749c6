"""Whether two networks are bitwise the same, whatever their files are called and contain beside them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nfn_cli.checkpoints.tensors_in_parts import parts_of
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource


def content_digest(source: AnySource) -> str:
    """A hash of a network's numbers: equal for those that are bitwise the same, with the same dtypes.

    Names count for nothing, nor do the container and what is in the file beside the network.

    Raises:
        CheckpointError: a tensor cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in _names(source):
        first = True
        for part in parts_of(source.checkpoint.tensors, name):
            if first:
                digest.update(f"{part.dtype} {tuple(part.shape[1:])};".encode())
                first = False
            digest.update(_bytes(part))
    return digest.hexdigest()


def _names(source: AnySource) -> list[str]:
    """The file's names of the network's tensors, in an order that is the network's own."""
    if isinstance(source, Source):
        return [*(spec.name for spec in source.stored.tensors), *source.beside]
    return [name for name in dict.fromkeys(source.network.names.values()) if name in source.checkpoint.tensors]


def _bytes(part: Tensor) -> memoryview:
    return part.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
